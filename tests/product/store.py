"""The secret store as its owner sees it, and a way to it that fails on request; for tests of secrets."""

import contextlib
import http.client
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import boto3
import pytest
from botocore.config import Config
from django.conf import settings

from audit.models import Event
from envforge import tenancy
from envforge.secret_value import SecretValue
from orgs.models import Person
from secrets_ref import operations, ssm, sts
from secrets_ref.models import Secret, SecretVersion, Store
from tests.product.world import World


def aws_client(service: str, key_id: str, secret: str, token: str | None = None) -> Any:
    connect: Any = boto3.client
    return connect(
        service,
        endpoint_url=settings.AWS_ENDPOINT_URL,
        region_name=settings.AWS_REGION,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def root(service: str) -> Any:
    """A client of the account's root, whom nothing stops: what happens outside of EnvForge."""
    key = json.loads(Path(os.environ["ENVFORGE_TEST_AWS_ROOT_KEY_FILE"]).read_text())
    return aws_client(service, key["access_key_id"], key["secret_access_key"])


def stored(path: str) -> str:
    """The value that is in the store now."""
    value: str = root("ssm").get_parameter(Name=path, WithDecryption=True)["Parameter"]["Value"]
    return value


def put_outside(path: str, value: str, org_id: UUID) -> None:
    """A value written by somebody outside of EnvForge, under the organization's key."""
    root("ssm").put_parameter(
        Name=path, Value=value, Type="SecureString", KeyId=ssm.key_alias(org_id), Overwrite=True
    )


def set_secret(world: World, name: str = "STRIPE_KEY", value: str = "first", **more: Any) -> Secret:
    by: Person = more.pop("by", world.alice)
    return operations.set_secret(
        actor=by.as_actor(), org_id=world.acme.id, name=name, value=SecretValue(value), **more
    )


def rotate(world: World, secret: Secret, value: str = "second", **more: Any) -> Secret:
    return operations.rotate_secret(
        actor=world.alice.as_actor(),
        org_id=world.acme.id,
        secret_id=secret.id,
        value=SecretValue(value),
        **more,
    )


def again(world: World, secret: Secret) -> Secret:
    with tenancy.enter(world.acme.id):
        return Secret.objects.get(id=secret.id)


def versions(world: World) -> list[tuple[int | None, str, str]]:
    with tenancy.enter(world.acme.id):
        rows = SecretVersion.objects.order_by("asked_at", "id")
        return [(row.version, row.cause, row.outcome) for row in rows]


def told(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    with tenancy.enter(world.acme.id):
        rows = Event.objects.filter(kind__startswith="secret.").order_by("at", "id")
        return [(row.kind, row.actor_label, row.facts) for row in rows]


def delete(world: World, secret: Secret) -> None:
    operations.delete_secret(actor=world.alice.as_actor(), org_id=world.acme.id, secret_id=secret.id)


def make_due(org_id: UUID) -> None:
    """Let the leases of this organization's writes be over, and its comparison due."""
    with tenancy.enter(org_id):
        for write in SecretVersion.objects.filter(outcome="asked"):
            SecretVersion.objects.filter(id=write.id).update(leased_until=write.asked_at)
        store = Store.objects.get()
        Store.objects.update(due_at=store.due_at.replace(year=2020))


class CrookedAws:
    """Stands before the endpoint; answers chosen actions with an error that repeats the request, swallows their answer, or puts an empty page before it."""

    def __init__(self) -> None:
        self.refusals: dict[str, tuple[int, str]] = {}
        self.swallowed: set[str] = set()
        self.hesitant: set[str] = set()
        # What was asked where a page was put before the answer: it is asked again as it was signed.
        self.put_off: tuple[bytes, dict[str, str]] = b"", {}
        self.seen: list[str] = []

    def refuse(self, action: str, code: str, status: int = 400) -> None:
        self.refusals[action] = (status, code)

    def swallow(self, action: str) -> None:
        self.swallowed.add(action)

    def hesitate(self, action: str) -> None:
        self.hesitant.add(action)

    def heal(self) -> None:
        self.refusals.clear()
        self.swallowed.clear()
        self.hesitant.clear()


def _handler(crooked: CrookedAws, behind: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            crooked.seen.append(action)
            if action in crooked.refusals:
                status, code = crooked.refusals[action]
                answer = json.dumps({"__type": code, "message": f"No: {body.decode()}"}).encode()
                self._answer(status, answer, {"Content-Type": "application/x-amz-json-1.1"})
                return
            headers = dict(self.headers)
            if action in crooked.hesitant:
                if "NextToken" not in json.loads(body):
                    crooked.put_off = body, headers
                    page = json.dumps({"Parameters": [], "NextToken": "more"}).encode()
                    self._answer(200, page, {"Content-Type": "application/x-amz-json-1.1"})
                    return
                body, headers = crooked.put_off
            connection = http.client.HTTPConnection(behind, timeout=10)
            connection.request("POST", self.path, body, headers)
            answered = connection.getresponse()
            answer = answered.read()
            connection.close()
            if action in crooked.swallowed:
                self.close_connection = True
                return
            kept = {
                name: value
                for name, value in answered.getheaders()
                if name.lower() not in {"content-length", "connection", "date", "server"}
            }
            self._answer(answered.status, answer, kept)

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Nothing."""

    return Handler


@contextlib.contextmanager
def crooked_aws() -> Iterator[CrookedAws]:
    crooked = CrookedAws()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), _handler(crooked, urlsplit(settings.AWS_ENDPOINT_URL or "").netloc)
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        forget_clients()
        try:
            yield crooked
        finally:
            patch.undo()
            forget_clients()
            server.shutdown()
            server.server_close()


def forget_clients() -> None:
    for cached in (ssm._ssm, ssm._kms, sts._client):
        cached.cache_clear()
