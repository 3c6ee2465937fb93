"""What the VM's program is told before it can ask anybody: `/etc/envforge/host.json`, written by the user data."""

import json
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from envforge_daemon.errors import ConfigError

DEFAULT_PATH = Path("/etc/envforge/host.json")

# As long as a socket's path may be (sun_path is 108 bytes), less what we append to the directory.
LONGEST_RUN_DIR = 64

type_of_url = r"^https?://[^\s/?#@]+$"
Url = Annotated[str, Field(pattern=type_of_url)]


class PortRange(BaseModel):
    """Ports of the VM that may become ingress ports, both ends included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int = Field(ge=1024, le=65535)
    last: int = Field(ge=1024, le=65535)

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last


class Config(BaseModel):
    """One VM's settings.

    `machine`: "own" is a VM of ours, where only root speaks to the metadata service; "shared" a machine with other
    users, whose accounts below 100,000 are left alone. `walls`: "required" starts nothing unless every wall of
    `isolation` stands; "where_possible" goes on without those this machine cannot have, and says which. `owner_pid`: the
    process whose end means that this VM is over, so that whatever it left on the machine may be swept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    control_plane: Url
    host_id: UUID
    generation: int = Field(ge=1)
    role: Literal["shell", "runtime"]
    region: str
    image: str
    listen_address: IPv4Address
    ports: PortRange = PortRange(first=20000, last=29999)
    gateway_addresses: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("127.0.0.0/8"),)

    metadata_endpoint: Url = "http://169.254.169.254"
    sts_endpoint: Url | None = None
    ssm_endpoint: Url | None = None

    state_dir: Path = Path("/var/lib/envforge")
    run_dir: Path = Path("/run/envforge")
    files_root: Path = Path("/srv/envforge")
    # Where disks for managed data are directories, by their ids; None where they are disks.
    volumes_dir: Path | None = None
    # The servers that workspaces may have: postgres/*/bin, valkey-server, weed (docs/daemon.md).
    programs: Path = Path("/opt/envforge/programs")

    machine: Literal["own", "shared"] = "own"
    walls: Literal["required", "where_possible"] = "required"
    owner_pid: int | None = None
    namespace_range: IPv4Network = IPv4Network("198.18.0.0/15")
    # Private networks that customers' code may reach; the others and everything link-local are closed to it.
    open_networks: tuple[IPv4Network, ...] = ()
    nameservers: tuple[IPv4Address, ...] = ()
    # The one workspace that has this VM to itself; without it nobody becomes root here (THREATS H5).
    dedicated_to: UUID | None = None
    # `name:port` of git hosts that may be spoken to by http, and may be this machine; none on a VM of ours.
    plain_git_hosts: tuple[Annotated[str, Field(pattern=r"^[^\s/?#@:]+:[0-9]+$")], ...] = ()
    # Where SSH listens; the relay connects here.
    ssh_port: int = Field(default=2222, ge=1024, le=65535)
    # What a workspace may write on the VM's own disk (/tmp, services' homes), as far as a quarter of the disk is more.
    scratch_mib: int = Field(default=8192, ge=64)
    # Below the root of each hierarchy of control groups.
    cgroup: str = Field(default="", pattern=r"^[A-Za-z0-9_.@:/-]*$")

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        for name in ("state_dir", "run_dir", "files_root", "programs"):
            if not getattr(self, name).is_absolute():
                raise ValueError(f"{name} must be an absolute path")
        if len(str(self.run_dir)) > LONGEST_RUN_DIR:
            raise ValueError(f"run_dir must be at most {LONGEST_RUN_DIR} characters, for the sockets in it")
        if ".." in self.cgroup.split("/"):
            raise ValueError("cgroup must not point upwards")
        return self

    @property
    def tag(self) -> str:
        """Six hexadecimal digits that name this VM's interfaces, namespaces and tables on its machine."""
        return self.host_id.hex[-6:]

    @property
    def sts(self) -> str:
        """The endpoint GetCallerIdentity is signed for."""
        return self.sts_endpoint or f"https://sts.{self.region}.amazonaws.com"

    def ssm_of(self, region: str) -> str:
        """The endpoint of a region's parameter store."""
        return self.ssm_endpoint or f"https://ssm.{region}.amazonaws.com"

    @property
    def group(self) -> str:
        """The control group everything of this VM lies in."""
        return self.cgroup.strip("/") or f"envforge-{self.tag}"


def endpoint(url: str) -> tuple[str, int]:
    """Name and port of a URL of ours."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def literal(name: str) -> IPv4Address | IPv6Address | None:
    """The address a name is, if it is one."""
    for kind in (IPv4Address, IPv6Address):
        try:
            return kind(name)
        except ValueError:
            continue
    return None


def load(path: Path) -> Config:
    """Read the file.

    Raises:
        ConfigError: it is missing, no JSON, or something in it cannot be used; says what and where.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist. The VM's user data writes it; name another file with --config FILE."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise ConfigError(f"{path} is not JSON. Write it again, from the host's user data.") from None
    if isinstance(document, dict) and "listen_address" not in document:
        document["listen_address"] = _own_address()
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'the whole'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigError(f"{path} cannot be used:\n  " + "\n  ".join(lines)) from None


def _own_address() -> str:
    """The address of the interface that leads to the metadata service: whoever makes a VM cannot know it beforehand.

    Raises:
        ConfigError: no interface leads there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            # Nothing is sent: connecting a datagram socket only chooses the way.
            asked.connect(("169.254.169.254", 80))
        except OSError:
            raise ConfigError("This VM has no address: no interface is up.") from None
        return str(asked.getsockname()[0])
