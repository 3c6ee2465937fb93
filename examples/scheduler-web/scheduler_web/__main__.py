"""`python3 -m scheduler_web`: serve until SIGTERM or SIGINT."""

import os
import signal
import sys
import threading
from types import FrameType

from scheduler_web.backend import Backend, Follower
from scheduler_web.live import Hub
from scheduler_web.pages import Pages
from scheduler_web.server import Server


def main() -> int:
    port = os.environ.get("PORT", "3000")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        print("PORT must be a number from 1 to 65535.", file=sys.stderr)
        return 2
    hub = Hub()
    backend = Backend(os.environ.get("BACKEND_URL", ""))
    server = Server(int(port), Pages(), backend, hub)

    def end(_number: int, _frame: FrameType | None) -> None:
        # From another thread: shutdown waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    Follower(backend, hub).start()
    print(f"the scheduler's pages are at http://localhost:{port}", file=sys.stderr, flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    hub.end()
    server.wait_until_idle()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Threads that still wait for a client may hold the lock of standard error, at which the interpreter's own end aborts.
    os._exit(status)
