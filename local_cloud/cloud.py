"""One local cloud: its home, its ports, its servers, and the environment they make up."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local_cloud.console import Console
from local_cloud.environment import (
    AUDIT_KEY,
    AUDIT_VAULT_BUCKET,
    CLIENT_ID,
    EGRESS_ALLOWED_NETWORKS,
    FLEET,
    GATEWAY_NETWORKS,
    MAIL_FROM,
    PRICES,
    READER_ROLE_ARN,
    REGION,
    REPLACEABLE,
    for_part,
    given_services,
    load_keys,
)
from local_cloud.errors import LocalCloudError
from local_cloud.home import Home, HomeLock
from local_cloud.ports import Ports
from local_cloud.postgres import Postgres, RolePasswords, prepare_database
from local_cloud.processes import Records
from local_cloud.supervisor import Supervisor
from local_cloud.valkey import BROKER_DATABASE, CACHE_DATABASE, Valkey

DATABASE = "envforge"
WANTED_PORTS = {
    "web": 8000,
    "issuer": 8010,
    "aws": 8020,
    "mail": 8030,
    "git": 8040,
    "gateway": 8050,
    "gateway_admin": 8051,
    "smtp": 10250,
    "postgres": 54330,
    "valkey": 63810,
}
APART_PORTS = {
    "web": 18000,
    "issuer": 18010,
    "aws": 18020,
    "mail": 18030,
    "git": 18040,
    "gateway": 18050,
    "gateway_admin": 18051,
    "smtp": 10300,
    "postgres": 54380,
    "valkey": 63860,
}
# A server with two ports has the second under a name of its own.
SECOND_PORTS = {"smtp": "mail", "gateway_admin": "gateway"}
PORT_TITLES = {
    "web": "the console",
    "issuer": "the sign-in service",
    "aws": "the AWS endpoint",
    "mail": "the mail page",
    "git": "the git host",
    "gateway": "the gateway",
    "gateway_admin": "the gateway's health page",
    "smtp": "the mail catcher",
    "postgres": "PostgreSQL",
    "valkey": "Valkey",
}


@dataclass(frozen=True)
class Cloud:
    """The servers of one home and how to reach them. Making one starts nothing."""

    home: Home
    caller: Mapping[str, str]
    keys: Mapping[str, str]
    given: Mapping[str, Mapping[str, str]]
    ports: Mapping[str, int]
    durable: bool = True
    notes: tuple[str, ...] = ()
    claims: Ports | None = field(default=None, repr=False)

    @property
    def console_url(self) -> str:
        return f"http://localhost:{self.ports['web']}"

    @property
    def admin_url(self) -> str:
        """The same server under a host of its own: another site to the browser, with cookies of its own."""
        return f"http://admin.localhost:{self.ports['web']}"

    @property
    def issuer_url(self) -> str:
        return f"http://localhost:{self.ports['issuer']}"

    @property
    def aws_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['aws']}"

    @property
    def mail_url(self) -> str:
        return f"http://localhost:{self.ports['mail']}"

    @property
    def git_url(self) -> str:
        return f"http://localhost:{self.ports['git']}"

    @property
    def dev_url(self) -> str:
        """Below which the gateway serves dev hosts: another site than the console."""
        return f"http://dev.localhost:{self.ports['gateway']}"

    @property
    def share_link_file(self) -> Path:
        """Where the address of the seeded share link is kept, if there is one."""
        return self.home.run / "share-link.json"

    @property
    def aws_root_key_file(self) -> Path:
        return self.home.root / "aws" / "root-key.json"

    @property
    def vms_directory(self) -> Path:
        """Where the VMs' disks are."""
        return self.home.root / "vms"

    @property
    def files_directory(self) -> Path:
        """The shared file system of all VMs."""
        return self.home.root / "files"

    @property
    def volumes_directory(self) -> Path:
        """The volumes for managed data, as directories."""
        return self.home.root / "volumes"

    @property
    def postgres(self) -> Postgres:
        return Postgres(
            self.home.root / "postgres",
            port=self.ports["postgres"],
            password=self.keys["postgres_admin_password"],
            durable=self.durable,
        )

    @property
    def valkey(self) -> Valkey:
        return Valkey(
            self.home.root / "valkey", port=self.ports["valkey"], password=self.keys["valkey_password"]
        )

    @property
    def role_passwords(self) -> RolePasswords:
        return RolePasswords(
            **{role: self.keys[f"postgres_{role}_password"] for role in ("owner", "app", "sealer", "support")}
        )

    def with_keys(self, keys: Mapping[str, str]) -> "Cloud":
        """The same cloud after more keys were issued."""
        return replace(self, keys=keys)

    def database_url(self, role: str, database: str = DATABASE) -> str:
        """The address of a database of the local PostgreSQL for one of its roles (owner, app, sealer, support)."""
        password = self.keys[f"postgres_{role}_password"]
        return f"postgresql://envforge_{role}:{password}@127.0.0.1:{self.ports['postgres']}/{database}"

    def product(self) -> dict[str, str]:
        """Every variable of the product; `environment` cuts it down to what a part may know."""
        values = {
            "ENVFORGE_MODE": "development",
            "ENVFORGE_LOG_FORMAT": "text",
            "ENVFORGE_STATIC_ROOT": str(self.home.root / "static"),
            "DJANGO_SECRET_KEY": self.keys["django_secret_key"],
            "ENVFORGE_CONSOLE_URL": self.console_url,
            "ENVFORGE_ADMIN_URL": self.admin_url,
            "ENVFORGE_DEV_URL": self.dev_url,
            "ENVFORGE_GATEWAY_CREDENTIAL": self.keys["gateway_credential"],
            "ENVFORGE_MAIL_FROM": MAIL_FROM,
            "ENVFORGE_METRICS_TOKEN": self.keys["metrics_token"],
            "ENVFORGE_AUDIT_KEY": AUDIT_KEY,
            "ENVFORGE_AUDIT_VAULT_BUCKET": AUDIT_VAULT_BUCKET,
            "ENVFORGE_PLAIN_GIT_HOSTS": urlsplit(self.git_url).netloc,
            "ENVFORGE_EGRESS_ALLOWED_NETWORKS": EGRESS_ALLOWED_NETWORKS,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "ENVFORGE_GATEWAY_NETWORKS": GATEWAY_NETWORKS,
            "ENVFORGE_PRICES": PRICES,
            # An ordinary user has no namespaces, and the pages say so; where VMs have all walls it makes no difference.
            "ENVFORGE_HOST_WALLS": "where_possible",
            "ENVFORGE_FILES": f"directory:{self.home.root / 'files'}",
        }
        values |= {name: self.caller[name] for name in FLEET if name in self.caller and "aws" in self.given}
        for service in REPLACEABLE:
            values |= self.given[service] if service in self.given else self._own(service)
        return values

    def environment(self, part: str) -> dict[str, str]:
        """The complete environment of one part of the product."""
        return for_part(part, self.product(), self.caller)

    def _own(self, service: str) -> dict[str, str]:
        if service == "postgres":
            return {
                "DATABASE_URL": self.database_url("app"),
                "ENVFORGE_OWNER_DATABASE_URL": self.database_url("owner"),
                "ENVFORGE_SEALER_DATABASE_URL": self.database_url("sealer"),
                "ENVFORGE_SUPPORT_DATABASE_URL": self.database_url("support"),
            }
        if service == "valkey":
            return {
                "CELERY_BROKER_URL": self.valkey.url(BROKER_DATABASE),
                "CACHE_URL": self.valkey.url(CACHE_DATABASE),
            }
        if service == "issuer":
            return {
                "AUTH0_ISSUER": self.issuer_url,
                "AUTH0_CLIENT_ID": CLIENT_ID,
                "AUTH0_CLIENT_SECRET": self.keys["auth0_client_secret"],
            }
        if service == "mail":
            return {"EMAIL_URL": f"smtp://127.0.0.1:{self.ports['smtp']}"}
        issued = {
            "AWS_ACCESS_KEY_ID": "control_plane_access_key_id",
            "AWS_SECRET_ACCESS_KEY": "control_plane_secret_access_key",
            "ENVFORGE_SEALER_AWS_ACCESS_KEY_ID": "sealer_access_key_id",
            "ENVFORGE_SEALER_AWS_SECRET_ACCESS_KEY": "sealer_secret_access_key",
            "ENVFORGE_HOST_IMAGE": "host_image",
            "ENVFORGE_HOST_VPC": "host_vpc",
            "ENVFORGE_HOST_ROLE_ID": "host_role_id",
            "ENVFORGE_AWS_ACCOUNT_ID": "aws_account_id",
            "ENVFORGE_HOST_SUBNETS": "host_subnets",
            "ENVFORGE_GATEWAY_SECURITY_GROUP": "gateway_security_group",
        }
        return {"AWS_ENDPOINT_URL": self.aws_url, "ENVFORGE_READER_ROLE_ARN": READER_ROLE_ARN} | {
            name: self.keys[key] for name, key in issued.items() if key in self.keys
        }


def plan(home: Home, caller: Mapping[str, str], *, durable: bool = True, apart: bool = False) -> Cloud:
    """Settle keys and ports of a home, which must be locked by us; ends what a killed run left there.

    With `apart` the servers stand beside those of ./dev up: nothing the caller names replaces one, since tests
    tamper with what they find, and the ports are others.

    Raises:
        LocalCloudError: the caller names a service incompletely, or no port is free.
    """
    home.make()
    given = {} if apart else given_services(caller)
    notes = []
    # Before the ports are chosen: what still dies of an earlier run would hold them, and every address would change.
    ended = Records(home.run / "parts.json", home.root).end_leftovers()
    if ended:
        notes.append(f"Stopped what an earlier run had left behind: {', '.join(ended)}.")
    ports = Ports(home)
    chosen = {}
    for name, wanted in (APART_PORTS if apart else WANTED_PORTS).items():
        if SECOND_PORTS.get(name, name) in given:
            continue
        choice = ports.choose(name, wanted)
        chosen[name] = choice.port
        if choice.note and name == "web":
            notes.append(f"{choice.note}; the console is at http://localhost:{choice.port} this time.")
        elif choice.note:
            notes.append(f"{choice.note}; {PORT_TITLES[name]} uses port {choice.port} this time.")
    return Cloud(home, caller, load_keys(home), given, chosen, durable, tuple(notes), ports)


def unstarted(home: Home, caller: Mapping[str, str]) -> Cloud:
    """A cloud for commands that need its settings and none of its servers."""
    return Cloud(home, caller, load_keys(home), {}, WANTED_PORTS)


def lock_of(home: Home) -> HomeLock:
    """The lock of whoever runs servers in this home."""
    return HomeLock(home.run / "lock")


def describe_holder(note: str) -> dict[str, Any]:
    """What the holder of a lock wrote about itself: command, pid, address, ports."""
    try:
        found = json.loads(note)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def exclusive(home: Home, command: str) -> Iterator[HomeLock]:
    """Be the one command that runs servers in this home.

    Raises:
        LocalCloudError: another one is.
    """
    lock = lock_of(home)
    if not lock.acquire():
        holder = describe_holder(lock.holder_note())
        at = f" at {holder['address']}" if holder.get("address") else ""
        raise LocalCloudError(
            f"./dev {holder.get('command', '')} (process {holder.get('pid', '?')}) already runs here{at}.\n"
            "Use that one, or stop it with Ctrl-C where it runs and try again."
        )
    try:
        lock.note(json.dumps({"command": command, "pid": os.getpid()}))
        yield lock
    finally:
        lock.release()


def running(home: Home, caller: Mapping[str, str]) -> Cloud | None:
    """The cloud that ./dev up runs in this home now, or None."""
    lock = lock_of(home)
    if lock.acquire():
        lock.release()
        return None
    holder = describe_holder(lock.holder_note())
    if holder.get("command") != "up" or "ports" not in holder:
        return None
    return Cloud(home, caller, load_keys(home), given_services(caller), holder["ports"])


@contextmanager
def stores(home: Home, caller: Mapping[str, str], *, durable: bool = False) -> Iterator[Cloud]:
    """PostgreSQL with its roles and database, and Valkey, for as long as the block runs.

    Raises:
        LocalCloudError: the home is in use, or a server does not start.
    """
    with exclusive(home, "stores"):
        cloud = plan(home, caller, durable=durable, apart=True)
        with Supervisor(home, console=Console()) as supervisor:
            supervisor.start([cloud.postgres.part(), cloud.valkey.part()])
            prepare_database(cloud.postgres.admin_dsn, DATABASE, cloud.role_passwords)
            yield cloud
