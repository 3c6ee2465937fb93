"""The endpoint as a process: a threaded HTTP server on loopback that ends cleanly on SIGTERM."""

import fcntl
import logging
import os
import signal
import threading
import types
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from local_cloud.aws import world
from local_cloud.aws.endpoint import Endpoint
from local_cloud.aws.identities import Identities, load_or_create_root_key
from local_cloud.aws.state import Snapshots, UnreadableStateError
from local_cloud.aws.transitions import Delays

ADDRESS = "127.0.0.1"
ROOT_KEY_FILE = "root-key.json"


class _QuietHandler(MotoRequestHandler):
    """Keeps connections open, and leaves logging to the endpoint, which knows what may be logged."""

    protocol_version = "HTTP/1.1"
    timeout = 300

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        pass


def serve(*, port: int, state_directory: Path, delays: Delays, root_key_file: Path | None = None) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        UnreadableStateError: a state file cannot be used, or another process uses the directory.
        ValueError: the root key file holds no key.
        NoNetworkError: other local clouds use every network an instance could be in.
        OSError: the port is taken, or the directory cannot be written.
    """
    snapshots = Snapshots(state_directory)
    lock_file = _lock(state_directory)
    root_key = load_or_create_root_key(root_key_file or state_directory / ROOT_KEY_FILE)
    endpoint = Endpoint(Identities(root_key), snapshots, delays)
    endpoint.restore(state_directory)
    server = make_server(ADDRESS, port, endpoint, threaded=True, request_handler=_QuietHandler)
    _end_on_signals(server)
    threading.Thread(target=_warm_up, args=(endpoint,), daemon=True).start()
    try:
        server.serve_forever(poll_interval=0.05)
    finally:
        # A change that is being made is finished and durable before the process ends.
        with endpoint.lock:
            server.server_close()
            os.close(lock_file)


def _lock(directory: Path) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UnreadableStateError(f"Another local cloud is using {directory}; stop it first.") from None
    return descriptor


def _end_on_signals(server: BaseWSGIServer) -> None:
    def end(_number: int, _frame: types.FrameType | None) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def _warm_up(endpoint: Endpoint) -> None:
    """Build moto's applications now, so that no caller waits for them."""
    for service in world.SERVICES:
        with endpoint.lock:
            world.application(service)


def configure_logging() -> None:
    """One line per request on standard error: time, method, service, action, identity, status."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("local_cloud").setLevel(logging.INFO)
    # moto and its libraries may log what they were given.
    for name in ("moto", "botocore", "werkzeug", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
