"""The forge apps of an organization, with what each of them reads."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Prefetch

from envforge.actor import Actor
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action
from orgs.selectors import visible
from projects.models import ForgeApp, Repository
from secrets_ref import signing


@dataclass(frozen=True, slots=True)
class ForgeAppView:
    """An app; `reads` are its repositories as `PROJECT: NAME`."""

    id: UUID
    name: str
    api_url: str
    git_url: str
    client_id: str
    installation: str
    key_arn: str
    created_at: datetime
    reads: list[str]


@dataclass(frozen=True, slots=True)
class ForgeApps:
    """The apps by name; `policy` is the statement that lets EnvForge sign with a key for this organization alone."""

    organization: Organization
    apps: list[ForgeAppView]
    policy: str


def forge_apps(*, actor: Actor, slug: str) -> ForgeApps:
    """The apps in use.

    Raises:
        NotVisible, NotAllowed: there is no such organization for this actor; see `policy.require`.
    """
    with visible(actor, slug) as (found, _):
        policy.require(actor, Action.FORGE_APP_MANAGE, found)
        read = Repository.objects.filter(removed_at=None).select_related("project")
        rows = ForgeApp.objects.filter(removed_at=None).order_by("name")
        views = [_view(row) for row in rows.prefetch_related(Prefetch("repositories", queryset=read))]
        return ForgeApps(found, views, signing.key_policy(found.id))


def _view(row: ForgeApp) -> ForgeAppView:
    reads = sorted(f"{one.project.name}: {one.name}" for one in row.repositories.all())
    return ForgeAppView(
        row.id,
        row.name,
        row.api_url,
        row.git_url,
        row.client_id,
        row.installation,
        row.key_arn,
        row.created_at,
        reads,
    )
