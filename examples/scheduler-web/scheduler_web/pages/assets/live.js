// The WebSocket: it comes back by itself while the page is looked at, and is left alone while it is not.

const PAUSES_MS = [500, 1000, 2000, 5000, 15000];

export class Live {
  #socket = null;
  #failed = 0;
  #timer = 0;
  #hear;

  constructor(hear) {
    this.#hear = hear;
    document.addEventListener("visibilitychange", () => this.#open());
    addEventListener("online", () => this.#open());
    this.#open();
  }

  tell(content) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(content));
  }

  #open() {
    clearTimeout(this.#timer);
    if (document.hidden || (this.#socket && this.#socket.readyState <= WebSocket.OPEN)) return;
    const socket = (this.#socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`));
    socket.addEventListener("open", () => {
      this.#hear({ type: "connected", again: this.#failed > 0 });
      this.#failed = 0;
    });
    socket.addEventListener("message", (event) => this.#hear(JSON.parse(event.data)));
    socket.addEventListener("close", () => {
      this.#hear({ type: "lost" });
      this.#timer = setTimeout(() => this.#open(), PAUSES_MS[Math.min(this.#failed++, PAUSES_MS.length - 1)]);
    });
  }
}
