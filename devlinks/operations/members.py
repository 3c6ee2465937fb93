"""A member comes to a dev host by their own sign-in (L8)."""

from uuid import UUID

from devlinks.labels import host_name, label_in
from devlinks.lookups import host_by_label
from devlinks.models import HostLabel
from devlinks.opening import new_code
from envforge import tenancy
from envforge.actor import UserActor
from envforge.errors import Invalid, NotVisible
from envforge.secret_value import SecretValue
from envforge_protocol.gateway.base import is_digest
from orgs import policy
from orgs.policy import About, Action
from workspaces.models import Presence


def enter_dev_host(
    *, actor: UserActor, console_session_id: UUID, host: str, state: str
) -> tuple[str, SecretValue]:
    """A one-time code for the browser that holds the state at a dev host; answers the host as it is stored, and the code.

    Raises:
        NotVisible: there is no such host for this person.
        NotAllowed: see `policy.require`; public access is closed (L7).
        Invalid: the state is none.
    """
    if not is_digest(state):
        raise Invalid("This sign-in was not begun at a dev address. Open the dev address again.")
    ids = host_by_label(label_in(host) or "")
    if ids is None:
        raise NotVisible
    org_id, label_id = ids
    with tenancy.enter(org_id):
        label = HostLabel.objects.select_related("workspace").get(id=label_id)
        workspace = label.workspace
        if workspace.wanted == Presence.DELETED:
            raise NotVisible
        policy.require(actor, Action.DEV_URL_OPEN, workspace, About(private=not workspace.public))
        code = new_code(label, state=state, person_id=actor.person_id, console_session_id=console_session_id)
        return host_name(label.label), SecretValue(code)
