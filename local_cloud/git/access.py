"""Who may read or push a repository: three kinds of token, each worth nothing elsewhere."""

import base64
import binascii
import enum
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.git.names import RepositoryName
from local_cloud.git.store import Store, kept_key

# Of the form by which EnvForge recognises its tokens in what people paste (envforge_protocol.credentials).
DEVELOPER_PREFIX = "envf_push_"
ROOT_PREFIX = "envf_mint_"
MINTED_PREFIX = "envf_fetch_"
MINTED_FOR_S = 600
_MAC_BYTES = 32


class Caller(enum.Enum):
    """By which token a request came; the words of the log."""

    NOBODY = "nobody"
    DEVELOPER = "developer"
    DEPLOY = "deploy"
    MINTED = "minted"

    @property
    def may_push(self) -> bool:
        return self is Caller.DEVELOPER


@dataclass(frozen=True)
class Minted:
    """A credential that reads one repository until `expires_at` (seconds since 1970)."""

    token: str = field(repr=False)
    expires_at: int


class Access:
    """The tokens of one home. Each comparison takes the same time whatever was presented.

    A minted credential is a message authenticated with the root key, so that nothing needs to be kept, a restart
    forgets none, and one ends with its repository: the deploy token of that moment is part of what is authenticated.
    """

    def __init__(self, store: Store, root_key_file: Path, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        self._root_key = kept_key(root_key_file, ROOT_PREFIX)
        # Of credentials that were revoked, until they would have ended; a restart forgets them, minutes early.
        self._revoked: dict[str, int] = {}
        self._developer_token = developer_token(store)

    def caller(self, name: RepositoryName, password: str) -> Caller:
        """What this password is worth at this repository, which need not exist."""
        if _same(password, self._developer_token):
            return Caller.DEVELOPER
        if self._store.find(name) is None:
            return Caller.NOBODY
        try:
            if _same(password, self._store.deploy_token(name)):
                return Caller.DEPLOY
            return Caller.MINTED if self._is_minted(name, password) else Caller.NOBODY
        except FileNotFoundError:  # the repository was removed in this moment
            return Caller.NOBODY

    def mint(self, name: RepositoryName) -> Minted:
        """A credential that reads this one repository, which must exist, for ten minutes."""
        expires_at = int(self._now()) + MINTED_FOR_S
        # The random part makes each one that can be revoked by itself.
        said = {"repository": str(name), "expires_at": expires_at, "nonce": secrets.token_hex(8)}
        content = json.dumps(said).encode()
        raw = base64.urlsafe_b64encode(self._mac(name, content) + content).decode().rstrip("=")
        return Minted(MINTED_PREFIX + raw, expires_at)

    def revoke(self, token: str) -> bool:
        """End a minted credential; False if it is none that works."""
        content = _content(token)
        name = RepositoryName.known(content[1]["repository"]) if content else None
        if content is None or name is None or not self._is_minted(name, token):
            return False
        self._revoked = {one: ends for one, ends in self._revoked.items() if ends > self._now()}
        self._revoked[_digest(token)] = content[1]["expires_at"]
        return True

    def _is_minted(self, name: RepositoryName, password: str) -> bool:
        found = _content(password)
        if found is None or self._store.find(name) is None:
            return False
        raw, said = found
        mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(name, content)):
            return False
        fresh = said["repository"] == str(name) and self._now() < said["expires_at"]
        return bool(fresh) and _digest(password) not in self._revoked

    def _mac(self, name: RepositoryName, content: bytes) -> bytes:
        key = self._root_key.encode()
        return hmac.digest(key, self._store.deploy_token(name).encode() + b"\0" + content, hashlib.sha256)


def _content(token: str) -> tuple[bytes, dict[str, Any]] | None:
    """What a minted credential carries, whoever made it."""
    encoded = token.removeprefix(MINTED_PREFIX)
    if encoded == token:
        return None
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        said = json.loads(raw[_MAC_BYTES:])
    except (ValueError, binascii.Error):
        return None
    known = isinstance(said, dict) and {"repository", "expires_at"} <= said.keys()
    return (raw, said) if known else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def developer_token(store: Store) -> str:
    """The one token that pushes: that of the person at this machine."""
    return kept_key(store.directory / "developer-token", DEVELOPER_PREFIX)


def password_of(authorization: str) -> str | None:
    """The password of an HTTP Basic header (RFC 7617), whatever the user's name; None if it is none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        return None
    # Some programs give the token as the user's name.
    return (password or user) if colon else None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
