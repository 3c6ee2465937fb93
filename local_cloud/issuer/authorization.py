"""What a client asks for at /authorize, checked (RFC 6749 4.1.1, RFC 7636, OpenID Connect Core 3.1.2.1)."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

from local_cloud.issuer.clients import Client
from local_cloud.issuer.issuer import organization_slug
from local_cloud.issuer.parameters import Parameters

SCOPES = ("openid", "profile", "email")
PROMPTS = ("none", "login", "select_account", "consent")
# A SHA-256 digest in base64url, unpadded: 43 characters (RFC 7636, 4.2).
_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_SECONDS = re.compile(r"[0-9]{1,9}")


class NotRedirectableError(Exception):
    """The client or its address is not known, so the browser must not be sent there. The message is for people."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that may be granted. `organization` is a slug; `scope` holds only scopes this issuer has."""

    client_id: str
    redirect_uri: str
    state: str | None
    scope: str
    nonce: str | None
    code_challenge: str
    prompt: tuple[str, ...]
    max_age_s: int | None
    login_hint: str | None
    organization: str | None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "AuthorizationRequest":
        fields = json.loads(text)
        return cls(**{**fields, "prompt": tuple(fields["prompt"])})

    def answer(self, **parameters: str) -> str:
        """The client's address with an answer and its `state` (RFC 6749, 4.1.2)."""
        return with_query(self.redirect_uri, parameters, self.state)


class AuthorizationRefusedError(Exception):
    """The client is known, the request is not good: `location` tells the client so (RFC 6749, 4.1.2.1)."""

    def __init__(self, error: str, description: str, *, redirect_uri: str, state: str | None) -> None:
        super().__init__(f"{error}: {description}")
        self.location = with_query(redirect_uri, {"error": error, "error_description": description}, state)


def check(parameters: Parameters, clients: Mapping[str, Client]) -> AuthorizationRequest:
    """Turn parameters into a request that may be granted.

    Raises:
        NotRedirectableError: client or redirect address unknown.
        AuthorizationRefusedError: anything else is wrong.
    """
    client, redirect_uri = _destination(parameters, clients)
    state = parameters.get("state")
    try:
        return _checked(parameters, client, redirect_uri)
    except _WrongError as wrong:
        raise AuthorizationRefusedError(
            wrong.error, wrong.description, redirect_uri=redirect_uri, state=state
        ) from wrong


class _WrongError(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description


def _destination(parameters: Parameters, clients: Mapping[str, Client]) -> tuple[Client, str]:
    client_id, redirect_uri = parameters.get("client_id"), parameters.get("redirect_uri")
    if client_id is None:
        raise NotRedirectableError(
            "The request names no single client_id, so nobody can say which application asks."
        )
    client = clients.get(client_id)
    if client is None:
        raise NotRedirectableError(
            f"No client “{client_id}” is registered. The clients file lists those that are."
        )
    if redirect_uri is None:
        raise NotRedirectableError(f"{client.name} names no single redirect_uri to return to.")
    if redirect_uri not in client.redirect_uris:
        raise NotRedirectableError(
            f"“{redirect_uri}” is not one of the redirect_uris of {client.name}. They must match to the letter."
        )
    return client, redirect_uri


def _checked(parameters: Parameters, client: Client, redirect_uri: str) -> AuthorizationRequest:
    if parameters.repeated:
        raise _WrongError("invalid_request", "a parameter was sent more than once")
    for unsupported in ("request", "request_uri", "registration"):
        if parameters.get(unsupported) is not None:
            raise _WrongError(f"{unsupported}_not_supported", f"the parameter {unsupported} is not supported")
    response_type = parameters.get("response_type")
    if response_type is None:
        raise _WrongError("invalid_request", "response_type is missing")
    if response_type != "code":
        raise _WrongError("unsupported_response_type", "response_type must be code")
    if parameters.get("response_mode") not in (None, "query"):
        raise _WrongError("invalid_request", "response_mode must be query")
    asked_scopes = (parameters.get("scope") or "").split()
    if "openid" not in asked_scopes:
        raise _WrongError("invalid_scope", "scope must contain openid")
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        state=parameters.get("state"),
        scope=" ".join(scope for scope in SCOPES if scope in asked_scopes),
        nonce=parameters.get("nonce"),
        code_challenge=_challenge(parameters),
        prompt=_prompt(parameters),
        max_age_s=_max_age_s(parameters),
        login_hint=parameters.get("login_hint"),
        organization=_organization(parameters),
    )


def _challenge(parameters: Parameters) -> str:
    challenge = parameters.get("code_challenge")
    if challenge is None:
        raise _WrongError("invalid_request", "code_challenge is missing: every client must use PKCE")
    if parameters.get("code_challenge_method") != "S256":
        raise _WrongError("invalid_request", "code_challenge_method must be S256")
    if not _S256_CHALLENGE.fullmatch(challenge):
        raise _WrongError("invalid_request", "code_challenge is not a SHA-256 digest in base64url")
    return challenge


def _prompt(parameters: Parameters) -> tuple[str, ...]:
    prompts = tuple((parameters.get("prompt") or "").split())
    if not set(prompts) <= set(PROMPTS):
        raise _WrongError("invalid_request", f"prompt knows only {', '.join(PROMPTS)}")
    if "none" in prompts and len(prompts) > 1:
        raise _WrongError("invalid_request", "prompt=none stands alone")
    return prompts


def _max_age_s(parameters: Parameters) -> int | None:
    text = parameters.get("max_age")
    if text is None:
        return None
    if not _SECONDS.fullmatch(text):
        raise _WrongError("invalid_request", "max_age must be a whole number of seconds")
    return int(text)


def _organization(parameters: Parameters) -> str | None:
    named = parameters.get("organization")
    if named is None:
        return None
    slug = organization_slug(named)
    if slug is None:
        raise _WrongError("access_denied", "nobody belongs to the organization asked for")
    return slug


def with_query(address: str, parameters: dict[str, str], state: str | None) -> str:
    """`address` with more query parameters; those it already has stay (RFC 6749, 3.1.2)."""
    parts = urlsplit(address)
    added = urlencode({**parameters, **({} if state is None else {"state": state})})
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, added)))))
