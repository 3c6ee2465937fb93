"""Reading what a request of the API sent: strictly, with every wrong field named at once."""

from typing import Any
from uuid import UUID

from django.views.decorators.debug import sensitive_variables
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from envforge.errors import Invalid


@sensitive_variables()
def read_body(form: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    """The fields of a JSON object.

    Raises:
        Invalid: it is no object, fields are missing or of another form, or there are more than the form knows.
    """
    if not isinstance(data, dict):
        raise Invalid("The request's body is to be a JSON object.")
    read = form(data=data)
    unknown = dict.fromkeys(data.keys() - read.fields.keys(), "There is no such field here.")
    try:
        read.is_valid(raise_exception=True)
    except ValidationError as error:
        wrong = {field: str(words[0]) for field, words in error.detail.items()}  # type: ignore[union-attr,index]
    else:
        wrong = {}
        given: dict[str, Any] = dict(read.validated_data)
    if wrong or unknown:
        raise Invalid("The request cannot be used as it is.", {**_nameable(unknown), **wrong})
    return given


def uuid_parameter(
    name: str, text: str | None, *, words: str = "Use the `next` of the page before."
) -> UUID | None:
    """An id that stands among a request's parameters, if it does.

    Raises:
        Invalid: it is no id.
    """
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("This parameter cannot be used.", {name: words}) from None


def _nameable(unknown: dict[str, str]) -> dict[str, str]:
    """The names of unknown fields, unless one may be a value that stands in the wrong place (K3)."""
    if all(name.isidentifier() and len(name) <= 30 for name in unknown):
        return unknown
    return {"value": "Some fields of this request are unknown here."}
