"""Acme's app at the local git host: its key is made in the local KMS, and registered as an administrator would.

The key carries the organization's tag, so only a session of Acme's signs with it; the git host knows its public half alone.
"""

from urllib.parse import urlsplit
from uuid import UUID

from cryptography.hazmat.primitives import serialization

from envforge import aws, tenancy
from envforge.actor import Actor
from envforge.aws import Refused
from local_cloud.aws.secrets_access import ALIASES, SIGNS_FOR
from local_cloud.git.apps import App, Apps
from local_cloud.git.store import Store
from projects import operations
from projects.models import ForgeApp
from secrets_ref import signing


def seed_app(store: Store, git_url: str, owner: str, *, org_id: UUID, actor: Actor) -> str:
    """The name of the app that reads what this owner has at the git host; made where there is none for its address."""
    address = f"{git_url}/{owner}"
    with tenancy.enter(org_id):
        known = ForgeApp.objects.filter(git_url=address, removed_at=None).first()
    client_id = f"envforge-{org_id.hex}"
    key_arn = known.key_arn if known else _key(org_id)
    public = serialization.load_der_public_key(signing.public_key(org_id, key_arn).der).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    Apps(store.directory).register(App(client_id, owner, public.decode()))
    if known is not None:
        return known.name
    made = operations.register_forge_app(
        actor=actor,
        org_id=org_id,
        name=f"git-{urlsplit(git_url).port}",
        api_url=git_url,
        git_url=address,
        client_id=client_id,
        installation=owner,
        key_arn=key_arn,
    )
    return made.name


def _key(org_id: UUID) -> str:
    """The ARN of the organization's key for signing, made where there is none."""
    kms = aws.client("kms", once=True)
    alias = f"{ALIASES}{org_id.hex}-git"
    try:
        return str(aws.ask(kms.describe_key, KeyId=alias)["KeyMetadata"]["Arn"])
    except Refused as refused:
        if refused.code != "NotFoundException":
            raise
    made = aws.ask(
        kms.create_key,
        KeySpec="RSA_2048",
        KeyUsage="SIGN_VERIFY",
        Description="Signs for the app of an organization of EnvForge at its git host",
        Tags=[{"TagKey": tag, "TagValue": org_id.hex} for tag in ("envforge-org", SIGNS_FOR)],
    )["KeyMetadata"]
    aws.ask(kms.create_alias, AliasName=alias, TargetKeyId=made["KeyId"])
    return str(made["Arn"])
