"""Messages between control plane and VM: strict, and silent about the credentials they carry (K2)."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from pydantic import ValidationError

from envforge_protocol.host.commands import Leased, PrepareShell
from envforge_protocol.host.reports import Reports
from envforge_protocol.host.workspaces import Repository, RepositoryCredential, Storage, Workspace

CANARY = "canary-4f1c"


def leased() -> Leased:
    workspace = Workspace(
        id=uuid4(),
        slug="main",
        user="main",
        uid=200_000,
        storage=Storage(kind="directory", directory="/srv/w"),
    )
    credential = RepositoryCredential(username="x", password=CANARY, expires_at=datetime.now(UTC))  # type: ignore[arg-type]
    repository = Repository(
        directory="web",
        url="https://git.test/acme/web",
        branch="main",
        fallback_branch="main",
        credential=credential,
    )
    return Leased(
        id=uuid4(),
        lease=uuid4(),
        lease_for_s=60,
        attempt=1,
        payload=PrepareShell(
            workspace=workspace,
            repositories=(repository,),
            certificate_authority="ssh-ed25519 AAAA",
            shell_limits={"memory_mib": 512, "cpu_millis": 500},  # type: ignore[arg-type]
        ),
    )


def test_k2_only_the_wire_shows_a_credential() -> None:
    message = leased()
    for shown in (repr(message), str(message), message.model_dump_json(), repr(message.model_dump())):
        assert CANARY not in shown
    assert CANARY in message.wire().decode()


def test_a_message_comes_back_as_it_went() -> None:
    message = leased()
    again = Leased.model_validate_json(message.wire())
    assert again == message
    assert isinstance(again.payload, PrepareShell)


def test_an_unknown_field_is_refused_and_not_repeated() -> None:
    document = json.loads(leased().wire())
    document["payload"]["repositories"][0]["credential"]["token"] = CANARY
    with pytest.raises(ValidationError) as refused:
        Leased.model_validate(document)
    assert CANARY not in str(refused.value)
    assert "token" in str(refused.value)


def test_reports_come_in_batches_of_a_hundred_at_most() -> None:
    one = {"id": str(uuid4()), "at": "2026-01-01T00:00:00Z"}
    body = {"kind": "contract_changed", "workspace_id": str(uuid4()), "directory": "web", "digest": "abc"}
    with pytest.raises(ValidationError):
        Reports.model_validate({"reports": [{**one, "body": body}] * 101})
