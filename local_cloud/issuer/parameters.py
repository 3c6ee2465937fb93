"""Request parameters as OAuth wants them: form-encoded, each at most once, empty ones as if not sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"
MAX_BODY_BYTES = 64 * 1024
MAX_PARAMETERS = 100


class UnreadableFormError(Exception):
    """The request's body is not a form this server reads; the message says why."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters by name; those sent more than once are only named, so that none of their values can be used."""

    values: Mapping[str, str]
    repeated: frozenset[str]

    def get(self, name: str) -> str | None:
        return self.values.get(name)


def read_query(request: Request) -> Parameters:
    """The parameters of the address.

    Raises:
        UnreadableFormError: there are too many of them.
    """
    return _parse(request.url.query)


async def read_form(request: Request) -> Parameters:
    """The parameters of the body (RFC 6749, appendix B).

    Raises:
        UnreadableFormError: another media type, too long, too many parameters, or not text.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM_MEDIA_TYPE:
        raise UnreadableFormError(f"the body must be {FORM_MEDIA_TYPE}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise UnreadableFormError(f"the body is longer than {MAX_BODY_BYTES} bytes")
    try:
        return _parse(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UnreadableFormError("the body is not UTF-8 text") from error


async def read_either(request: Request) -> Parameters:
    """Parameters of a request that may come as GET or as POST (OpenID Connect Core 3.1.2.1)."""
    return await read_form(request) if request.method == "POST" else read_query(request)


def _parse(text: str) -> Parameters:
    try:
        pairs = parse_qsl(text, max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise UnreadableFormError(f"more than {MAX_PARAMETERS} parameters") from error
    values: dict[str, str] = {}
    repeated: set[str] = set()
    for name, value in pairs:
        if name in values:
            repeated.add(name)
        values[name] = value
    return Parameters(
        {name: value for name, value in values.items() if name not in repeated}, frozenset(repeated)
    )
