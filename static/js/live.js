// The page works without this. With it, what is marked data-live follows what happens, and nothing moves that has the focus.
"use strict";

const script = document.currentScript;

async function look() {
  if (document.hidden) return;
  const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
  if (answer.redirected) return location.reload();
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    if (now && !part.contains(document.activeElement) && part.innerHTML !== now.innerHTML) {
      part.innerHTML = now.innerHTML;
    }
  }
  const every = fresh.querySelector("script[data-every-ms]");
  if (every) script.dataset.everyMs = every.dataset.everyMs;
}

async function go() {
  await look().catch(() => {});
  setTimeout(go, Number(script.dataset.everyMs));
}

setTimeout(go, Number(script.dataset.everyMs));
document.addEventListener("visibilitychange", () => look().catch(() => {}));
