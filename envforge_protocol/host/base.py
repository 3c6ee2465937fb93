"""The base of every message: frozen, checked, and deaf to nothing it does not know."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr, SerializationInfo

# What this code speaks. Each version is strict in itself; which one is spoken is negotiated (docs/host-protocol.md).
PROTOCOL = 1
# The oldest version the control plane still answers.
OLDEST_PROTOCOL = 1
PROTOCOL_HEADER = "EnvForge-Protocol"
DAEMON_HEADER = "EnvForge-Daemon"
LABEL = r"^[a-z0-9](?:-?[a-z0-9]){0,61}$"

Label = Annotated[str, Field(pattern=LABEL)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _on_the_wire(value: SecretStr, info: SerializationInfo) -> str:
    return value.get_secret_value() if (info.context or {}).get("wire") else str(value)


# A credential inside a message: shown by `Revealing.wire()`, and as asterisks by everything else.
Credential = Annotated[SecretStr, PlainSerializer(_on_the_wire, return_type=str)]


class Message(BaseModel):
    """One message or a part of one; an unknown field is an error, so that neither side passes over what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Revealing(Message):
    """A message that carries credentials: they are on the wire, and nowhere else.

    `wire()` is the only form that shows them; `repr`, `model_dump()` and `model_dump_json()` show none.
    """

    def wire(self) -> bytes:
        """The message as JSON, with the credentials in it."""
        return self.model_dump_json(context={"wire": True}).encode()


class Problem(Message):
    """Every answer that is no success (RFC 9457): `word` for programs, `detail` for people.

    `instruction` stands with 426: `upgrade` where the daemon's protocol is too old, `speak` where it is newer than the
    control plane's, with the versions that are understood. `next_offset` stands with 409 to a part of an output.
    """

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str
    word: str
    instruction: Literal["upgrade", "speak"] | None = None
    oldest: int | None = None
    newest: int | None = None
    next_offset: int | None = None
