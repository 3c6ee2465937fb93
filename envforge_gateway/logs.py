"""One line of JSON an event: words, ids and counts; never a path of a share link, a cookie, a token or a header."""

import json
import sys
from collections.abc import Callable

from envforge_gateway.clock import wall

Log = Callable[..., None]


def logger(name: str) -> Log:
    """Writes events of one process to standard error."""

    def log(event: str, **facts: str | float | bool | None) -> None:
        line = {"at": wall().isoformat(timespec="milliseconds"), "gateway": name, "event": event, **facts}
        sys.stderr.write(json.dumps(line) + "\n")
        sys.stderr.flush()

    return log
