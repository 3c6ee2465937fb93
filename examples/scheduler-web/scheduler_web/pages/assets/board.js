// The board of one day: a column for each room, with what is taken and what is free.

export const minutes = (clock) => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));
export const clock = (minute) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;

const QUARTER = 15;
const HALF = 30;

export class Board {
  #house;
  #board;
  #chosen;
  #columns = new Map();

  // `house` is what /api/rooms says; `choose(room, start)` and `open(booking)` are called when somebody picks one.
  constructor(house, board, chooser, { choose, open }) {
    this.#house = house;
    this.#board = board;
    this.#chosen = house.rooms[0].key;
    this.opens = minutes(house.opens);
    this.closes = minutes(house.closes);
    board.style.setProperty("--rooms", house.rooms.length);
    board.style.setProperty("--quarters", (this.closes - this.opens) / QUARTER);
    const hours = board.querySelector(".hours");
    for (let minute = this.opens; minute <= this.closes; minute += 60) hours.append(element("span", clock(minute)));
    for (const room of house.rooms) this.#add(room, chooser);
    board.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.booking) open(button.booking);
      else choose(this.#room(button.closest(".room").dataset.room), button.dataset.start);
    });
    board.addEventListener("keydown", (event) => this.#move(event));
    this.#show();
  }

  draw(bookings, now) {
    const focused = document.activeElement?.dataset?.place;
    for (const room of this.#house.rooms) {
      const list = this.#columns.get(room.key).querySelector("ol");
      const taken = bookings.filter((one) => one.room === room.key);
      list.replaceChildren(...this.#entries(room, taken));
      if (now !== null && now > this.opens && now < this.closes) {
        const line = element("li", "", "now");
        line.setAttribute("aria-hidden", "true");
        line.style.top = `calc(var(--row) * ${(now - this.opens) / QUARTER})`;
        list.append(line);
      }
    }
    const again = focused && this.#board.querySelector(`[data-place="${CSS.escape(focused)}"]`);
    this.#rove(again || this.#board.querySelector(".slots button"));
    if (again) again.focus();
  }

  // Others' intentions: [{room, start}] of the day that is shown.
  ghosts(slots) {
    for (const ghost of this.#board.querySelectorAll(".ghost")) ghost.remove();
    for (const slot of slots) {
      const column = this.#columns.get(slot.room);
      const start = minutes(slot.start);
      if (!column || !(start >= this.opens && start < this.closes)) continue;
      const item = this.#item(start, Math.min(start + HALF, this.closes));
      item.classList.add("ghost");
      item.append(element("span", "Somebody is booking"));
      column.querySelector("ol").append(item);
    }
  }

  #add(room, chooser) {
    const column = element("section", "", "room");
    column.dataset.room = room.key;
    const head = element("div", "", "room-head");
    const title = element("h2", room.name);
    title.id = `room-${room.key}`;
    const about = element("p", `${room.seats} seats · ${room.about}`);
    about.title = about.textContent;
    head.append(title, about);
    column.setAttribute("aria-labelledby", title.id);
    column.append(head, element("ol", "", "slots"));
    this.#columns.set(room.key, column);
    this.#board.append(column);
    const label = element("label", room.name);
    const radio = element("input", "", "unseen");
    Object.assign(radio, { type: "radio", name: "room", value: room.key, checked: room.key === this.#chosen });
    radio.addEventListener("change", () => {
      this.#chosen = room.key;
      this.#show();
    });
    label.prepend(radio);
    chooser.append(label);
  }

  #show() {
    for (const [key, column] of this.#columns) column.toggleAttribute("data-chosen", key === this.#chosen);
  }

  #entries(room, taken) {
    const entries = [];
    for (let start = this.opens; start < this.closes; ) {
      const meeting = taken.find((one) => minutes(one.start) <= start && minutes(one.end) > start);
      if (meeting) {
        const end = minutes(meeting.end);
        entries.push(this.#taken(room, meeting, start, end));
        start = end;
        continue;
      }
      const next = Math.min(...taken.map((one) => minutes(one.start)).filter((one) => one > start), this.closes);
      const end = Math.min(start - (start % HALF) + HALF, next);
      entries.push(this.#free(room, start, end));
      start = end;
    }
    return entries;
  }

  #taken(room, meeting, start, end) {
    const button = element("button", "", "taken");
    Object.assign(button, { type: "button", booking: meeting });
    button.append(element("strong", meeting.title));
    const facts = `${meeting.start}–${meeting.end}, ${meeting.who}`;
    if (end - start >= 45) button.append(element("span", facts));
    else if (end - start >= HALF) {
      button.append(element("span", meeting.start));
      button.toggleAttribute("data-short", true);
    }
    button.setAttribute("aria-label", `${meeting.title}, ${meeting.start} to ${meeting.end}, ${meeting.who}, in ${room.name}`);
    return this.#placed(button, room, start, end);
  }

  #free(room, start, end) {
    const button = element("button", `Book ${clock(start)}`, "free");
    button.type = "button";
    button.dataset.start = clock(start);
    button.setAttribute("aria-label", `Book ${room.name} at ${clock(start)}`);
    return this.#placed(button, room, start, end);
  }

  #placed(button, room, start, end) {
    button.tabIndex = -1;
    button.dataset.place = `${room.key} ${start}`;
    button.begins = start;
    const item = this.#item(start, end);
    item.append(button);
    return item;
  }

  #item(start, end) {
    const item = element("li", "");
    item.style.setProperty("--from", (start - this.opens) / QUARTER + 1);
    item.style.setProperty("--to", (end - this.opens) / QUARTER + 1);
    return item;
  }

  #room(key) {
    return this.#house.rooms.find((room) => room.key === key);
  }

  // One tab stop for the board; arrows move within it.
  #rove(button) {
    for (const other of this.#board.querySelectorAll('.slots button[tabindex="0"]')) other.tabIndex = -1;
    if (button) button.tabIndex = 0;
  }

  #move(event) {
    const from = event.target.closest?.(".slots button");
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!from || !step) return;
    event.preventDefault();
    const columns = [...this.#columns.values()].filter((column) => column.offsetParent !== null);
    const column = columns[columns.indexOf(from.closest(".room")) + step[0]];
    if (!column) return;
    const buttons = [...column.querySelectorAll(".slots button")];
    const to = step[0]
      ? buttons.filter((button) => button.begins <= from.begins).at(-1)
      : buttons[buttons.indexOf(from) + step[1]];
    if (!to) return;
    this.#rove(to);
    to.focus();
  }
}

export function element(name, text, className = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}
