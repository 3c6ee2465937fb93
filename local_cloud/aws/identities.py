"""Whose key signed a request: the account's root, an IAM user, or a role session."""

import hmac
import json
import logging
import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from local_cloud.aws import policies, world
from local_cloud.aws.wire import Fault, RefusedError

log = logging.getLogger("local_cloud.aws")

_KEY_ALPHABET = string.ascii_uppercase + "234567"
_REMEMBER_EXPIRED = timedelta(hours=1)


@dataclass(frozen=True)
class AccessKey:
    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class Session:
    """Temporary credentials of a role, with what narrows them."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    role_name: str
    name: str
    expires_at: datetime
    policies: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tag_keys: frozenset[str] = frozenset()
    source: str = ""
    """"EC2 instance i-..." for the credentials of an instance, else the ARN that assumed the role."""


@dataclass(frozen=True)
class Identity:
    """A caller, and the sets of policies that must each allow what it does."""

    kind: Literal["root", "user", "role"]
    arn: str
    user_id: str
    principal_arn: str
    username: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    grants: tuple[str, ...] = field(default=(), repr=False)
    boundaries: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    transitive_tags: Mapping[str, str] = field(default_factory=dict)

    def context(self, region: str) -> dict[str, tuple[str, ...]]:
        """The condition keys that describe the caller."""
        described: dict[str, tuple[str, ...]] = {
            "aws:principalaccount": (world.ACCOUNT_ID,),
            "aws:principalarn": (self.principal_arn,),
            "aws:principaltype": ({"root": "Account", "user": "User", "role": "AssumedRole"}[self.kind],),
            "aws:requestedregion": (region,),
            "aws:userid": (self.user_id,),
        }
        if self.username:
            described["aws:username"] = (self.username,)
        described.update({f"aws:principaltag/{key.lower()}": (value,) for key, value in self.tags.items()})
        return described

    def verdict(self, ask: policies.Ask) -> policies.Verdict:
        """ALLOWED only when the identity's own policies and every boundary allow; DENIED when any denies."""
        if self.kind == "root":
            return policies.Verdict.ALLOWED
        try:
            verdicts = [
                policies.evaluate([policies.parse(document) for document in documents], ask)
                for documents in (self.grants, *self.boundaries)
            ]
        except policies.MalformedPolicyError as error:
            log.warning("a policy of %s cannot be read, so nothing is allowed: %s", self.arn, error)
            return policies.Verdict.DENIED
        if policies.Verdict.DENIED in verdicts:
            return policies.Verdict.DENIED
        silent = policies.Verdict.SILENT in verdicts
        return policies.Verdict.SILENT if silent else policies.Verdict.ALLOWED


def new_access_key(prefix: Literal["AKIA", "ASIA"]) -> AccessKey:
    key_id = prefix + "".join(secrets.choice(_KEY_ALPHABET) for _ in range(16))
    return AccessKey(key_id, secrets.token_urlsafe(30))


def load_or_create_root_key(path: Path) -> AccessKey:
    """The account's root key, made at the first start and kept in a file only its owner can read.

    Raises ValueError: the file is there but holds no key.
    """
    if not path.exists():
        key = new_access_key("AKIA")
        write_private(path, json.dumps(key.__dict__).encode())
        return key
    try:
        return AccessKey(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} holds no root key; remove it, or run `./dev reset` to start anew"
        ) from error


def write_private(path: Path, content: bytes) -> None:
    """Replace a file as one durable step, readable by its owner alone."""
    temporary = path.with_name(f"{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Identities:
    """Finds secrets and identities by access key id; keeps the role sessions."""

    def __init__(self, root_key: AccessKey) -> None:
        self._root_key = root_key
        self.sessions: dict[str, Session] = {}

    def secret_of(self, access_key_id: str, session_token: str | None) -> str:
        """Raises RefusedError: the key is not known or not active, or its session token is another's."""
        if access_key_id == self._root_key.access_key_id and session_token is None:
            return self._root_key.secret_access_key
        session = self.sessions.get(access_key_id)
        if session is not None and session_token is not None:
            if hmac.compare_digest(session.session_token.encode(), session_token.encode()):
                return session.secret_access_key
        elif session_token is None:
            _, key = _user_with_key(access_key_id)
            if key is not None:
                return str(key.secret_access_key)
        raise RefusedError("The security token included in the request is invalid.", fault=Fault.UNKNOWN_KEY)

    def identify(self, access_key_id: str, now: datetime) -> Identity:
        """Who holds this key; call it only after the signature was verified.

        Raises RefusedError: the session has expired, or its role is gone.
        """
        if access_key_id == self._root_key.access_key_id:
            arn = f"arn:aws:iam::{world.ACCOUNT_ID}:root"
            return Identity("root", arn, world.ACCOUNT_ID, arn)
        session = self.sessions.get(access_key_id)
        if session is None:
            user, _ = _user_with_key(access_key_id)
            return _user_identity(user)
        if now >= session.expires_at:
            raise RefusedError(
                "The security token included in the request is expired", fault=Fault.EXPIRED_SESSION
            )
        return _session_identity(session)

    def open_session(self, session: Session) -> None:
        """Keep a session; ones that expired long ago are let go."""
        limit = datetime.now(UTC) - _REMEMBER_EXPIRED
        for key_id in [key_id for key_id, one in self.sessions.items() if one.expires_at < limit]:
            del self.sessions[key_id]
        self.sessions[session.access_key_id] = session


def find_role(role_name: str) -> Any | None:
    return next((role for role in world.backend("iam").roles.values() if role.name == role_name), None)


def role_tags(role: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in role.tags or ()}


def managed_document(arn: str) -> str | None:
    """The default version of a managed policy."""
    policy = world.backend("iam").managed_policies.get(arn)
    return None if policy is None else _default_document(policy)


def _user_with_key(access_key_id: str) -> tuple[Any, Any]:
    for user in world.backend("iam").users.values():
        for key in user.access_keys:
            if key.access_key_id == access_key_id and key.status == "Active":
                return user, key
    return None, None


def _default_document(policy: Any) -> str:
    return next(str(one.document) for one in policy.versions if one.version_id == policy.default_version_id)


def _documents(holder: Any) -> tuple[str, ...]:
    return (*map(str, holder.policies.values()), *map(_default_document, holder.managed_policies.values()))


def _user_identity(user: Any) -> Identity:
    groups = world.backend("iam").get_groups_for_user(user.name)
    return Identity(
        kind="user",
        arn=user.arn,
        user_id=user.id,
        principal_arn=user.arn,
        username=user.name,
        tags={tag["Key"]: tag["Value"] for tag in user.tags or ()},
        grants=(*_documents(user), *(document for group in groups for document in _documents(group))),
    )


def _session_identity(session: Session) -> Identity:
    role = find_role(session.role_name)
    if role is None:
        raise RefusedError("The security token included in the request is invalid.", fault=Fault.UNKNOWN_KEY)
    boundaries: list[tuple[str, ...]] = [session.policies] if session.policies else []
    if role.permissions_boundary_arn:
        document = managed_document(role.permissions_boundary_arn)
        boundaries.append((document,) if document else ())
    return Identity(
        kind="role",
        arn=f"arn:aws:sts::{world.ACCOUNT_ID}:assumed-role/{session.role_name}/{session.name}",
        user_id=f"{role.id}:{session.name}",
        principal_arn=role.arn,
        tags={**role_tags(role), **session.tags},
        grants=_documents(role),
        boundaries=tuple(boundaries),
        transitive_tags={
            key: value for key, value in session.tags.items() if key in session.transitive_tag_keys
        },
    )
