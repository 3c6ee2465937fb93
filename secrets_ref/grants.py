"""What a wake hands to a host: references first, and when the command is leased, credentials for exactly these (S3, K2)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from envforge import tenancy
from envforge.errors import Conflict, Unavailable
from secrets_ref import customer_roles, paths, sts
from secrets_ref.models import Drift, Secret, Wanted
from secrets_ref.sts import Credentials
from secrets_ref.troubles import StoreRefused

# As many parameters as usually fit into a session policy; GetParameters itself takes ten names.
MOST_IN_A_SESSION = 5


class SecretsNotReady(Conflict):
    """Some of the secrets a wake needs are not there; `names` says which, and the words why."""

    def __init__(self, missing: dict[str, str]) -> None:
        super().__init__(" ".join(missing.values()))
        self.names = tuple(missing)


@dataclass(frozen=True, slots=True)
class Reference:
    """A secret as a manifest carries it: where it is and which version, never its value."""

    secret_id: UUID
    name: str
    arn: str
    version: int


@dataclass(frozen=True, slots=True)
class ServiceGrant:
    """What one service reads, by the names it asked for."""

    service: str
    references: dict[str, Reference]


@dataclass(frozen=True, slots=True)
class ReaderSession:
    """Credentials, and the parameters they open and no others."""

    arns: tuple[str, ...]
    credentials: Credentials


def resolve_grants(
    *,
    org_id: UUID,
    wanted: Iterable[tuple[str, Collection[str]]],
    project_id: UUID | None = None,
    workspace_id: UUID | None = None,
) -> list[ServiceGrant]:
    """The references that each service of a workspace gets.

    A name means the workspace's own secret before its project's, and that before the organization's.

    Raises:
        SecretsNotReady: names that mean nothing, or secrets without a value; all of them at once.
    """
    asked = [(service, tuple(names)) for service, names in wanted]
    names = {name for _, mine in asked for name in mine}
    with tenancy.enter(org_id):
        nearest = _nearest(names, project_id=project_id, workspace_id=workspace_id)
    missing = {name: words for name in sorted(names) if (words := _why_not(name, nearest.get(name)))}
    if missing:
        raise SecretsNotReady(missing)
    return [
        ServiceGrant(service, {name: _reference(nearest[name]) for name in mine}) for service, mine in asked
    ]


def mint_credentials(*, org_id: UUID, references: Iterable[Reference]) -> list[ReaderSession]:
    """Credentials of 15 minutes for the references of one service; called when its command is leased, and never stored.

    Raises:
        Unavailable: STS refuses or does not answer, or a role was seen not to hold.
        ValueError: a reference to something that is neither the organization's nor imported through a role of theirs.
    """
    return mint_for(org_id=org_id, arns=[one.arn for one in references])


def mint_for(*, org_id: UUID, arns: Iterable[str]) -> list[ReaderSession]:
    """`mint_credentials` for parameters by their ARNs, as a command carries them; raises the same."""
    own_prefix = paths.arn_of(paths.own_prefix(org_id))
    arns = sorted(set(arns))
    own = [arn for arn in arns if arn.startswith(own_prefix)]
    others = [arn for arn in arns if not arn.startswith(own_prefix)]
    with tenancy.enter(org_id):
        roles = customer_roles.by_arn(org_id, others) if others else {}
    if set(roles) != set(others):
        raise ValueError("A reference to a parameter of somebody else.")
    for role in roles.values():
        if role.trouble:
            # It was asked for while the role held (K1).
            raise Unavailable(f"The role {role} does not hold: check it under Secrets.")
    by_role: dict[UUID, list[str]] = {}
    for arn, role in roles.items():
        by_role.setdefault(role.id, []).append(arn)
    known = {role.id: role for role in roles.values()}
    try:
        mine = [ReaderSession(batch, sts.open_session(org_id, batch)) for batch in batches(own)]
        return mine + [
            ReaderSession(batch, customer_roles.open_session(known[role_id], batch))
            for role_id, through in by_role.items()
            for batch in batches(through)
        ]
    except StoreRefused as refused:
        problem = refused.in_words()
    raise problem


def batches(arns: Sequence[str]) -> list[tuple[str, ...]]:
    """The ARNs in groups of up to five whose session policy AWS takes."""
    found: list[tuple[str, ...]] = []
    group: tuple[str, ...] = ()
    for arn in arns:
        larger = (*group, arn)
        if group and (
            len(larger) > MOST_IN_A_SESSION or len(sts.session_policy(larger)) > sts.LARGEST_POLICY
        ):
            found.append(group)
            larger = (arn,)
        group = larger
    return [*found, group] if group else found


def _nearest(names: set[str], *, project_id: UUID | None, workspace_id: UUID | None) -> dict[str, Secret]:
    where = Q(project_id=None, workspace_id=None)
    if project_id is not None:
        where |= Q(project_id=project_id, workspace_id=None)
    if workspace_id is not None:
        where |= Q(project_id=project_id, workspace_id=workspace_id)
    rows = Secret.objects.filter(
        where, name__in=names, deleted_at=None, wanted=Wanted.PRESENT
    ).select_related("role")
    # The narrowest last, so that it is what stays.
    return {
        row.name: row
        for row in sorted(rows, key=lambda one: (one.project_id is not None, one.workspace_id is not None))
    }


def _why_not(name: str, secret: Secret | None) -> str:
    if secret is None:
        return f"There is no secret {name}: set it under Secrets."
    if secret.version is None:
        return f"The value of the secret {name} never arrived: set it again."
    if secret.role is not None and secret.role.trouble:
        return f"The role {secret.role}, through which the secret {name} is read, does not hold: check it under Secrets."
    if secret.drift == Drift.DELETED and secret.role is not None:
        return f"The secret {name} was deleted in your account: store it again there."
    if secret.drift == Drift.DELETED:
        return f"The secret {name} was deleted outside of EnvForge: set it again."
    return ""


def _reference(secret: Secret) -> Reference:
    assert secret.version is not None  # noqa: S101 - asked just before; for the types
    return Reference(secret.id, secret.name, arn_of_secret(secret), secret.version)


def arn_of_secret(secret: Secret) -> str:
    """The ARN of a secret's parameter, in our account or through its role in the customer's."""
    return customer_roles.arn_of(secret.role, secret.path) if secret.role else paths.arn_of(secret.path)
