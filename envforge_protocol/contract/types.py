"""The small types of the contract: names, paths, durations, commands, text."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import MaxLen
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MAX_COMMAND_CHARACTERS = 4096
MAX_COMMAND_WORDS = 128
MAX_TEXT_CHARACTERS = 4096
MAX_DESCRIPTION_CHARACTERS = 500

NAME = r"^[a-z][a-z0-9_-]{0,39}$"
SERVICE_NAME = r"^[a-z](?:-?[a-z0-9]){0,62}$"
SERVICE_TYPE = r"^[a-z][a-z0-9.+#-]{0,39}$"
INPUT_NAME = r"^[A-Za-z][A-Za-z0-9_]{0,63}$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
PREFIX = r"^/$|^(?:/[A-Za-z0-9._~@!$+,:=-]+)+$"
URL_PATH = r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$"
FILE = r"^[^/\\\x00-\x1f][^\\\x00-\x1f]{0,254}$"
VERSION = r"^[0-9]+(?:\.[0-9]+){0,2}$"
DURATION = r"^[1-9][0-9]{0,6}[smh]$"

PATTERN_WORDS = {
    NAME: "a name of up to 40 lower-case letters, digits, `-` and `_` that begins with a letter",
    SERVICE_NAME: "a DNS label: lower-case letters, digits and single hyphens, beginning with a letter",
    SERVICE_TYPE: "one lower-case word such as python, node, go, static",
    INPUT_NAME: "a name of letters, digits and `_` that begins with a letter, such as STRIPE_KEY",
    VARIABLE: "the name of an environment variable: letters, digits and `_`",
    PREFIX: "a path prefix such as /api, without `/` at its end, `%`, `*` or host",
    URL_PATH: "a path that begins with `/`, such as /healthz",
    FILE: "a file of the repository, such as requirements.txt",
    VERSION: "a version such as 16 or 7.2",
}
"""What each pattern asks for, for messages."""

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(DURATION)

Name = Annotated[str, StringConstraints(pattern=NAME)]
ServiceName = Annotated[str, StringConstraints(pattern=SERVICE_NAME)]
ServiceType = Annotated[str, StringConstraints(pattern=SERVICE_TYPE)]
InputName = Annotated[str, StringConstraints(pattern=INPUT_NAME)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]
Prefix = Annotated[str, StringConstraints(pattern=PREFIX, max_length=200)]
UrlPath = Annotated[str, StringConstraints(pattern=URL_PATH, max_length=500)]
File = Annotated[str, StringConstraints(pattern=FILE)]


def _as_set(words: tuple[str, ...]) -> tuple[str, ...]:
    # Their order means nothing, so it must not change the digest.
    return tuple(sorted(set(words)))


Prefixes = Annotated[tuple[Prefix, ...], Field(strict=False), MaxLen(32), AfterValidator(_as_set)]
Files = Annotated[tuple[File, ...], Field(strict=False), MaxLen(32), AfterValidator(_as_set)]
Description = Annotated[str, StringConstraints(max_length=MAX_DESCRIPTION_CHARACTERS)]


def _text(value: Any) -> Any:
    # A number is written without quotes so often that it is read as its digits; the parser knows no other spelling of it.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[
    str,
    BeforeValidator(_text),
    StringConstraints(max_length=MAX_TEXT_CHARACTERS),
    WithJsonSchema({"type": ["string", "integer"], "maxLength": MAX_TEXT_CHARACTERS}),
]
"""Text; a whole number is read as its digits."""

Version = Annotated[
    str,
    BeforeValidator(_text),
    StringConstraints(pattern=VERSION, max_length=20),
    # As a JSON reader sees it, 7.2 without quotes is a number.
    WithJsonSchema({"type": ["string", "number"], "pattern": VERSION, "maxLength": 20}),
]


def _command(value: Any) -> str | tuple[str, ...]:
    words = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(word, str) for word in words):
        raise PydanticCustomError(
            "envforge", "is not a command; expected text, or a list of texts (put numbers into quotes)"
        )
    if not words or not words[0].strip():
        raise PydanticCustomError("envforge", "is an empty command")
    if len(words) > MAX_COMMAND_WORDS or sum(map(len, words)) > MAX_COMMAND_CHARACTERS:
        raise PydanticCustomError(
            "envforge",
            f"is longer than {MAX_COMMAND_CHARACTERS} characters; put it into a script of the repository",
        )
    return value if isinstance(value, str) else tuple(words)


def _as_written(command: str | tuple[str, ...]) -> str | list[str]:
    return command if isinstance(command, str) else list(command)


Command = Annotated[
    str | tuple[str, ...],
    PlainValidator(_command),
    PlainSerializer(_as_written),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": MAX_COMMAND_CHARACTERS},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_COMMAND_WORDS},
            ]
        }
    ),
]
"""How something is run, from the repository's root: text by `/bin/sh -c`, a list by exec as it is, with no shell."""


def argv(command: str | tuple[str, ...]) -> tuple[str, ...]:
    """What exactly is executed: `("/bin/sh", "-c", command)` for text, the list itself for a list."""
    return ("/bin/sh", "-c", command) if isinstance(command, str) else command


def seconds(written: str) -> int:
    """The seconds of a duration such as `90s`, `30m` or `2h`.

    Raises:
        ValueError: it is not one.
    """
    if not _DURATION.fullmatch(written):
        raise ValueError("not a duration")
    return int(written[:-1]) * _SECONDS[written[-1]]


def duration(seconds: int) -> str:
    """A number of seconds as the contract writes it, in the largest unit that divides it: `90s`, `2m`, `1h`."""
    unit = next(unit for unit in "hms" if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration in whole seconds, written `90s`, `30m` or `2h`, between two bounds."""

    least: str
    most: str

    def parse(self, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            raise PydanticCustomError("envforge", "has no unit; expected a duration such as 90s, 30m or 2h")
        if not isinstance(value, str) or not _DURATION.fullmatch(value):
            raise PydanticCustomError("envforge", "is not a duration; expected one such as 90s, 30m or 2h")
        parsed = seconds(value)
        if not seconds(self.least) <= parsed <= seconds(self.most):
            raise PydanticCustomError("envforge", f"is out of bounds; expected {self.least} to {self.most}")
        return parsed

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(
            duration, return_schema=core_schema.str_schema()
        )
        return core_schema.no_info_plain_validator_function(self.parse, serialization=written)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: Any) -> JsonSchemaValue:
        return {"type": "string", "pattern": DURATION, "x-minimum": self.least, "x-maximum": self.most}
