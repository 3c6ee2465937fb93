// The page of one day.

import { ask, longDay, say } from "./api.js";
import { Board, clock, element, minutes } from "./board.js";
import { Live } from "./live.js";

const find = (id) => document.getElementById(id);
const local = (date) => new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 10);
const today = () => local(new Date());
const nowMinute = () => new Date().getHours() * 60 + new Date().getMinutes();

const state = { day: today(), bookings: [], house: null, board: null, intentions: new Map(), asked: 0 };
const booking = find("booking");
const meeting = find("meeting");
const live = new Live(hear);

begin();

async function begin() {
  try {
    state.house = await ask("/rooms");
  } catch (error) {
    say(find("trouble"), error.message);
    setTimeout(begin, 5000);
    return;
  }
  find("brand").textContent = `Rooms at ${state.house.organization}`;
  document.title = find("brand").textContent;
  state.board = new Board(state.house, find("rooms"), find("chooser"), { choose: beginBooking, open: openMeeting });
  await show(new URLSearchParams(location.search).get("day") ?? today());
}

async function show(day) {
  state.day = Number.isNaN(Date.parse(day)) ? today() : day;
  history.replaceState(null, "", state.day === today() ? "/" : `/?day=${state.day}`);
  find("day").value = state.day;
  find("day-title").textContent = state.day === today() ? `Today, ${longDay(state.day)}` : longDay(state.day);
  await refresh();
}

async function refresh() {
  if (!state.board) return;
  const mine = ++state.asked;
  try {
    const { bookings } = await ask(`/bookings?day=${state.day}`);
    if (mine !== state.asked) return; // another day was asked for in the meantime
    state.bookings = bookings;
    say(find("trouble"), "");
  } catch (error) {
    if (mine === state.asked) say(find("trouble"), error.message);
    return;
  }
  draw();
}

function draw() {
  const isToday = state.day === today();
  state.board.draw(state.bookings, isToday ? nowMinute() : null);
  state.board.ghosts([...state.intentions.values()].filter((slot) => slot.day === state.day));
  find("answer").textContent = answer(isToday);
}

function answer(isToday) {
  const count = state.bookings.length;
  const meetings = count === 0 ? "No meeting is booked" : count === 1 ? "One meeting is booked" : `${count} meetings are booked`;
  const now = nowMinute();
  if (!isToday || now < state.board.opens || now >= state.board.closes) return `${meetings}.`;
  const free = state.house.rooms.filter(
    (room) => !state.bookings.some((one) => one.room === room.key && minutes(one.start) <= now && minutes(one.end) > now),
  );
  return free.length ? `Free now: ${free.map((room) => room.name).join(", ")}. ${meetings}.` : `No room is free now. ${meetings}.`;
}

function hear(news) {
  const presence = find("presence");
  if (news.type === "presence") {
    presence.dataset.state = "live";
    presence.textContent = news.looking === 1 ? "Only you are looking" : `${news.looking} people are looking`;
  } else if (news.type === "lost") {
    presence.dataset.state = "waiting";
    presence.textContent = "Not live at the moment";
    state.intentions.clear();
    state.board?.ghosts([]);
  } else if (news.type === "about_to_book") {
    if (news.slot) state.intentions.set(news.by, news.slot);
    else state.intentions.delete(news.by);
    state.board?.ghosts([...state.intentions.values()].filter((slot) => slot.day === state.day));
  } else if (news.type === "changed" || (news.type === "connected" && news.again)) {
    refresh();
  }
}

function beginBooking(room, start) {
  const form = find("booking-form");
  find("booking-title").textContent = `Book ${room.name} on ${longDay(state.day)}`;
  form.reset();
  form.elements.who.value = localStorage.getItem("who") ?? "";
  fill(form.elements.start, state.board.opens, state.board.closes - 15, minutes(start));
  fill(form.elements.end, state.board.opens + 15, state.board.closes, Math.min(minutes(start) + 30, state.board.closes));
  form.dataset.room = room.key;
  say(find("booking-trouble"), "");
  booking.showModal();
  live.tell({ type: "about_to_book", slot: { day: state.day, room: room.key, start } });
}

function fill(select, from, to, chosen) {
  const options = [];
  for (let minute = from; minute <= to; minute += 15) options.push(new Option(clock(minute), clock(minute), false, minute === chosen));
  select.replaceChildren(...options);
}

async function openMeeting(one) {
  const room = state.house.rooms.find((candidate) => candidate.key === one.room);
  find("meeting-title").textContent = one.title;
  find("meeting-facts").textContent = `${room.name}, ${longDay(one.day)}, ${one.start} to ${one.end}. Booked by ${one.who}.`;
  find("meeting-answers").replaceChildren(
    ...one.answers.map(({ guest, coming }) => element("li", `${guest} ${coming ? "comes" : "cannot come"}`)),
  );
  find("invite-form").reset();
  find("invite-made").hidden = true;
  find("meeting-cancel").textContent = "Cancel this meeting";
  find("meeting-cancel").dataset.sure = "";
  say(find("meeting-trouble"), "");
  meeting.dataset.id = one.id;
  meeting.showModal();
}

find("booking-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const { title, who, start, end } = Object.fromEntries(new FormData(form));
  try {
    await ask("/bookings", { method: "POST", body: { room: form.dataset.room, day: state.day, title, who, start, end } });
  } catch (error) {
    say(find("booking-trouble"), error.message);
    return;
  }
  localStorage.setItem("who", who);
  booking.close();
  await refresh();
});

booking.addEventListener("close", () => live.tell({ type: "about_to_book", slot: null }));

find("invite-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const guest = new FormData(event.target).get("guest");
    const made = await ask(`/bookings/${meeting.dataset.id}/invitations`, { method: "POST", body: { guest } });
    find("invite-for").textContent = `For ${made.guest}, good to the end of the day`;
    find("invite-link").value = `${location.origin}/invitation/${made.token}`;
    find("invite-made").hidden = false;
    find("invite-link").select();
    say(find("meeting-trouble"), "");
  } catch (error) {
    say(find("meeting-trouble"), error.message);
  }
});

find("invite-copy").addEventListener("click", async (event) => {
  await navigator.clipboard.writeText(find("invite-link").value);
  event.target.textContent = "Copied";
});

find("meeting-cancel").addEventListener("click", async (event) => {
  const button = event.target;
  if (!button.dataset.sure) {
    button.dataset.sure = "asked";
    button.textContent = "Cancel it for everybody";
    return;
  }
  try {
    await ask(`/bookings/${meeting.dataset.id}`, { method: "DELETE" });
    meeting.close();
    await refresh();
  } catch (error) {
    say(find("meeting-trouble"), error.message);
  }
});

for (const button of document.querySelectorAll("[data-closes]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

const moved = (days) => {
  const date = new Date(`${state.day}T12:00`);
  date.setDate(date.getDate() + days);
  return local(date);
};
find("earlier").addEventListener("click", () => show(moved(-1)));
find("later").addEventListener("click", () => show(moved(1)));
find("today").addEventListener("click", () => show(today()));
find("day").addEventListener("change", (event) => event.target.value && show(event.target.value));
// The line of the present moves on without asking anybody.
setInterval(() => state.board && !document.hidden && draw(), 60000);
