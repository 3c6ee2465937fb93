"""What the apps below ask of projects: where roles are held and secrets belong, and what names a secret."""

from collections.abc import Collection, Iterable
from uuid import UUID

from envforge.actor import Actor
from orgs import policy
from orgs.places import Place
from orgs.policy import Action
from orgs.roles import Scope
from projects.models import Binding, Project, Repository, ResourceValue


class Projects:
    """The projects of the entered organization, by name."""

    def offered(self, actor: Actor, at_most: int) -> list[Place]:
        """Those the actor may see, by name; archived ones are no choice."""
        seen = policy.reach(actor, Action.PROJECT_VIEW)
        rows = Project.objects.filter(archived_at=None)
        if not seen.everywhere:
            rows = rows.filter(id__in=seen.project_ids)
        return [_place(row) for row in rows.order_by("name", "id")[:at_most]]

    def found(self, ids: Iterable[UUID]) -> list[Place]:
        return [_place(row) for row in Project.objects.filter(id__in=list(ids))]


def bound_secrets(ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """What names each of these secrets: inputs, resources and the access to repositories, of what is in use."""
    named: dict[UUID, list[str]] = {}
    bindings = Binding.objects.filter(secret_id__in=ids, repository__removed_at=None)
    for secret_id, project, name, repository in bindings.order_by("input").values_list(
        "secret_id", "repository__project__name", "input", "repository__name"
    ):
        named.setdefault(secret_id, []).append(f"{project}: {name} of {repository}")
    values = ResourceValue.objects.filter(secret_id__in=ids, resource_mode__repository__removed_at=None)
    for secret_id, project, resource, name, repository in values.order_by("property").values_list(
        "secret_id",
        "resource_mode__repository__project__name",
        "resource_mode__resource",
        "property",
        "resource_mode__repository__name",
    ):
        named.setdefault(secret_id, []).append(f"{project}: {name} of {resource} of {repository}")
    read = Repository.objects.filter(access_id__in=ids, removed_at=None)
    for secret_id, project, name in read.order_by("name").values_list("access_id", "project__name", "name"):
        named.setdefault(secret_id, []).append(f"{project}: access to the repository {name}")
    return named


def _place(row: Project) -> Place:
    return Place(Scope.PROJECT, row.id, row.name, in_use=row.archived_at is None)
