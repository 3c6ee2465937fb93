"""Reading what a request of the API sent."""

from typing import Any
from uuid import UUID

from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from envforge.errors import Invalid
from envforge.ids import MAX_KEY_LENGTH

KEY_NAME = "Idempotency-Key"


def key_parameter(about: str) -> OpenApiParameter:
    """The header in an address' description."""
    return OpenApiParameter(
        KEY_NAME,
        location=OpenApiParameter.HEADER,
        description=f"The same for the same request sent again: it then changes nothing. {about}".rstrip(),
    )


@sensitive_variables()
def read_body(form: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    """What the form takes of a JSON object.

    Raises:
        Invalid: another kind of body, unknown fields, or fields that cannot be used; never repeats what was sent.
    """
    if not isinstance(data, dict):
        raise Invalid("The request's body is to be a JSON object.")
    read = form(data=data)
    unknown = dict.fromkeys(data.keys() - read.fields.keys(), "There is no such field here.")
    try:
        read.is_valid(raise_exception=True)
    except ValidationError as error:
        wrong = {field: _first(words) for field, words in error.detail.items()}  # type: ignore[union-attr]
    else:
        wrong = {}
        given: dict[str, Any] = dict(read.validated_data)
    if wrong or unknown:
        raise Invalid("The request cannot be used as it is.", {**_nameable(unknown), **wrong})
    return given


def read_key(request: Request) -> str:
    """The Idempotency-Key, empty where none was sent.

    Raises:
        Invalid: it is too long, or not printable.
    """
    key = request.headers.get(KEY_NAME, "")
    if len(key) > MAX_KEY_LENGTH or not key.isprintable():
        words = f"Use at most {MAX_KEY_LENGTH} printable characters."
        raise Invalid(f"The {KEY_NAME} cannot be used.", {KEY_NAME: words})
    return key


def read_after(request: Request) -> UUID | None:
    """The `after` of a page, None for the first one.

    Raises:
        Invalid: it is the `next` of no page.
    """
    return uuid_parameter("after", request.query_params.get("after"))


def uuid_parameter(
    name: str, text: str | None, *, words: str = "Use the `next` of the page before."
) -> UUID | None:
    """An id that stands among a request's parameters, if it does.

    Raises:
        Invalid: it is no id.
    """
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        raise Invalid("This parameter cannot be used.", {name: words}) from None


def read_limit(request: Request, *, usual: int, most: int) -> int:
    """The `limit` of a page, `usual` where none was sent.

    Raises:
        Invalid: it is no number from 1 to `most`.
    """
    text = request.query_params.get("limit", str(usual))
    fits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not fits or not 1 <= int(text) <= most:
        raise Invalid("This parameter cannot be used.", {"limit": f"Use a number from 1 to {most}."})
    return int(text)


def _first(words: Any) -> str:
    """The first sentence, of a form within the form too."""
    while not isinstance(words, str):
        words = next(iter(words.values() if isinstance(words, dict) else words))
    return words


def _nameable(unknown: dict[str, str]) -> dict[str, str]:
    """The names of unknown fields, unless one may be a value that stands in the wrong place."""
    if all(name.isidentifier() and len(name) <= 30 for name in unknown):
        return unknown
    return {"value": "Some fields of this request are unknown here."}
