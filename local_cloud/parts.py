"""The processes of the local cloud, as a list: what runs, after what, with what it may know."""

import os
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from local_cloud.cloud import Cloud
from local_cloud.environment import CLIENT_ID, GATEWAY_NETWORKS, REGION, ambient
from local_cloud.home import REPOSITORY, write_private
from local_cloud.readiness import http_ok, log_says
from local_cloud.supervisor import Part

SIGN_IN_PATH = "/auth/callback"
SIGNED_OUT_PATH = "/"
WORKER_PROCESSES = 2
VM_STOP_GRACE_S = 1.0
# Longer than a VM takes, so that EC2 never says of one that runs that it does not.
INSTANCE_DELAYS_S = (("--boot-s", 2.0), ("--stop-s", 3.0), ("--terminate-s", 1.0))


def backing_parts(cloud: Cloud) -> list[Part]:
    """The services below the product, without those the caller brings along."""
    return [make(cloud) for name, make in BACKING.items() if name not in cloud.given]


def product_parts(cloud: Cloud) -> list[Part]:
    """EnvForge itself: web, worker, beat and sealer."""
    needs = tuple(part.name for part in backing_parts(cloud))
    celery = (sys.executable, "-m", "celery", "-A", "envforge")
    schedule = cloud.home.run / "beat-schedule"
    web = cloud.ports["web"]
    return [
        Part(
            name="web",
            title="Console and API",
            command=(
                *(sys.executable, "-m", "uvicorn", "envforge.asgi:application", "--host", "127.0.0.1"),
                *("--port", str(web), "--no-access-log"),
                # VMs' polls wait for up to 25 s; whoever stops the server does not.
                *("--timeout-graceful-shutdown", "2"),
            ),
            environment=cloud.environment("web"),
            ready=lambda: http_ok(web, "/health/ready"),
            needs=needs,
        ),
        Part(
            name="worker",
            title="Worker",
            command=(
                *(*celery, "worker", "--concurrency", str(WORKER_PROCESSES), "--loglevel", "info"),
                # Workers need not know of one another, and their talk ends in tracebacks when the broker goes.
                *("--without-gossip", "--without-mingle"),
            ),
            environment=_celery_environment(cloud, "worker"),
            ready=lambda: log_says(cloud.home.logs / "worker.log", " ready."),
            needs=needs,
        ),
        Part(
            name="beat",
            title="Schedule",
            command=(
                *(*celery, "beat", "-s", str(schedule), "--loglevel", "info"),
                *("--pidfile", ""),  # the supervisor sees to it that there is one
            ),
            environment=_celery_environment(cloud, "beat"),
            ready=lambda: log_says(cloud.home.logs / "beat.log", "beat: Starting"),
            needs=needs,
        ),
        Part(
            name="sealer",
            title="Audit sealer",
            command=(sys.executable, str(REPOSITORY / "manage.py"), "seal_audit"),
            environment=cloud.environment("sealer"),
            ready=lambda: log_says(cloud.home.logs / "sealer.log", "sealer.partitions"),
            needs=needs,
        ),
    ]


def gateway_parts(cloud: Cloud) -> list[Part]:
    """The gateway, after the control plane whose it is."""
    health = cloud.ports["gateway_admin"]
    return [
        Part(
            name="gateway",
            title="Dev gateway",
            command=(sys.executable, "-m", "envforge_gateway"),
            environment=ambient(cloud.caller)
            | {
                "ENVFORGE_DEV_URL": cloud.dev_url,
                "ENVFORGE_GATEWAY_API_URL": cloud.console_url,
                "ENVFORGE_GATEWAY_CREDENTIAL": cloud.keys["gateway_credential"],
                "ENVFORGE_GATEWAY_UPSTREAM_NETWORKS": GATEWAY_NETWORKS,
                "ENVFORGE_GATEWAY_LISTEN": f"127.0.0.1:{cloud.ports['gateway']}",
                "ENVFORGE_GATEWAY_ADMIN_LISTEN": f"127.0.0.1:{health}",
                "ENVFORGE_GATEWAY_PROCESSES": "1",
                "ENVFORGE_GATEWAY_DRAIN_S": "1",
            },
            ready=lambda: http_ok(health, "/health"),
            needs=("web",),
        )
    ]


def _aws(cloud: Cloud) -> Part:
    port = cloud.ports["aws"]
    return Part(
        name="aws",
        title="AWS endpoint",
        command=(
            *(sys.executable, "-m", "local_cloud.aws", "--port", str(port)),
            *("--state", str(cloud.home.directory("aws")), "--root-key-file", str(cloud.aws_root_key_file)),
            # Tests wait for nothing that they do not ask for; people should see an instance on its way.
            *(word for name, seconds in INSTANCE_DELAYS_S for word in (name, str(seconds)) if cloud.durable),
        ),
        environment=ambient(cloud.caller),
        ready=lambda: http_ok(port, "/health"),
    )


def vm_parts(cloud: Cloud) -> list[Part]:
    """The VM simulator; nothing where the caller's own AWS has VMs, or where loopback has one address."""
    if "aws" in cloud.given or sys.platform != "linux":
        return []
    return [
        Part(
            name="vms",
            title="VM simulator",
            command=(
                *(sys.executable, "-m", "local_cloud.vms", "--aws-url", cloud.aws_url, "--region", REGION),
                *("--root-key-file", str(cloud.aws_root_key_file), "--state", str(cloud.vms_directory)),
                *("--files", str(cloud.files_directory), "--volumes", str(cloud.volumes_directory)),
                *("--hide", str(cloud.home.root)),
                *("--stop-grace-s", str(VM_STOP_GRACE_S), "--plain-git-host", urlsplit(cloud.git_url).netloc),
            ),
            environment=ambient(cloud.caller),
            ready=lambda: log_says(cloud.home.logs / "vms.log", "ready: "),
            needs=("aws",),
        )
    ]


def _issuer(cloud: Cloud) -> Part:
    port = cloud.ports["issuer"]
    clients = cloud.home.run / "issuer-clients.json"

    def register() -> None:
        write_private(
            clients,
            [
                {
                    "client_id": CLIENT_ID,
                    "client_secret": cloud.keys["auth0_client_secret"],
                    "redirect_uris": [url + SIGN_IN_PATH for url in (cloud.console_url, cloud.admin_url)],
                    "post_logout_redirect_uris": [
                        url + SIGNED_OUT_PATH for url in (cloud.console_url, cloud.admin_url)
                    ],
                    "name": "EnvForge",
                }
            ],
        )

    return Part(
        name="issuer",
        title="Sign-in service",
        command=(
            *(sys.executable, "-m", "local_cloud.issuer", "--port", str(port), "--issuer", cloud.issuer_url),
            *("--state", str(cloud.home.directory("issuer")), "--clients", str(clients)),
        ),
        environment=ambient(cloud.caller),
        prepare=register,
        ready=lambda: http_ok(port, "/health"),
    )


def _mail(cloud: Cloud) -> Part:
    port = cloud.ports["mail"]
    return Part(
        name="mail",
        title="Mail catcher",
        command=(
            *(sys.executable, "-m", "local_cloud.mail", "--smtp-port", str(cloud.ports["smtp"])),
            *("--port", str(port), "--state", str(cloud.home.directory("mail"))),
        ),
        environment=ambient(cloud.caller),
        ready=lambda: http_ok(port, "/health"),
    )


def _git(cloud: Cloud) -> Part:
    port = cloud.ports["git"]
    return Part(
        name="git",
        title="Git host",
        command=(
            *(sys.executable, "-m", "local_cloud.git", "--port", str(port)),
            *("--state", str(cloud.home.directory("git"))),
        ),
        environment=ambient(cloud.caller),
        ready=lambda: http_ok(port, "/health"),
    )


def _celery_environment(cloud: Cloud, part: str) -> dict[str, str]:
    # Celery warns root off pickled tasks; ours are JSON.
    return cloud.environment(part) | ({"C_FORCE_ROOT": "1"} if os.geteuid() == 0 else {})


BACKING: dict[str, Callable[[Cloud], Part]] = {
    "postgres": lambda cloud: cloud.postgres.part(),
    "valkey": lambda cloud: cloud.valkey.part(),
    "aws": _aws,
    "issuer": _issuer,
    "mail": _mail,
    "git": _git,
}
