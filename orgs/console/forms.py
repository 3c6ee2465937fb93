"""Reading what a form sent."""

from enum import Enum
from typing import TypeVar
from uuid import UUID

from envforge.errors import Invalid

C = TypeVar("C", bound=Enum)


def chosen(choices: type[C], sent: str, *, field: str) -> C:
    """The choice that was made.

    Raises:
        Invalid: it is none of them.
    """
    try:
        return choices(sent)
    except ValueError:
        raise Invalid("That is none of the choices.", {field: "Choose one of the list."}) from None


def uuid_or_none(sent: str) -> UUID | None:
    """The id, or None where there is none."""
    try:
        return UUID(sent)
    except ValueError:
        return None
