"""Creating and archiving projects."""

import re
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM, Actor, UserActor
from envforge.errors import Conflict, Invalid, NotVisible
from envforge.ids import id_of_request
from envforge_protocol.credentials import credential_in
from orgs import policy
from orgs.access import hold_access
from orgs.operations import grant_role
from orgs.policy import Action
from orgs.roles import Role, Scope
from projects.closing import tell_archived
from projects.models import NAME_FORM, Project

NAME_WORDS = "Use one line of 1 to 80 characters that is no credential."
SLUG_WORDS = "Use 1 to 40 lower-case letters, digits and single dashes between them."
KEY_WORDS = "This Idempotency-Key was used for another request. Use one key for one request."
MAX_NAME_LENGTH = 80


def create_project(*, actor: Actor, org_id: UUID, slug: str, name: str, key: str = "") -> Project:
    """Create a project; a person whose roles do not let them run it becomes its maintainer.

    Args:
        key: the same for the same request sent twice; the second then changes and records nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: the name or the short name cannot be used.
        Conflict: the short name is taken, by an archived project too; or the key was used for another project.
    """
    with tenancy.enter(org_id):
        # It may give a role.
        hold_access()
        policy.require_here(actor, Action.PROJECT_CREATE)
        name = name.strip()
        wrong = {}
        if not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable() or credential_in(name):
            wrong["name"] = NAME_WORDS
        if len(slug) > 40 or not re.fullmatch(NAME_FORM, slug, re.ASCII) or credential_in(slug):
            wrong["slug"] = SLUG_WORDS
        if wrong:
            raise Invalid("The project cannot be called this.", wrong)
        wanted_id = id_of_request(org_id, actor, key)
        if Project.objects.filter(id=wanted_id).exclude(slug=slug, name=name).exists():
            raise Conflict(KEY_WORDS)
        project, made = Project.objects.get_or_create(slug=slug, defaults={"name": name, "id": wanted_id})
        if not made and project.id == wanted_id:
            return project
        if not made:
            raise Conflict("There is a project with this short name already. Choose another.")
        append(EventKind.PROJECT_CREATED, actor=actor, target=project)
        if isinstance(actor, UserActor) and not policy.covers(actor, Role.MAINTAINER, project):
            # EnvForge's act: the creator may be nobody who gives roles.
            grant_role(
                actor=SYSTEM,
                org_id=org_id,
                person_id=actor.person_id,
                role=Role.MAINTAINER,
                scope=Scope.PROJECT,
                scope_id=project.id,
            )
        return project


def archive_project(*, actor: Actor, org_id: UUID, project_id: UUID) -> None:
    """Archive a project: its history stays, nothing in it changes any more, and its workspaces are archived with it. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        project = Project.objects.select_for_update(no_key=True).filter(id=project_id).first()
        if project is None:
            raise NotVisible
        policy.require(actor, Action.PROJECT_ARCHIVE, project)
        if project.archived_at is None:
            project.archived_at = timezone.now()
            project.save(update_fields=["archived_at"])
            append(EventKind.PROJECT_ARCHIVED, actor=actor, target=project)
            tell_archived(actor, project)
