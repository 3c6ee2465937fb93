"""Work that is done once on the way up, each with its progress and its log."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from local_cloud.cloud import DATABASE, Cloud
from local_cloud.console import Console
from local_cloud.environment import REGION, keep_keys, load_keys
from local_cloud.errors import LocalCloudError
from local_cloud.home import REPOSITORY
from local_cloud.postgres import prepare_database
from local_cloud.supervisor import LAUNCHER, log_tail

STOP_GRACE_S = 5.0
MANAGE = (sys.executable, str(REPOSITORY / "manage.py"))


def prepare_stores(cloud: Cloud, console: Console) -> Cloud:
    """Roles, database and AWS identities for the services that are ours; returns the cloud with what was issued."""
    if "postgres" not in cloud.given:
        with console.step("Database roles"):
            prepare_database(cloud.postgres.admin_dsn, DATABASE, cloud.role_passwords)
    if "aws" not in cloud.given:
        with console.step("AWS identities"):
            # moto takes most of a second to import; only the commands that start it pay.
            from local_cloud.aws.identities import load_or_create_root_key  # noqa: PLC0415
            from local_cloud.aws.provision import provision  # noqa: PLC0415

            root = load_or_create_root_key(cloud.aws_root_key_file)
            issued = provision(cloud.aws_url, root, REGION, state_directory=cloud.home.directory("aws"))
            keep_keys(
                cloud.home,
                control_plane_access_key_id=issued.control_plane.access_key_id,
                control_plane_secret_access_key=issued.control_plane.secret_access_key,
                sealer_access_key_id=issued.sealer.access_key_id,
                sealer_secret_access_key=issued.sealer.secret_access_key,
                host_image=issued.fleet.image,
                host_vpc=issued.fleet.vpc,
                host_subnets=",".join(issued.fleet.subnets),
                gateway_security_group=issued.fleet.gateway_security_group,
                host_role_id=issued.fleet.host_role_id,
                aws_account_id=issued.fleet.account,
            )
    return cloud.with_keys(load_keys(cloud.home))


def collect_static(cloud: Cloud, console: Console) -> None:
    """Gather the static files under the names the pages use."""
    command = (*MANAGE, "collectstatic", "--no-input")
    run_step(cloud, console, "static", "Static files", command, cloud.environment("static"))


def migrate(cloud: Cloud, console: Console) -> None:
    """Bring the database's tables up to date, as their owner."""
    command = (*MANAGE, "migrate", "--database=owner", "--no-input")
    run_step(cloud, console, "migrate", "Migrations", command, cloud.environment("migrate"))


def seed(cloud: Cloud, console: Console) -> None:
    """Fill an empty database with the fixed cast, their organizations, and the project of the examples."""
    git = ("--git-url", cloud.git_url, "--git-state", str(cloud.home.directory("git")))
    link = ("--share-link", str(cloud.share_link_file))
    command = (sys.executable, "-m", "local_cloud.seed", *git, *link)
    run_step(cloud, console, "seed", "People and examples", command, cloud.environment("seed"))


def run_step(
    cloud: Cloud,
    console: Console,
    name: str,
    title: str,
    command: Sequence[str],
    environment: Mapping[str, str],
) -> None:
    """Run a program to its end; what it writes goes to its log.

    Raises:
        LocalCloudError: it failed; holds the last lines of the log.
    """
    log = cloud.home.logs / f"{name}.log"
    with console.step(title):
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())),
                    *(str(int(signal.SIGTERM)), "-", "-", *command),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=REPOSITORY,
                start_new_session=True,
            )
        try:
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        if code != 0:
            raise LocalCloudError(
                f"{title} failed (exit status {code}). The end of {log}:\n{log_tail(log, 30)}\n"
                "Put that right and run the same command again."
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    deadline = time.monotonic() + STOP_GRACE_S
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
