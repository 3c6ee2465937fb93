"""What a VM is on this machine: its kind, what it sees of the machine's disk, and the daemon's configuration."""

import ctypes
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.environment import SYSTEM_PATH
from local_cloud.home import REPOSITORY
from local_cloud.vms import user_data
from local_cloud.vms.boot import CLONE_NEWNS, MS_PRIVATE, MS_REC, mount
from local_cloud.vms.machines import Boot, Kind, Machine
from local_cloud.vms.metadata import PORT
from local_cloud.vms.programs import link_all
from local_cloud.vms.volumes import Volumes
from local_cloud.vms.wanted import Instance

LONGEST_RUN_DIRECTORY = 64  # for the sockets in it
PROGRAMS = "/opt/envforge/programs"
# What people in shells find on a VM, as `deploy/daemon/install.sh` puts it there.
COMMANDS = (REPOSITORY / "deploy" / "daemon" / "envforge-keep-awake",)
_SENTENCES = {
    Kind.DISK: "VMs have namespaces and a root disk of their own",
    Kind.NAMESPACES: "VMs have namespaces of their own, and share this machine's root disk, over which none can be laid",
    Kind.TREE: (
        "VMs are ordinary processes of this user, since the local cloud does not run as root: no namespaces, "
        "no accounts, no firewall between their services"
    ),
}


@dataclass(frozen=True)
class Shapes:
    """How VMs are made here. `hidden` is the local cloud's own state, which no VM may see.

    `plain_git_hosts` (`name:port`) are this machine's, spoken to by http.
    """

    aws_url: str
    files: Path
    hidden: Path
    kind: Kind
    volumes: Volumes
    daemon: str = "envforge_daemon"
    plain_git_hosts: tuple[str, ...] = ()

    def sentence(self) -> str:
        """What VMs are here, in words."""
        return _SENTENCES[self.kind]

    def plan(self, instance: Instance, machine: Machine) -> Boot:
        """What to boot, with the user data's files written to the VM's disk.

        User data that cannot be used boots a VM without a daemon, whose console says why.
        """
        messages = []
        command: tuple[str, ...] = ()
        tag = ""
        try:
            asked = user_data.read(instance.user_data)
            configuration = self._write_files(asked, instance, machine)
            tag = str(configuration.get("host_id", "")).replace("-", "")[-6:]
            messages += [f"runcmd is not simulated: {one}" for one in asked.ignored]
            if asked.starts_daemon:
                command = (
                    sys.executable,
                    "-m",
                    self.daemon,
                    "--config",
                    self._seen(machine, user_data.HOST_FILE),
                )
            else:
                messages.append("no runcmd enables envforge-daemon.service, so it is not started")
        except user_data.UserDataError as error:
            messages.append(f"cloud-init: {error}")
        return Boot(
            address=instance.address,
            kind=self.kind,
            command=command,
            environment=self._environment(machine),
            mounts=self._mounts(instance, machine),
            messages=tuple(messages),
            boots=instance.boots,
            tag=tag,
        )

    def _seen(self, machine: Machine, path: str) -> str:
        """A path of the VM's disk as the VM names it."""
        return path if self.kind is Kind.DISK else str(machine.disk / path.lstrip("/"))

    def _environment(self, machine: Machine) -> dict[str, str]:
        """The daemon's whole environment: nothing of ours but where the programs are."""
        home = self._seen(machine, "/root")
        (machine.disk / "root").mkdir(mode=0o700, parents=True, exist_ok=True)
        return {
            "PATH": SYSTEM_PATH,
            "HOME": home,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def _write_files(self, asked: user_data.Plan, instance: Instance, machine: Machine) -> dict[str, Any]:
        """Write the files; returns the daemon's configuration, completed by what differs on this machine.

        Raises UserDataError: the configuration is not a JSON object.
        """
        configuration: dict[str, Any] = {}
        for file in asked.files:
            content = file.content
            if file.path == user_data.HOST_FILE:
                configuration = _object(content) | self._differences(instance, machine)
                content = json.dumps(configuration, indent=2).encode()
            place = machine.disk / file.path.lstrip("/")
            place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.write_bytes(content)
            place.chmod(file.mode)
        if asked.starts_daemon and not configuration:
            raise user_data.UserDataError(
                f"write_files holds no {user_data.HOST_FILE}, which the daemon needs."
            )
        link_all(machine.disk / PROGRAMS.lstrip("/"))
        if self.kind is Kind.DISK:
            for command in COMMANDS:
                place = machine.disk / "usr/local/bin" / command.name
                place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                place.write_bytes(command.read_bytes())
                place.chmod(0o755)
            # This machine's may be a link into its own /run, which the VM does not see.
            resolver = machine.disk / "etc" / "resolv.conf"
            resolver.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            resolver.write_bytes(
                Path("/etc/resolv.conf").read_bytes() if Path("/etc/resolv.conf").exists() else b""
            )
        return configuration

    def _differences(self, instance: Instance, machine: Machine) -> dict[str, Any]:
        """Addresses, endpoints and directories: all in which a VM here differs from one on AWS."""
        run = self._seen(machine, "/run/envforge")
        if self.kind is Kind.NAMESPACES:
            run = "/run/envforge"
        if len(run) > LONGEST_RUN_DIRECTORY:
            run = str(Path(tempfile.gettempdir()) / f"envforge-{instance.instance_id}")
        return {
            "listen_address": instance.address,
            "metadata_endpoint": f"http://{instance.address}:{PORT}",
            "sts_endpoint": self.aws_url,
            "ssm_endpoint": self.aws_url,
            "state_dir": self._seen(machine, "/var/lib/envforge"),
            "run_dir": run,
            "files_root": str(self.files),
            "volumes_dir": str(self.volumes.of(instance.instance_id)),
            "programs": self._seen(machine, PROGRAMS),
            "machine": "shared",
            "walls": "where_possible",
            "plain_git_hosts": list(self.plain_git_hosts),
            "cgroup": f"envforge-vm-{instance.instance_id}",
        }

    def _mounts(self, instance: Instance, machine: Machine) -> tuple[tuple[str, str, str], ...]:
        if self.kind is Kind.TREE:
            return ()
        mounts = [("read_only", str(REPOSITORY), str(REPOSITORY))] if self.kind is Kind.DISK else []
        mounts.append(("hide", str(self.hidden), ""))
        shown = [
            ("read_only", Path(sys.prefix)),
            ("bind", self.files),
            ("bind", self.volumes.of(instance.instance_id)),
        ]
        if Path(sys.base_prefix).stat().st_dev != Path("/").stat().st_dev:
            shown.append(("read_only", Path(sys.base_prefix)))
        if self.kind is Kind.NAMESPACES:
            shown.append(("bind", machine.disk))
        return (*mounts, *((kind, str(path), str(path)) for kind, path in shown))


def _object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise user_data.UserDataError(f"{user_data.HOST_FILE} in write_files is not a JSON object.")
    return document


def possible_kind() -> Kind:
    """The most a VM can be here, found out by trying."""
    if os.geteuid() != 0:
        return Kind.TREE
    with tempfile.TemporaryDirectory(prefix="envforge-probe-") as directory:
        for name in ("upper", "work", "root"):
            (Path(directory) / name).mkdir()
        if _succeeds(lambda: _lay_over(Path(directory))):
            return Kind.DISK
    return Kind.NAMESPACES if _succeeds(_unshare) else Kind.TREE


def _succeeds(attempt: Any) -> bool:
    """Whether something works in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            attempt()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _unshare() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", "/", "", MS_REC | MS_PRIVATE)


def _lay_over(directory: Path) -> None:
    _unshare()
    layers = f"lowerdir=/,upperdir={directory / 'upper'},workdir={directory / 'work'}"
    mount("overlay", str(directory / "root"), "overlay", 0, layers)
