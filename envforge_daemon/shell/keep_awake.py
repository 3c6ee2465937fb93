"""What people declare in the shell by `envforge-keep-awake` (deploy/daemon/envforge-keep-awake): that the runtime is needed (W7).

The file is the account's own: two lines, seconds since 1970 and why. Whatever else is in it is no declaration.
"""

from datetime import UTC, datetime

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import Workspace
from envforge_daemon.isolation.view import HOME
from envforge_protocol.host.runtimes import LONGEST_REASON, Declared

FILE = f"{HOME}/.envforge-keep-awake"
LONGEST_FILE = 1024
LONGEST_DIGITS = 12


async def read(workspace: Workspace) -> Declared | None:
    """What is declared; None where nothing ever was, or the file is none of the command's."""
    try:
        content = await workspace.read_file(FILE, limit=LONGEST_FILE)
    except IsolationError:
        return None
    return parse(content) if content is not None else None


def parse(content: bytes) -> Declared | None:
    """The file's two lines."""
    until, _, reason = content.decode(errors="replace").partition("\n")
    if not (until.isascii() and until.isdigit() and len(until) <= LONGEST_DIGITS):
        return None
    said = "".join(c if c.isprintable() else " " for c in reason.partition("\n")[0])
    try:
        at = datetime.fromtimestamp(int(until), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return Declared(until=at, reason=" ".join(said.split())[:LONGEST_REASON])
