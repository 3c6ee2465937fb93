"""What a wake hands to a host: references, and sessions that open exactly these, for minutes (S3, K1, K2)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import Event
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.aws import Refused, ask
from envforge.errors import Unavailable
from envforge.secret_value import SecretValue
from secrets_ref import consumption, grants, operations, paths, platform_secrets, sts
from secrets_ref.grants import ReaderSession, Reference, SecretsNotReady
from secrets_ref.models import Consumption, Secret
from tests.product.secret_places import some_places
from tests.product.store import aws_client, root, rotate, set_secret
from tests.product.world import World

LONGEST = "N" * 64


def reader(session: ReaderSession, service: str = "ssm") -> Any:
    held = session.credentials
    return aws_client(
        service,
        held.access_key_id,
        held.secret_access_key.reveal_text(),
        held.session_token.reveal_text(),
    )


def refused(call: Any, **parameters: Any) -> bool:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    return error.value.response["Error"]["Code"] in {"AccessDeniedException", "AccessDenied"}


def resolved(world: World, *names: str) -> dict[str, Reference]:
    (grant,) = grants.resolve_grants(org_id=world.acme.id, wanted=[("web", names)])
    return grant.references


def test_k1_k2_a_session_reads_exactly_what_was_granted(world: World) -> None:
    granted, other = set_secret(world, "GRANTED", "mine"), set_secret(world, "OTHER", "not granted")
    foreign = operations.set_secret(
        actor=world.mallory.as_actor(), org_id=world.mallet.id, name="GRANTED", value=SecretValue("theirs")
    )
    platform_secrets.keep_platform_secret(org_id=world.acme.id, name="GRANTED", value=SecretValue("ours"))
    platform = paths.platform_path(world.acme.id, "GRANTED")
    references = resolved(world, "GRANTED").values()
    (session,) = grants.mint_credentials(org_id=world.acme.id, references=references)
    ssm = reader(session)
    (found,) = ssm.get_parameters(Names=list(session.arns), WithDecryption=True)["Parameters"]
    assert found["Value"] == "mine"
    assert ssm.get_parameter(Name=granted.path, WithDecryption=True)["Parameter"]["Value"] == "mine"
    for path in (other.path, foreign.path, platform):
        for decrypt in (True, False):
            assert refused(ssm.get_parameter, Name=path, WithDecryption=decrypt)
            assert refused(ssm.get_parameters, Names=[granted.path, path], WithDecryption=decrypt)
    own = paths.own_prefix(world.acme.id)
    assert refused(ssm.put_parameter, Name=granted.path, Value="x", Type="SecureString", Overwrite=True)
    assert refused(ssm.delete_parameter, Name=granted.path)
    assert refused(ssm.describe_parameters)
    assert refused(ssm.get_parameters_by_path, Path=own, Recursive=True)
    assert refused(ssm.get_parameter_history, Name=granted.path)
    assert refused(ssm.add_tags_to_resource, ResourceType="Parameter", ResourceId=granted.path, Tags=[])
    kms = reader(session, "kms")
    assert refused(kms.list_keys)
    assert refused(kms.create_key)
    # A session is not a way to another.
    assert refused(
        reader(session, "sts").assume_role, RoleArn=settings.READER_ROLE_ARN, RoleSessionName="again"
    )
    minutes = session.credentials.expires_at - datetime.now(UTC)
    assert timedelta(minutes=14) < minutes <= timedelta(minutes=15)


def test_k1_the_role_holds_even_a_session_policy_that_asks_for_more(world: World) -> None:
    """The reader role's own policy: whatever a mistaken session policy says, another organization's is out of reach."""
    foreign = operations.set_secret(
        actor=world.mallory.as_actor(), org_id=world.mallet.id, name="S", value=SecretValue("theirs")
    )
    platform_secrets.keep_platform_secret(org_id=world.acme.id, name="S", value=SecretValue("ours"))
    arns = [paths.arn_of(foreign.path), paths.arn_of(paths.platform_path(world.acme.id, "S"))]
    ssm = reader(ReaderSession((), sts.open_session(world.acme.id, arns)))
    for path in (foreign.path, paths.platform_path(world.acme.id, "S")):
        assert refused(ssm.get_parameter, Name=path, WithDecryption=True)
    with pytest.raises(ValueError, match="somebody else"):
        grants.mint_credentials(
            org_id=world.acme.id, references=[Reference(foreign.id, "S", paths.arn_of(foreign.path), 1)]
        )


def test_k1_the_role_is_not_assumed_without_its_tag(world: World) -> None:
    client = sts._client()
    name = {"RoleArn": settings.READER_ROLE_ARN, "RoleSessionName": "untagged"}
    for tags in (
        [],
        [{"Key": "org", "Value": ""}],
        [{"Key": "org", "Value": "*"}],
        [{"Key": "Org2", "Value": "x"}],
    ):
        with pytest.raises(Refused, match="AccessDenied"):
            ask(client.assume_role, **name, Tags=tags)


def test_k2_references_are_packed_and_every_policy_fits(world: World) -> None:
    names = [f"S{number:02}" for number in range(12)]
    for name in names:
        set_secret(world, name, f"value of {name}")
    references = resolved(world, *names)
    sessions = grants.mint_credentials(org_id=world.acme.id, references=references.values())
    assert sorted(len(one.arns) for one in sessions) == [2, 5, 5]
    read: dict[str, str] = {}
    for session in sessions:
        answer = reader(session).get_parameters(Names=list(session.arns), WithDecryption=True)
        read |= {one["Name"].rpartition("/")[2]: one["Value"] for one in answer["Parameters"]}
    assert read == {name: f"value of {name}" for name in names}


@pytest.mark.parametrize("region", ["eu-central-1", "ap-southeast-7"])
@pytest.mark.parametrize("count", [0, 1, 5, 23])
def test_k2_the_longest_names_fit(count: int, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "AWS_REGION", region)
    org_id = uuid4()
    arns = [
        paths.arn_of(
            paths.path_of(org_id, project_id=uuid4(), workspace_id=None, name=f"{LONGEST[:-2]}{one:02}")
        )
        for one in range(count)
    ]
    packed = grants.batches(arns)
    assert [arn for batch in packed for arn in batch] == arns
    assert all(len(sts.session_policy(batch)) <= 2048 and len(batch) <= 5 for batch in packed)
    if count == 23:
        with pytest.raises(ValueError, match="2048"):
            sts.open_session(org_id, arns)


def test_a_grant_is_metadata_and_credentials_show_nothing(world: World) -> None:
    set_secret(world, "A", "canary-value")
    references = resolved(world, "A")
    assert references["A"].version == 1
    assert references["A"].arn.endswith(f"/envforge/{world.acme.id.hex}/org/A")
    assert "canary-value" not in repr(references)
    (session,) = grants.mint_credentials(org_id=world.acme.id, references=references.values())
    assert session.credentials.session_token.reveal_text() not in repr(session)
    assert session.credentials.secret_access_key.reveal_text() not in repr(session)


def test_the_narrowest_place_wins_and_what_is_missing_is_named_at_once(world: World) -> None:
    with some_places() as made:
        shop = made.project(world.acme.id, "Shop")
        branch = made.workspace(world.acme.id, shop, "feature")
        set_secret(world, "DB", "organization's")
        in_project = set_secret(world, "DB", "project's", project_id=shop)
        in_workspace = set_secret(world, "DB", "workspace's", project_id=shop, workspace_id=branch)

        def of(**where: Any) -> Any:
            (grant,) = grants.resolve_grants(org_id=world.acme.id, wanted=[("web", ["DB"])], **where)
            return grant.references["DB"].secret_id

        assert of(project_id=shop, workspace_id=branch) == in_workspace.id
        assert of(project_id=shop, workspace_id=uuid4()) == in_project.id
        assert of(project_id=uuid4()) not in {in_project.id, in_workspace.id}
        gone = set_secret(world, "GONE")
        with tenancy.enter(world.acme.id):
            Secret.objects.filter(id=gone.id).update(drift="deleted")
        with pytest.raises(SecretsNotReady) as missing:
            grants.resolve_grants(org_id=world.acme.id, wanted=[("web", ["DB", "NOPE"]), ("api", ["GONE"])])
        assert missing.value.names == ("GONE", "NOPE")
        with pytest.raises(SecretsNotReady):
            grants.resolve_grants(org_id=world.mallet.id, wanted=[("web", ["DB"])])


def test_k2_nothing_of_a_session_is_stored(world: World) -> None:
    set_secret(world)
    references = resolved(world, "STRIPE_KEY").values()
    with CaptureQueriesContext(connection) as caught:
        grants.mint_credentials(org_id=world.acme.id, references=references)
    assert [
        one["sql"] for one in caught if re.match(r"\s*(INSERT|UPDATE|DELETE|MERGE|COPY)", one["sql"])
    ] == []


def test_sts_in_trouble_is_said_in_words(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    set_secret(world)
    monkeypatch.setattr(settings, "READER_ROLE_ARN", settings.READER_ROLE_ARN + "-gone")
    with pytest.raises(Unavailable, match="may not do this"):
        grants.mint_credentials(org_id=world.acme.id, references=resolved(world, "STRIPE_KEY").values())


def test_s4_who_read_what_and_who_runs_an_old_version(world: World) -> None:
    secret, org_id = set_secret(world), world.acme.id
    workspace, host, other_host = uuid4(), uuid4(), uuid4()

    def report(run: Any, version: int, at: Any = host) -> int:
        return consumption.record_consumption(
            actor=SYSTEM,
            org_id=org_id,
            workspace_id=workspace,
            service="web",
            host_id=at,
            run_id=run,
            consumed={secret.id: version, uuid4(): 1},
        )

    first, second = uuid4(), uuid4()
    assert [report(first, 1), report(first, 1)] == [1, 0]
    rotate(world, secret)
    with tenancy.enter(org_id):
        assert [(one.version, one.running) for one in Consumption.objects.all()] == [(1, True)]
    assert report(second, 2, other_host) == 1
    with tenancy.enter(org_id):
        rows = Consumption.objects.order_by("version")
        assert [(one.version, one.running) for one in rows] == [(1, False), (2, True)]
        events = Event.objects.filter(kind="secret.consumed").order_by("at", "id")
        assert [one.facts for one in events] == [
            {"service": "web", "version": 1},
            {"service": "web", "version": 2},
        ]
        assert {one.workspace_id for one in events} == {workspace}
    assert consumption.consumed_on(org_id=org_id, host_id=host) == [secret.id]
    assert consumption.consumed_on(org_id=world.mallet.id, host_id=host) == []
    consumption.end_consumption(org_id=org_id, workspace_id=workspace)
    with tenancy.enter(org_id):
        assert not Consumption.objects.filter(running=True).exists()


def test_s5_the_control_plane_cannot_read_what_services_read(world: World) -> None:
    import os

    secret = set_secret(world)
    mine = aws_client("ssm", os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    for decrypt in (True, False):
        assert refused(mine.get_parameter, Name=secret.path, WithDecryption=decrypt)
    assert refused(mine.get_parameter_history, Name=secret.path)
    assert refused(mine.get_parameters_by_path, Path=paths.own_prefix(world.acme.id), Recursive=True)
    assert refused(mine.put_parameter, Name="/elsewhere/X", Value="x", Type="SecureString")
    # Nor encrypt under a key that is no organization's.
    assert refused(mine.put_parameter, Name=secret.path + "2", Value="x", Type="SecureString")
    kms = aws_client("kms", os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    assert refused(kms.create_key)
    sealed = root("kms").encrypt(KeyId=f"alias/envforge-org-{world.acme.id.hex}", Plaintext=b"x")
    assert refused(kms.decrypt, CiphertextBlob=sealed["CiphertextBlob"])
