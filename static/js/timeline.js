// The timeline works without this. With it, news is announced where it moves nothing, and an export tells how far it is.
"use strict";

const POLL_MS = 5000;
const news = document.getElementById("news");

async function look() {
  const address = document.getElementById("events").dataset.arrived;
  if (!address || document.hidden || news.firstChild) return;
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (answer.status === 401) return stop("You were signed out; reload the page to sign in again.");
  if (!answer.ok) return;
  const { count, more } = await answer.json();
  if (count) announce(`${count}${more ? " or more" : ""} new ${count === 1 ? "event" : "events"}`);
}

function announce(words) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = `Show ${words}`;
  button.addEventListener("click", show);
  news.replaceChildren(button);
}

async function show() {
  const answer = await fetch(location.href);
  if (!answer.ok || answer.redirected) return location.reload();
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of ["#events", ".seal"]) {
    document.querySelector(part).replaceWith(fresh.querySelector(part));
  }
  news.replaceChildren();
  const first = document.querySelector("#events summary");
  if (first) first.focus({ preventScroll: true });
}

function stop(words) {
  clearInterval(polling);
  news.textContent = words;
}

const polling = setInterval(() => look().catch(() => {}), POLL_MS);
document.addEventListener("visibilitychange", () => look().catch(() => {}));

const form = document.getElementById("export-form");
if (form) form.addEventListener("submit", () => {
  let named = form.elements.progress;
  if (!named) {
    named = document.createElement("input");
    named.type = "hidden";
    named.name = "progress";
    form.append(named);
  }
  named.value = crypto.randomUUID();
  follow(form.dataset.progress.replace("NAME", named.value));
});

function follow(address) {
  const said = document.getElementById("progress");
  const number = new Intl.NumberFormat("en");
  const words = {
    waiting: () => "The export waits for its turn.",
    making: (far) => `Making the file: ${number.format(far.passed)} of ${number.format(far.size)} events.`,
    made: (far) => `Made: ${number.format(far.passed)} ${far.passed === 1 ? "event" : "events"}. Your browser saves the file.`,
    failed: () => "The export could not be made.",
  };
  said.textContent = words.waiting();
  const asking = setInterval(async () => {
    const answer = await fetch(address).catch(() => null);
    if (!answer || !answer.ok) return;
    const far = await answer.json();
    said.textContent = words[far.state](far);
    if (far.state === "made" || far.state === "failed") clearInterval(asking);
  }, 500);
}
