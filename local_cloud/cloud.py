"""One local cloud: its home, its ports, its servers, and the environment they make up."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from local_cloud.console import Console
from local_cloud.environment import (
    AUDIT_KEY,
    AUDIT_VAULT_BUCKET,
    CLIENT_ID,
    REGION,
    for_part,
    given_services,
    load_keys,
)
from local_cloud.errors import LocalCloudError
from local_cloud.home import Home, HomeLock
from local_cloud.ports import Ports
from local_cloud.postgres import Postgres, RolePasswords, prepare_database
from local_cloud.supervisor import Supervisor
from local_cloud.valkey import BROKER_DATABASE, CACHE_DATABASE, Valkey

DATABASE = "envforge"
WANTED_PORTS = {"web": 8000, "issuer": 8010, "aws": 8020, "postgres": 54330, "valkey": 63810}
PORT_TITLES = {
    "web": "the console",
    "issuer": "the sign-in service",
    "aws": "the AWS endpoint",
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
    notes: tuple[str, ...] = field(default=())

    @property
    def console_url(self) -> str:
        return f"http://localhost:{self.ports['web']}"

    @property
    def issuer_url(self) -> str:
        return f"http://localhost:{self.ports['issuer']}/"

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
            **{role: self.keys[f"postgres_{role}_password"] for role in ("owner", "app", "sealer")}
        )

    def database_url(self, role: str, database: str = DATABASE) -> str:
        """The address of a database of the local PostgreSQL for one of its roles (owner, app, sealer)."""
        password = self.keys[f"postgres_{role}_password"]
        return f"postgresql://envforge_{role}:{password}@127.0.0.1:{self.ports['postgres']}/{database}"

    def product(self) -> dict[str, str]:
        """Every variable of the product; `environment` cuts it down to what a part may know."""
        values = {
            "ENVFORGE_MODE": "development",
            "DJANGO_SECRET_KEY": self.keys["django_secret_key"],
            "ENVFORGE_CONSOLE_URL": self.console_url,
            "ENVFORGE_METRICS_TOKEN": self.keys["metrics_token"],
            "ENVFORGE_AUDIT_KEY": AUDIT_KEY,
            "ENVFORGE_AUDIT_VAULT_BUCKET": AUDIT_VAULT_BUCKET,
            "DATABASE_URL": self.database_url("app"),
            "ENVFORGE_OWNER_DATABASE_URL": self.database_url("owner"),
            "ENVFORGE_SEALER_DATABASE_URL": self.database_url("sealer"),
            "CELERY_BROKER_URL": self.valkey.url(BROKER_DATABASE),
            "CACHE_URL": self.valkey.url(CACHE_DATABASE),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports['aws']}",
            "AUTH0_ISSUER": self.issuer_url,
            "AUTH0_CLIENT_ID": CLIENT_ID,
            "AUTH0_CLIENT_SECRET": self.keys["auth0_client_secret"],
        }
        issued = {
            "AWS_ACCESS_KEY_ID": "control_plane_access_key_id",
            "AWS_SECRET_ACCESS_KEY": "control_plane_secret_access_key",
            "ENVFORGE_SEALER_AWS_ACCESS_KEY_ID": "sealer_access_key_id",
            "ENVFORGE_SEALER_AWS_SECRET_ACCESS_KEY": "sealer_secret_access_key",
        }
        values |= {name: self.keys[key] for name, key in issued.items() if key in self.keys}
        for given in self.given.values():
            values |= given
        return values

    def environment(self, part: str) -> dict[str, str]:
        """The complete environment of one part of the product."""
        return for_part(part, self.product(), self.caller)


def plan(home: Home, caller: Mapping[str, str], *, durable: bool = True) -> Cloud:
    """Settle keys and ports of a home, which must be locked by us.

    Raises:
        LocalCloudError: the caller names a service incompletely, or no port is free.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    given = given_services(caller)
    ports = Ports(home)
    chosen = {}
    notes = []
    for name, wanted in WANTED_PORTS.items():
        if name in given:
            continue
        choice = ports.choose(name, wanted)
        chosen[name] = choice.port
        if choice.note and name == "web":
            notes.append(f"{choice.note}; the console is at http://localhost:{choice.port} this time.")
        elif choice.note:
            notes.append(f"{choice.note}; {PORT_TITLES[name]} uses port {choice.port} this time.")
    return Cloud(home, caller, load_keys(home), given, chosen, durable, tuple(notes))


@contextmanager
def stores(home: Home, caller: Mapping[str, str], *, durable: bool = False) -> Iterator[Cloud]:
    """PostgreSQL with its roles and database, and Valkey, for as long as the block runs.

    Raises:
        LocalCloudError: the home is in use, or a server does not start.
    """
    lock = HomeLock(home.run / "lock")
    if not lock.acquire():
        raise LocalCloudError(
            f"{home.root} is in use by another ./dev command. {lock.holder_note()}".rstrip()
        )
    try:
        cloud = plan(home, caller, durable=durable)
        with Supervisor(home, console=Console()) as supervisor:
            supervisor.start([cloud.postgres.part(), cloud.valkey.part()])
            prepare_database(cloud.postgres.admin_dsn, DATABASE, cloud.role_passwords)
            yield cloud
    finally:
        lock.release()
