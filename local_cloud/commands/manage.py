"""./dev manage and ./dev shell: manage.py against the running cloud, or one started for the time."""

import sys
from collections.abc import Mapping, Sequence

from local_cloud.cloud import running
from local_cloud.commands.foreground import run_in_foreground
from local_cloud.commands.services import services
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import REPOSITORY, Home


def run(home: Home, caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """Run manage.py with these arguments; its exit status is ours."""
    if not arguments:
        raise LocalCloudError("./dev manage needs a command, for example: ./dev manage help")
    command = [sys.executable, str(REPOSITORY / "manage.py"), *arguments]
    cloud = running(home, caller)
    if cloud is not None:
        return run_in_foreground(command, cloud.environment("manage"))
    with services(home, caller, f"manage {arguments[0]}", console) as started:
        return run_in_foreground(command, started.environment("manage"))


def shell(home: Home, caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """Open a Django shell."""
    return run(home, caller, ["shell", *arguments], console)
