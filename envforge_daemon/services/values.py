"""From references to a service's environment (S3, THREATS K2): with the credentials of the manifest, into memory alone."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from envforge_daemon.errors import DaemonError
from envforge_protocol.host.runtimes import Reference, ScopedCredential

NAMES_PER_CALL = 10
# A second dollar sign makes the first one plain text.
_INPUT = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_.-]*)\}")


class Unresolved(DaemonError):
    """An input has no value; the text says which and why."""


@dataclass(frozen=True)
class Found:
    """A parameter's value, at the version that was asked for."""

    arn: str
    version: int
    value: str = field(repr=False)


# Asks the parameter store for names of the form ARN:VERSION; answers those that it has.
Ask = Callable[[ScopedCredential, Sequence[str]], Awaitable[list[Found]]]


async def resolve(
    references: Sequence[Reference], credentials: Sequence[ScopedCredential], ask: Ask
) -> dict[str, str]:
    """The value of each reference, by input.

    Raises:
        Unresolved: a reference is covered by no credential, was deleted, or has no such version any more.
    """
    wanted = {(one.arn, one.version) for one in references}
    known: dict[tuple[str, int], str] = {}
    for credential in credentials:
        mine = sorted(key for key in wanted - known.keys() if key[0] in credential.arns)
        for start in range(0, len(mine), NAMES_PER_CALL):
            names = [f"{arn}:{version}" for arn, version in mine[start : start + NAMES_PER_CALL]]
            known |= {(one.arn, one.version): one.value for one in await ask(credential, names)}
    missing = sorted(one.input for one in references if (one.arn, one.version) not in known)
    if missing:
        raise Unresolved(
            f"No value could be read for {', '.join(missing)}: the secret was deleted, or this version of it is gone. "
            "Set it again or bind the input to another one."
        )
    return {one.input: known[one.arn, one.version] for one in references}


def environment(plain: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """A service's own variables: `${input}` in the manifest's texts becomes the input's value, `$${` stays `${`.

    Raises:
        Unresolved: a text names an input that has no value.
    """

    def put(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return match.group(0)[1:]
        if name not in values:
            raise Unresolved(f"The environment names the input {name}, which has no value.")
        return values[name]

    return {name: _INPUT.sub(put, text) for name, text in plain.items()}
