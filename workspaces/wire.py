"""Workspaces and their accounts as VMs are told of them."""

from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.runtimes import Limits
from hosts.files import FilesView
from hosts.models import Size
from workspaces.models import Account, Workspace

MOST_ACCOUNTS = 15
# What one service may take at most, by the runtime's size (`hosts.host_forms` has the machines).
LIMITS = {
    Size.SMALL: Limits(memory_mib=3 * 1024, cpu_millis=2000),
    Size.MEDIUM: Limits(memory_mib=14 * 1024, cpu_millis=4000),
    Size.LARGE: Limits(memory_mib=28 * 1024, cpu_millis=8000),
}
SHELL_LIMITS = Limits(memory_mib=2 * 1024, cpu_millis=2000, processes=1024)


def on_vm(workspace: Workspace, files: FilesView) -> wire.Workspace:
    """The workspace for a VM; its files have their place already."""
    if files.kind == "file_system":
        storage = wire.Storage(kind="file_system", file_system=files.file_system)
    else:
        storage = wire.Storage(kind="directory", directory=files.place)
    return wire.Workspace(
        id=workspace.id, slug=workspace.slug, user=login_of(files), uid=files.uid, storage=storage
    )


def login_of(files: FilesView) -> str:
    """The name of the shell's account: the same on every VM, and no other workspace's."""
    return f"w{files.uid}"


def account_of(workspace: Workspace, name: str) -> int | None:
    """The account of a service or resource of a locked workspace, given for good; None where all are given away."""
    held = dict(Account.objects.filter(workspace=workspace).values_list("name", "number"))
    if name in held:
        return held[name]
    free = next((one for one in range(1, MOST_ACCOUNTS + 1) if one not in held.values()), None)
    if free is not None:
        Account.objects.create(workspace=workspace, name=name, number=free)
    return free
