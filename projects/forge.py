"""The only way to a forge's API: what an app asks there, in the shape of GitHub's REST API for apps.

An app says who it is by a token (JWT, RS256) that lives for ten minutes and is signed in KMS when it is needed; nothing that is
asked or answered here is kept.
"""

import json
import re
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any
from uuid import UUID

from envforge import egress
from envforge.egress import Answer, EgressRefused
from envforge.secret_value import SecretValue
from secrets_ref import signing
from secrets_ref.troubles import StoreRefused
from secrets_ref.troubles import Trouble as StoreTrouble

# Ahead of clocks that run behind ours, and as long as GitHub allows.
BEGAN_AGO_S, LIVES_S = 60, 540
# GitHub's live for an hour; longer is no credential for minutes.
LONGEST = timedelta(minutes=65)
WITHIN_S = 5.0
READ = {"contents": "read"}
# GitHub adds it to whatever is asked for; it opens no content.
_HARMLESS = {"metadata": "read"}
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_TOKEN = re.compile(r"[\x21-\x7e]{1,1000}")
_REPOSITORY = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,100}")


class Trouble(StrEnum):
    """Why an app cannot do what it is for."""

    KEY_MISSING = "key_missing"
    KEY_DENIED = "key_denied"
    KEY_DISABLED = "key_disabled"
    KEY_KIND = "key_kind"
    KEY_OPEN = "key_open"
    KEY_SILENT = "key_silent"
    APP = "app"
    INSTALLATION = "installation"
    SUSPENDED = "suspended"
    REPOSITORY = "repository"
    PERMISSION = "permission"
    TOO_WIDE = "too_wide"
    BUSY = "busy"
    FORGE = "forge"
    ADDRESS = "address"


WORDS = {
    Trouble.KEY_MISSING: "KMS knows no such key. Give the ARN of the key itself, and not that of an alias.",
    Trouble.KEY_DENIED: "EnvForge may not sign with this key for your organization. Give the key the policy or tag that this page shows.",
    Trouble.KEY_DISABLED: "The key is disabled, waits for its material or is about to be deleted. Enable it in KMS.",
    Trouble.KEY_KIND: "The key is of another kind. Use an RSA key of 2048 bits or more that is for signing (SIGN_VERIFY).",
    Trouble.KEY_OPEN: "Any organization of EnvForge could sign with this key. Let its policy ask for your organization's tag, as this page shows.",
    Trouble.KEY_SILENT: "KMS does not answer. Try again in a minute.",
    Trouble.APP: "The forge does not know the app by this key: the client id is another app's, or the key is not the one the app has.",
    Trouble.INSTALLATION: "The app has no such installation. Give the number at the end of the installation's address.",
    Trouble.SUSPENDED: "The app or its installation is suspended at the forge. Unsuspend it there.",
    Trouble.REPOSITORY: "The installation does not include this repository. Add it to the app's repositories at the forge.",
    Trouble.PERMISSION: "The app may not read contents. Give it the permission Contents: read at the forge, and accept it for the installation.",
    Trouble.TOO_WIDE: "The forge gave a credential for more than reading this one repository, or for more than an hour, so it was not used.",
    Trouble.BUSY: "The forge is asked too often just now. Try again in some minutes.",
    Trouble.FORGE: "The forge does not answer as expected. Try again in a while.",
    Trouble.ADDRESS: "The API's address cannot be called.",
}
# These pass by themselves; the others wait for somebody.
PASSING = frozenset({Trouble.KEY_SILENT, Trouble.BUSY, Trouble.FORGE})
_OF_STORE = {
    StoreTrouble.NOT_FOUND: Trouble.KEY_MISSING,
    StoreTrouble.DENIED: Trouble.KEY_DENIED,
    StoreTrouble.KEY_DISABLED: Trouble.KEY_DISABLED,
    StoreTrouble.KEY_USAGE: Trouble.KEY_KIND,
    StoreTrouble.VALUE: Trouble.KEY_MISSING,
}


class AppRefused(Exception):
    """The app could not do it; `words` are for a person, with what the forge's address had to do with it."""

    def __init__(self, trouble: Trouble, more: str = "") -> None:
        super().__init__(trouble.value)
        self.trouble = trouble
        self.words = f"{WORDS[trouble]} {more}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app as its API is asked."""

    org_id: UUID
    api_url: str
    git_url: str
    client_id: str
    installation: str
    key_arn: str

    def repository_of(self, url: str) -> str | None:
        """The name of a repository that lies directly below `git_url`; None for any other address."""
        prefix = f"{self.git_url}/"
        if not url.startswith(prefix):
            return None
        name = url.removeprefix(prefix).removesuffix(".git")
        return name if _REPOSITORY.fullmatch(name) else None


@dataclass(frozen=True, slots=True)
class Minted:
    """A credential that reads one repository; never stored."""

    token: SecretValue
    expires_at: datetime


def check(app: App, nobody: UUID) -> None:
    """Try the key, the app and its installation, in this order.

    Args:
        nobody: an id that is no organization's, as which the key must not be usable.

    Raises:
        AppRefused
    """
    try:
        key = signing.public_key(app.org_id, app.key_arn)
    except StoreRefused as refused:
        raise _of_store(refused) from None
    if not key.signs:
        raise AppRefused(Trouble.KEY_KIND)
    try:
        signing.sign(nobody, app.key_arn, b"Whose key is this?")
    except StoreRefused as refused:
        if refused.trouble is not StoreTrouble.DENIED:
            raise _of_store(refused) from None
    else:
        raise AppRefused(Trouble.KEY_OPEN)
    token = signed(app)
    _require(_ask("GET", f"{app.api_url}/app", token), HTTPStatus.OK)
    _require(_ask("GET", f"{app.api_url}/app/installations/{app.installation}", token), HTTPStatus.OK)


def signed(app: App) -> SecretValue:
    """The token with which the app says who it is, for ten minutes from a minute ago. Raises AppRefused."""
    now = int(time.time())
    claims = {"iss": app.client_id, "iat": now - BEGAN_AGO_S, "exp": now + LIVES_S}
    said = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    try:
        signature = signing.sign(app.org_id, app.key_arn, said.encode())
    except StoreRefused as refused:
        raise _of_store(refused) from None
    return SecretValue(f"{said}.{_encoded(signature)}")


def mint(app: App, token: SecretValue, repository: str) -> Minted:
    """A credential that reads this one repository's contents and nothing else. Raises AppRefused."""
    answer = _ask(
        "POST",
        f"{app.api_url}/app/installations/{app.installation}/access_tokens",
        token,
        {"repositories": [repository], "permissions": READ},
    )
    _require(answer, HTTPStatus.CREATED)
    said = answer.json()
    minted = _minted(said)
    if minted is None:
        raise AppRefused(Trouble.FORGE)
    if not _is_narrow(said, minted, repository):
        revoke(app.api_url, minted.token)
        raise AppRefused(Trouble.TOO_WIDE)
    return minted


def revoke(api_url: str, token: SecretValue) -> bool:
    """End a minted credential; False if the forge did not say so, and it then ends by itself."""
    try:
        answer = _ask("DELETE", f"{api_url}/installation/token", token)
    except AppRefused:
        return False
    return answer.status in {HTTPStatus.NO_CONTENT, HTTPStatus.UNAUTHORIZED}


def _minted(said: Any) -> Minted | None:
    try:
        token, expires_at = said["token"], datetime.fromisoformat(said["expires_at"])
    except (TypeError, KeyError, ValueError):
        return None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token) or expires_at.tzinfo is None:
        return None
    return Minted(SecretValue(token), expires_at)


def _is_narrow(said: dict[str, Any], minted: Minted, repository: str) -> bool:
    try:
        names = [str(one["name"]).lower() for one in said["repositories"]]
        given = dict(said["permissions"])
    except (TypeError, KeyError, ValueError):
        return False
    lives = minted.expires_at - datetime.now(UTC)
    narrow = given in (READ, READ | _HARMLESS) and said.get("repository_selection") != "all"
    return narrow and names == [repository.lower()] and lives <= LONGEST


def _ask(method: str, url: str, token: SecretValue, body: dict[str, Any] | None = None) -> Answer:
    try:
        return egress.call(
            method,
            url,
            headers={**_HEADERS, "Authorization": f"Bearer {token.reveal_text()}"},
            body=body,
            within_s=WITHIN_S,
        )
    except EgressRefused as refused:
        passing = refused.trouble in {egress.Trouble.NO_ANSWER, egress.Trouble.TOO_SLOW}
        trouble, more = (Trouble.FORGE if passing else Trouble.ADDRESS), refused.words
    raise AppRefused(trouble, more)


def _require(answer: Answer, wanted: HTTPStatus) -> None:
    if answer.status == wanted:
        return
    said = answer.json()
    message = str(said.get("message", "")).lower() if isinstance(said, dict) else ""
    match answer.status:
        case HTTPStatus.UNAUTHORIZED:
            raise AppRefused(Trouble.APP)
        case HTTPStatus.NOT_FOUND:
            raise AppRefused(Trouble.INSTALLATION)
        case HTTPStatus.TOO_MANY_REQUESTS:
            raise AppRefused(Trouble.BUSY)
        case HTTPStatus.FORBIDDEN if "suspend" in message:
            raise AppRefused(Trouble.SUSPENDED)
        case HTTPStatus.FORBIDDEN:
            raise AppRefused(Trouble.BUSY if "rate limit" in message else Trouble.PERMISSION)
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            raise AppRefused(Trouble.PERMISSION if "permission" in message else Trouble.REPOSITORY)
    raise AppRefused(Trouble.FORGE)


def _of_store(refused: StoreRefused) -> AppRefused:
    return AppRefused(_OF_STORE.get(refused.trouble, Trouble.KEY_SILENT))


def _encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).decode().rstrip("=")
