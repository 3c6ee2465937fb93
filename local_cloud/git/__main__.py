"""Run the git host on the loopback address until SIGTERM or SIGINT."""

import argparse
import fcntl
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from local_cloud.errors import LocalCloudError
from local_cloud.git.access import Access
from local_cloud.git.app import build_app
from local_cloud.git.store import Store

GRACEFUL_SHUTDOWN_S = 3


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local_cloud.git", description=__doc__)
    parser.add_argument("--port", type=_port, required=True, help="port on 127.0.0.1 to listen on")
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="where repositories and tokens are kept"
    )
    parser.add_argument(
        "--root-key-file",
        type=Path,
        metavar="F",
        help="the key that may mint credentials, made if missing (DIR/root-key)",
    )
    return parser.parse_args()


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to 65535)")
    return int(text)


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _lock(directory: Path) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LocalCloudError(f"Another git host is using {directory}; stop it first.") from None
    return descriptor


def main() -> int:
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    # uvicorn raises the signal that stopped it once more when it has shut down; being asked to end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        store = Store(arguments.state.absolute())
        lock = _lock(store.directory)
        store.tidy()
        access = Access(store, arguments.root_key_file or store.directory / "root-key")
    except (LocalCloudError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        uvicorn.run(
            build_app(store, access),
            host="127.0.0.1",
            port=arguments.port,
            log_config=None,
            access_log=False,
            server_header=False,
            # Nobody stands before us, so nobody may say who the peer is.
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        )
    finally:
        os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
