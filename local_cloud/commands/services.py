"""The services below the product, up for as long as a command runs."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from local_cloud.cloud import Cloud, exclusive, plan
from local_cloud.console import Console
from local_cloud.home import Home
from local_cloud.interruption import Interruption
from local_cloud.supervisor import Supervisor
from local_cloud.vms.machines import remove_all
from local_cloud.whole import start_services, start_whole

STATE = ("postgres", "postgres.partial", "valkey", "aws", "issuer", "mail", "git", "files")


@contextmanager
def services(
    home: Home,
    caller: Mapping[str, str],
    command: str,
    console: Console,
    *,
    durable: bool = True,
    apart: bool = False,
    whole: bool = False,
) -> Iterator[Cloud]:
    """Start the backing services of a home, prepared but without tables; stop them at the end of the block.

    With `apart` they start empty every time, on ports of their own; with `whole` the product and its VMs run on them.

    Raises:
        LocalCloudError: another command runs in this home, or a service does not start.
    """
    with Interruption() as interruption, exclusive(home, command):
        if apart:
            clear_state(home)
        cloud = plan(home, caller, durable=durable, apart=apart)
        if not apart:
            for note in cloud.notes:
                console.say(note)
        with Supervisor(home, console=console) as supervisor:
            interruption.hurry = supervisor.hurry
            yield (start_whole if whole else start_services)(cloud, supervisor, console)


def clear_state(home: Home) -> None:
    """Remove what the services keep in a home; keys, ports and logs stay."""
    remove_all(home.root / "vms")
    for name in STATE:
        shutil.rmtree(home.root / name, ignore_errors=True)
