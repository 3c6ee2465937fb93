"""Run the mail catcher on the loopback address until SIGTERM or SIGINT."""

import argparse
import logging
import signal
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from local_cloud.mail.app import build_app
from local_cloud.mail.store import Store

GRACEFUL_SHUTDOWN_S = 3


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local_cloud.mail", description=__doc__)
    parser.add_argument("--smtp-port", type=_port, required=True, help="port on 127.0.0.1 that takes mail")
    parser.add_argument("--port", type=_port, required=True, help="port on 127.0.0.1 of the page")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="where messages are kept")
    return parser.parse_args()


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to 65535)")
    return int(text)


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> int:
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    # It logs every command with its arguments, addresses among them.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    # uvicorn raises the signal that stopped it once more when it has shut down; being asked to end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    store = Store(arguments.state)
    try:
        uvicorn.run(
            build_app(store, smtp_port=arguments.smtp_port),
            host="127.0.0.1",
            port=arguments.port,
            log_config=None,
            access_log=False,
            server_header=False,
            # Nobody stands before us, so nobody may say who the peer is.
            proxy_headers=False,
            lifespan="on",
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        )
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
