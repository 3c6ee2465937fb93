"""Where a parameter lies: an organization's secrets under its own prefix, the platform's under one that nothing names (K1).

`/envforge/ORG/PLACE/NAME`, where ORG and PLACE are ids without dashes (session policies are short of room), and PLACE is
`org` for what is the whole organization's, else the workspace's or the project's id.
"""

import re
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

PREFIX = "/envforge"
# The control plane's own: no binding, import or reader session reaches it.
PLATFORM_PREFIX = "/envforge-platform"
WHOLE_ORGANIZATION = "org"
NAME_FORM = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"
_PATH = re.compile(
    rf"{PREFIX}/(?P<org>[0-9a-f]{{32}})/(?P<place>{WHOLE_ORGANIZATION}|[0-9a-f]{{32}})/(?P<name>{NAME_FORM})"
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a path of the organization's own says; `place_id` is None for the whole organization."""

    name: str
    place_id: UUID | None


def own_prefix(org_id: UUID) -> str:
    """The prefix of everything an organization's services may read, with its slash."""
    return f"{PREFIX}/{org_id.hex}/"


def path_of(org_id: UUID, *, project_id: UUID | None, workspace_id: UUID | None, name: str) -> str:
    """The path of a secret; the narrowest place counts."""
    place = workspace_id or project_id
    return f"{own_prefix(org_id)}{place.hex if place else WHOLE_ORGANIZATION}/{name}"


def platform_path(org_id: UUID, name: str) -> str:
    """The path of a secret that the control plane keeps for itself about an organization."""
    if not re.fullmatch(NAME_FORM, name):
        raise ValueError("A platform secret's name is letters, digits and _.- alone.")
    return f"{PLATFORM_PREFIX}/{org_id.hex}/{name}"


def parse(path: str, org_id: UUID) -> Parsed | None:
    """What the path says if it is exactly one of the organization's own; None for any other, whatever it is."""
    match = _PATH.fullmatch(path)
    if match is None or match["org"] != org_id.hex:
        return None
    place = match["place"]
    return Parsed(match["name"], None if place == WHOLE_ORGANIZATION else UUID(place))


def arn_of(path: str) -> str:
    """The parameter's ARN, in the account of the reader role."""
    _, partition, _, _, account, _ = settings.READER_ROLE_ARN.split(":", 5)
    return f"arn:{partition}:ssm:{settings.AWS_REGION}:{account}:parameter{path}"
