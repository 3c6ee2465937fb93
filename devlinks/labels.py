"""Names of dev hosts: `<service>--<workspace>--<organization>`, abbreviated where that is no DNS label (L2).

A name is made once, stored, and never parsed: what it leads to is looked up. No part has two dashes in a row, so whole names differ as
their parts do; what is abbreviated carries a digest of all three, and the database refuses a name that is taken, whoever has it.
"""

import base64
import hashlib
from collections.abc import Iterator

from django.conf import settings
from django.db import IntegrityError, transaction

from devlinks.models import HostLabel
from envforge.errors import Conflict
from orgs.models import Organization
from workspaces.models import Workspace

LONGEST = 63
SEPARATOR = "--"
_DIGEST_LENGTH = 10
_MOST_TRIES = 8
# Labels that begin so are read as encoded Unicode (RFC 5891).
_RESERVED = "xn--"


def candidates(service: str, workspace: str, organization: str) -> Iterator[str]:
    """The names to try, the same ones in the same order each time."""
    whole = SEPARATOR.join((service, workspace, organization))
    if len(whole) <= LONGEST and not whole.startswith(_RESERVED):
        yield whole
    for number in range(_MOST_TRIES):
        yield _abbreviated(service, workspace, organization, number)


def label_of(workspace: Workspace, service: str) -> HostLabel:
    """The host of a service of a workspace of the entered organization; made when it is first asked for.

    Raises:
        Conflict: every name that it could have is taken.
    """
    found = HostLabel.objects.filter(workspace=workspace, service=service).first()
    if found is not None:
        return found
    organization = Organization.objects.values_list("slug", flat=True).get(id=workspace.org_id)
    for label in candidates(service, workspace.slug, organization):
        try:
            with transaction.atomic():
                return HostLabel.objects.create(workspace=workspace, service=service, label=label)
        except IntegrityError:
            made = HostLabel.objects.filter(workspace=workspace, service=service).first()
            if made is not None:
                return made
    raise Conflict("No host name is left for this service. Give the service another name.")


def host_name(label: str) -> str:
    """The whole name of a host, without a port."""
    return f"{label}.{settings.DEV_DOMAIN}"


def label_in(host: str) -> str | None:
    """The stored label that a host name would have, if it is below the dev domain."""
    label, _, domain = host.partition(".")
    return label if domain == settings.DEV_DOMAIN and label else None


def _abbreviated(service: str, workspace: str, organization: str, number: int) -> str:
    named = "\n".join((service, workspace, organization, str(number)))
    mark = base64.b32encode(hashlib.sha256(named.encode()).digest()).decode().lower()[:_DIGEST_LENGTH]
    room = LONGEST - 2 * len(SEPARATOR) - len(mark) - 1
    parts = _shortened([service, workspace, organization], room)
    label = SEPARATOR.join(parts) + f"-{mark}"
    return f"x-{label[3:]}" if label.startswith(_RESERVED) else label


def _shortened(parts: list[str], room: int) -> list[str]:
    """The parts, the longest cut first, until they have room together; none ends with a dash."""
    parts = list(parts)
    while sum(map(len, parts)) > room:
        longest = max(range(len(parts)), key=lambda at: len(parts[at]))
        parts[longest] = parts[longest][:-1]
    return [part.rstrip("-") for part in parts]
