"""What makes a secret of a parameter that lies in a store already; each function joins its caller's transaction."""

from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import Actor
from envforge.errors import Conflict, Invalid
from secrets_ref import ssm, writes
from secrets_ref.models import Cause, CustomerRole, Outcome, Secret, SecretVersion, written_by
from secrets_ref.ssm import Described


def take_up(
    actor: Actor,
    found: Described,
    *,
    name: str,
    project_id: UUID | None,
    workspace_id: UUID | None,
    role: CustomerRole | None = None,
) -> Secret:
    """The secret of a parameter, with the event that it was imported; one that was imported before as it is.

    Raises:
        Conflict: there is another secret of this name in this place.
    """
    now = timezone.now()
    secret, made = Secret.objects.get_or_create(
        name=name,
        project_id=project_id,
        workspace_id=workspace_id,
        deleted_at=None,
        defaults={
            "path": found.path,
            "role": role,
            "wanted_at": now,
            "version": found.version,
            "settled_version": found.version,
            "modified_at": found.modified_at,
            "changed_by": actor.label,
            "changed_at": now,
            **written_by(actor, "wanted_by"),
        },
    )
    if not made:
        return taken_before(secret, role, found.path)
    SecretVersion.objects.create(
        secret=secret,
        version=found.version,
        cause=Cause.IMPORTED,
        outcome=Outcome.WRITTEN,
        asked_at=now,
        leased_until=now,
        observed_at=now,
        **written_by(actor, "asked_by"),
    )
    append(EventKind.SECRET_IMPORTED, actor=actor, target=secret, version=found.version)
    writes.compare_soon()
    return secret


def taken_before(secret: Secret, role: CustomerRole | None = None, path: str = "") -> Secret:
    """A secret that was imported from the same place.

    Raises:
        Conflict: it came about otherwise.
    """
    same = secret.role_id == (role.id if role else None) and path in {"", secret.path}
    if same and secret.versions.filter(cause=Cause.IMPORTED).exists():
        return secret
    raise Conflict(f"The secret {secret.name} is here already.")


def require_importable(found: Described | None) -> Described:
    """The parameter, if it could be a secret.

    Raises:
        Invalid: there is none, or it is not encrypted.
    """
    if found is None:
        words = "The secret store has nothing at this path."
        raise Invalid("There is nothing to import.", {"path": words})
    if found.kind != ssm.SECURE:
        words = "What is there is not encrypted. Store it as a SecureString first."
        raise Invalid("This cannot be imported.", {"path": words})
    return found


def require_own_key(org_id: UUID, found: Described, key: str) -> None:
    """Raises Invalid: the parameter is encrypted under another key than the organization's."""
    if found.key not in {key, key.rpartition("/")[2], ssm.key_alias(org_id)}:
        words = f"It is encrypted under another key. Use the organization's own, {ssm.key_alias(org_id)}"
        raise Invalid("This cannot be imported.", {"path": words})
