"""What a workspace's processes see of the VM's files: their own at fixed short places, and no other's."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from envforge_daemon.isolation.accounts import SHELL, Account, group, passwd, private_directory
from envforge_daemon.isolation.firewall import nameservers

if TYPE_CHECKING:
    from envforge_daemon.isolation.workspace import Workspace

INSIDE = Path("/home/workspace")
# The shell's home, among the workspace's files so that it follows them; no repository's directory begins with a dot.
HOME = ".home"

# Where a resource's own processes see its data.
DATA = Path("/home/data")

OURS = ("passwd", "group", "resolv.conf")
# All of /run: sockets in it (journal, varlink, D-Bus, systemd, snapd, docker) answer anybody, whatever network they are in.
HIDDEN = ("/home", "/run")
# What is made anew in it, empty: (directory, mode).
MADE = (("/run/lock", 0o1777),)


def write(workspace: "Workspace") -> None:
    """Write the files of /etc that a workspace sees in place of the VM's."""
    servers = "".join(f"nameserver {address}\n" for address in nameservers(workspace.config))
    for name, content in (
        ("passwd", passwd(Path("/etc/passwd").read_text(), workspace.accounts)),
        ("group", group(Path("/etc/group").read_text(), workspace.accounts)),
        ("resolv.conf", servers),
    ):
        file = workspace.run_dir / name
        if not file.exists() or file.read_text() != content:
            # In place: processes that run already see the same file.
            file.write_text(content)
            file.chmod(0o644)


def of(
    workspace: "Workspace", account: Account, data: Path | None = None, sudoers: Path | None = None
) -> dict[str, Any]:
    """What `enter.make_private_view` is told: (source, target, make it, read only), what is hidden before, and what is made there."""
    private = private_directory(workspace.config, account)
    home = workspace.directory / HOME if account.number == SHELL else private / "home"
    show = [
        (str(workspace.directory), str(workspace.inside), True, False),
        *((str(private / "tmp"), target, False, False) for target in ("/tmp", "/var/tmp")),  # noqa: S108 - replaced
        *((str(workspace.run_dir / name), f"/etc/{name}", False, True) for name in OURS),
    ]
    if sudoers is not None:
        # A root window's (`shell.root`); the VM's own file, and what it includes, count for no workspace then.
        show.append((str(sudoers), "/etc/sudoers", False, True))
    if data is not None:
        show.append((str(data), str(DATA), True, False))
    if home.is_dir():
        show.append((str(home), str(account.home), True, False))
    return {"show": show, "hide": [*HIDDEN, str(workspace.config.run_dir)], "make": MADE}
