"""`envforge.yml` version 1: what a repository says about its one service (W1).

The descriptions here are the only ones: the JSON Schema and the table in `docs/contract.md` are generated from them.
The defaults are part of version 1 and never change; the digest leaves them out.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import MaxLen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from envforge_protocol.contract.resources import ResourceType
from envforge_protocol.contract.types import (
    Command,
    Description,
    Duration,
    Files,
    InputName,
    Name,
    Prefix,
    Prefixes,
    ServiceName,
    ServiceType,
    Text,
    UrlPath,
    Variable,
    Version,
)

Kind = Literal["app", "worker", "job", "console"]
Size = Literal["small", "medium", "large"]
InputKind = Literal["secret", "literal", "url", "route"]

FIRST_UNPRIVILEGED_PORT = 1024


class Part(BaseModel):
    """A part of the contract: frozen, and strict about types and unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, hide_input_in_errors=True
    )

    short_form: ClassVar[str | None] = None
    """The field that a value which is no mapping stands for: `web: 3000` for `web: {number: 3000}`."""

    @model_validator(mode="before")
    @classmethod
    def _lengthen(cls, value: Any) -> Any:
        if cls.short_form is None or value is None or isinstance(value, dict | BaseModel):
            return value
        return {cls.short_form: value}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        if cls.short_form is None:
            return schema
        long = handler.resolve_ref_schema(schema)
        short = {
            key: value
            for key, value in long["properties"][cls.short_form].items()
            if key not in {"title", "description"}
        }
        whole = dict(long)
        long.clear()
        long.update({"anyOf": [short, whole]})
        return schema


class Service(Part):
    """What the service is."""

    name: ServiceName = Field(
        description="The service's name, unique in its project. It begins the host name of its dev links."
    )
    kind: Kind = Field(
        default="app",
        description="`app`: answers HTTP, and dev links may be issued for it. `worker`: runs all the time, no dev links. `job`: runs once at each wake, to its end. "
        "`console`: an operators' tool, never reachable by a dev link.",
    )
    type: ServiceType = Field(
        default="other",
        description="Language or toolchain, such as python, node, go or static. Shown to people; changes nothing in how it runs.",
    )
    description: Description = Field(
        default="", description="One sentence for people who meet the service for the first time."
    )


class Port(Part):
    """A port the service listens on. `web: 3000` is short for `web: {number: 3000}`."""

    short_form = "number"

    number: int = Field(
        ge=FIRST_UNPRIVILEGED_PORT,
        le=65535,
        description="The port's number. Listening on 127.0.0.1 is enough; 1024 or above.",
    )
    protocol: Literal["http", "tcp"] = Field(
        default="http", description="`http` (WebSockets included), or `tcp` for anything else."
    )
    ingress: bool = Field(
        default=False,
        description="Whether dev links and other services' routes lead here. An only http port is the ingress without saying so.",
    )


class Routes(Part):
    """Which paths belong to which surface of a dev link, by prefix; the longest prefix decides, the rest is `web`."""

    api: Prefixes = Field(default=("/api",), description="Path prefixes of the `api` surface.")
    assets: Prefixes = Field(
        default=(), description="Path prefixes of the `assets` surface: scripts, styles, images."
    )
    websockets: Prefixes = Field(
        default=("/",), description="Path prefixes under which WebSockets may be opened; `/` is everywhere."
    )
    forward: Annotated[Mapping[Prefix, InputName], MaxLen(16)] = Field(
        default={},
        description="Path prefixes answered by another service of the workspace: the prefix, then the name of an input of kind `route`. "
        "The path is forwarded unchanged.",
    )


class Input(Part):
    """Something the service needs from its project. `STRIPE_KEY: secret` is short for `STRIPE_KEY: {kind: secret}`."""

    short_form = "kind"

    kind: InputKind = Field(
        description="`secret`: a secret reference. `literal`: plain text. `url`: the address of something outside the workspace. "
        "`route`: another service of the workspace. The project's binding says where it comes from."
    )
    required: bool = Field(
        default=True,
        description="Whether the service cannot start without it. An input with a default always has a value.",
    )
    description: Description = Field(default="", description="What it is for, to whoever binds it.")
    default: Text | None = Field(
        default=None, description="The value without a binding; for `literal` and `url` alone."
    )


class Resource(Part):
    """A database, cache, store or mail server. `database: postgres` is short for `database: {type: postgres}`."""

    short_form = "type"

    type: ResourceType = Field(description="What it is.")
    version: Version | None = Field(
        default=None, description="The version it must have, such as 16; without one, a current one."
    )
    required: bool = Field(default=True, description="Whether the service cannot start without it.")
    description: Description = Field(default="", description="What it is for, to whoever provides it.")


class Step(Part):
    """A step that prepares the working tree, in the order of the file, before the service starts."""

    name: Name = Field(description="The step's name in receipts.")
    command: Command = Field(description="What is run.")
    cache_key: Files = Field(
        default=(),
        description="Files of the repository: while none of them changed, the step is skipped. Without any, it runs at each wake.",
    )
    timeout_s: Annotated[int, Duration("1s", "2h")] = Field(
        default=600, alias="timeout", description="After this long the step has failed."
    )


class Test(Part):
    """Tests that people and agents run by name. `unit: pytest -q` is short for `unit: {command: pytest -q}`."""

    __test__: ClassVar[bool] = False
    short_form = "command"

    command: Command = Field(description="What is run.")
    timeout_s: Annotated[int, Duration("1s", "6h")] = Field(
        default=1800, alias="timeout", description="After this long the run has failed."
    )
    description: Description = Field(default="", description="What it shows.")


class NamedCommand(Part):
    """A command that people and agents run by name. `seed: ./seed` is short for `seed: {command: ./seed}`."""

    short_form = "command"

    command: Command = Field(description="What is run.")
    timeout_s: Annotated[int, Duration("1s", "6h")] = Field(
        default=1800, alias="timeout", description="After this long the run has failed."
    )
    description: Description = Field(default="", description="What it does, so that one need not read it.")


class Health(Part):
    """How one sees that the service is up: by one of `http`, `tcp` and `command`.

    Without it: a TCP connection to the ingress port; without an ingress port, that the process runs.
    """

    http: UrlPath | None = Field(
        default=None, description="A path that answers 200 to 399 when the service is up."
    )
    tcp: Name | None = Field(
        default=None, description="The name of a port that accepts connections when the service is up."
    )
    command: Command | None = Field(
        default=None, description="A command that exits with 0 when the service is up."
    )
    port: Name | None = Field(
        default=None, description="The http port that `http` asks; without it, the ingress port."
    )
    interval_s: Annotated[int, Duration("1s", "5m")] = Field(
        default=5, alias="interval", description="Time between two checks."
    )
    timeout_s: Annotated[int, Duration("1s", "1m")] = Field(
        default=3, alias="timeout", description="After this long one check has failed."
    )
    start_period_s: Annotated[int, Duration("1s", "30m")] = Field(
        default=120, alias="start_period", description="How long the service may take to come up."
    )


class Smoke(Part):
    """One request or command, after the service is healthy, that shows it really works: by `http` or by `command`.

    Services come up side by side, so it is tried again for as long as `timeout` says, and then has failed.
    """

    http: UrlPath | None = Field(default=None, description="A path to get.")
    status: int = Field(
        default=200,
        ge=200,
        le=599,
        description="The status that `http` must answer; redirects are not followed.",
    )
    port: Name | None = Field(
        default=None, description="The http port that `http` asks; without it, the ingress port."
    )
    command: Command | None = Field(default=None, description="A command that must exit with 0.")
    timeout_s: Annotated[int, Duration("1s", "10m")] = Field(
        default=30,
        alias="timeout",
        description="It is tried again until then, since what it leads to comes up side by side; after this long it has failed.",
    )


class Runtime(Part):
    """How much the service gets and when it sleeps; among the services of a workspace the largest counts."""

    size: Size = Field(default="small", description="Size of the workspace's runtime.")
    idle_sleep_s: Annotated[int, Duration("5m", "12h")] = Field(
        default=1800,
        alias="idle_sleep",
        description="The runtime falls asleep after this long without activity.",
    )


def _no_truth(value: Any) -> Any:
    # To Python, and so to Literal, true is 1.
    return str(value) if isinstance(value, bool) else value


class Contract(Part):
    """`envforge.yml`, version 1: one service, as its repository describes it.

    Made by `parse` alone: what concerns several fields at once (references, ports, secrets) is checked there.
    """

    version: Annotated[Literal[1], BeforeValidator(_no_truth)] = Field(
        description="The version of this format: 1."
    )
    service: Service = Field(description="What the service is.")
    command: Command = Field(
        description="What runs the service, in the foreground, from the repository's root. Text is run by `/bin/sh -c`; a list is executed as it is, without a shell. "
        "Every other `command` here is read in the same way."
    )
    ports: Annotated[Mapping[Name, Port], MaxLen(16)] = Field(
        default={}, description="Ports the service listens on, by name."
    )
    routes: Routes = Field(default=Routes(), description="Which paths belong to which surface of a dev link.")
    inputs: Annotated[Mapping[InputName, Input], MaxLen(64)] = Field(
        default={}, description="What the service needs from its project, by name."
    )
    resources: Annotated[Mapping[Name, Resource], MaxLen(16)] = Field(
        default={}, description="Databases, caches, stores and mail servers, by name."
    )
    env: Annotated[Mapping[Variable, Text], MaxLen(128)] = Field(
        default={},
        description="The service's environment: each variable with its text, in which `${inputs.NAME}`, `${resources.NAME.PROPERTY}` and `${ports.NAME}` are replaced "
        "(`$${` stands for `${`). A variable that needs an input or resource which is not required and not there is left out.",
    )
    setup: Annotated[tuple[Step, ...], Field(strict=False), MaxLen(32)] = Field(
        default=(), description="Steps that prepare the working tree before the service starts."
    )
    tests: Annotated[Mapping[Name, Test], MaxLen(64)] = Field(
        default={}, description="Tests that can be run by name."
    )
    commands: Annotated[Mapping[Name, NamedCommand], MaxLen(64)] = Field(
        default={}, description="Other commands that can be run by name."
    )
    health: Health | None = Field(default=None, description="How one sees that the service is up.")
    smoke: Smoke | None = Field(default=None, description="One check after that which shows it really works.")
    runtime: Runtime = Field(default=Runtime(), description="Size, and when it sleeps.")

    @property
    def ingress(self) -> str | None:
        """The name of the port that dev links and routes lead to; None if there is none."""
        http = [name for name, port in self.ports.items() if port.protocol == "http"]
        named = [name for name in http if self.ports[name].ingress]
        return named[0] if named else http[0] if len(http) == 1 else None

    @property
    def is_linkable(self) -> bool:
        """Whether dev links may be issued for the service (L1): apps alone."""
        return self.service.kind == "app" and self.ingress is not None
