"""Run the issuer on the loopback address until SIGTERM or SIGINT."""

import argparse
import logging
import signal
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from local_cloud.issuer.app import build_app
from local_cloud.issuer.clients import ClientsFileError, is_web_address, load_clients
from local_cloud.issuer.issuer import Issuer
from local_cloud.issuer.keys import KeyRing
from local_cloud.issuer.store import Store

GRACEFUL_SHUTDOWN_S = 3


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local_cloud.issuer", description=__doc__)
    parser.add_argument("--port", type=_port, required=True, help="port on 127.0.0.1")
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="where keys and sessions are kept"
    )
    parser.add_argument(
        "--issuer", type=_issuer_url, required=True, metavar="URL", help="the issuer identifier"
    )
    parser.add_argument(
        "--clients", type=Path, required=True, metavar="FILE.json", help="the registered clients"
    )
    return parser.parse_args()


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to 65535)")
    return int(text)


def _issuer_url(text: str) -> str:
    _scheme, _, rest = text.partition("://")
    if not is_web_address(text) or rest.rstrip("/") != rest.split("/")[0] or set(rest) & set("?#@"):
        raise argparse.ArgumentTypeError(
            f"{text} must look like http://localhost:9000, with no path or query"
        )
    return text


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> int:
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    try:
        clients = load_clients(arguments.clients)
    except ClientsFileError as error:
        print(f"The issuer did not start. {error}", file=sys.stderr)
        return 2
    # uvicorn raises the signal that stopped it once more when it has shut down; being asked to end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    store = Store(arguments.state)
    try:
        app = build_app(Issuer(url=arguments.issuer, clients=clients, store=store, keys=KeyRing(store)))
        uvicorn.run(
            app,
            host="127.0.0.1",
            port=arguments.port,
            log_config=None,
            access_log=False,
            server_header=False,
            # Nobody stands before us, so nobody may say who the peer is.
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        )
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
