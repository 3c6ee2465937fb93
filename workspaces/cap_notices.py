"""Who is told by e-mail that a cap is near or reached, and where the mail leads (W8)."""

from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.urls import reverse

from envforge import tenancy
from envforge.notify import LinkTo, Notice, ToPerson, notify
from envforge.secret_value import SecretValue
from orgs.models import Organization, RoleGrant
from orgs.roles import Role, Scope
from workspaces.caps import Standing
from workspaces.models import CapMode

SOURCE = "usage"
MOST_TOLD = 100
THEN = {
    CapMode.WARN: "nothing stops",
    CapMode.STOP: "nothing wakes until the month ends or the cap is raised",
}


def tell(notice: Notice, standing: Standing) -> None:
    """Tell those who look after it, once the caller's transaction has committed; whoever calls tells once a month."""
    cap = standing.cap
    told: dict[str, object] = {
        "whose": "The organization" if cap.workspace is None else f"The workspace “{cap.workspace.name}”",
        "hours": cap.hours,
        "month": f"{standing.month.first:%B %Y}",
        "then": THEN[CapMode(cap.mode)],
    }
    if notice is Notice.CAP_NEARED:
        told["percent"] = standing.percent
    for person_id in _readers(standing):
        notify(notice, to=ToPerson(person_id), link=LinkTo(SOURCE, cap.id), **told)


def usage_link(_cap_id: UUID) -> SecretValue:
    """The entered organization's usage page; looking at it takes a sign-in."""
    slug = Organization.objects.values_list("slug", flat=True).get(id=tenancy.current_org())
    return SecretValue(f"{settings.CONSOLE_URL}{reverse('usage', args=[slug])}")


def _readers(standing: Standing) -> list[UUID]:
    """Owners, admins and billing; of a workspace's cap its operators and its project's maintainers too."""
    roles = Q(scope=Scope.ORGANIZATION, role__in=[Role.OWNER, Role.ADMIN, Role.BILLING])
    workspace = standing.cap.workspace
    if workspace is not None:
        roles |= Q(scope=Scope.WORKSPACE, scope_id=workspace.id, role=Role.OPERATOR)
        roles |= Q(scope=Scope.PROJECT, scope_id=workspace.project_id, role=Role.MAINTAINER)
    reached = RoleGrant.objects.filter(
        roles, membership__suspended_at=None, membership__person__email_verified=True
    )
    people = reached.order_by("membership__person_id").values_list("membership__person_id", flat=True)
    return list(people.distinct()[:MOST_TOLD])
