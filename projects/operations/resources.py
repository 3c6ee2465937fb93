"""How a resource is provided (W3): by whom, how soon it is expected, and what becomes of its data."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, Invalid
from envforge_protocol.contract.resources import PROPERTIES, SECRET_PROPERTIES
from envforge_protocol.credentials import credential_in
from orgs.policy import Action
from projects.choices import Cleanup, Mode
from projects.contracts import in_view
from projects.locks import locked_repository, usable_secret
from projects.models import Binding, Project, ResourceMode, ResourceValue

LONGEST_READY_S = 3600
MAX_OWNER = 120
MAX_TEXT = 500
# By the customer or their cloud: these take values.
PROVIDED = frozenset({Mode.CUSTOMER_PROVIDED, Mode.CUSTOMER_CLOUD})


@dataclass(frozen=True, slots=True)
class Given:
    """One property's value: a secret by its id, or text that is no secret."""

    secret_id: UUID | None = None
    literal: str = ""


def set_resource_mode(
    *,
    actor: Actor,
    org_id: UUID,
    repository_id: UUID,
    resource: str,
    mode: Mode,
    owner: str,
    ready_within_s: int,
    cleanup: Cleanup,
    request: str = "",
    values: Mapping[str, Given] | None = None,
) -> None:
    """Say how a resource of a repository's contract is provided; what was said before is forgotten.

    Args:
        owner: who answers for it, in words people know.
        request: what is asked of the customer's cloud; for that mode alone.
        values: by property; for what the customer or their cloud provides. Properties with a credential are secrets.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: no such resource, or a field that cannot be used; beside the field.
        Conflict: an input takes from it what only a provided resource gives, or the project is archived.
    """
    with tenancy.enter(org_id):
        repository = locked_repository(actor, Action.RESOURCE_MODE_CHANGE, repository_id)
        contract = next((one for one in in_view(repository) if resource in one.resources), None)
        if contract is None:
            raise _wrong("resource", "No contract of this repository has such a resource.")
        declared = contract.resources[resource]
        given = dict(values or {})
        _require_words(owner, ready_within_s, request)
        if request and mode is not Mode.CUSTOMER_CLOUD:
            raise _wrong("request", "A request is for what your cloud provides.")
        if given and mode not in PROVIDED:
            raise _wrong("values", "Values are for what you or your cloud provide.")
        if mode is Mode.DISABLED and declared.required:
            raise _wrong("mode", f"The service cannot start without {resource}; its contract says so.")
        if mode is not Mode.CUSTOMER_PROVIDED:
            taken = Binding.objects.filter(repository=repository, resource__startswith=f"{resource}.")
            first = taken.order_by("input").first()
            if first:
                raise Conflict(f"{first.input} takes its value from {resource}. Bind it elsewhere first.")
        rows = [
            _value(actor, repository.project, declared.type, name, one) for name, one in sorted(given.items())
        ]
        saved, _ = ResourceMode.objects.update_or_create(
            repository=repository,
            resource=resource,
            defaults={
                "mode": mode,
                "owner": owner.strip(),
                "ready_within_s": ready_within_s,
                "cleanup": cleanup,
                "request": request,
                "changed_at": timezone.now(),
                "changed_by": actor.label,
            },
        )
        saved.values.all().delete()
        for row in rows:
            row.resource_mode = saved
        ResourceValue.objects.bulk_create(rows)
        append(
            EventKind.RESOURCE_MODE_CHANGED,
            actor=actor,
            target=repository,
            resource=resource,
            mode=mode.value,
        )


def _value(actor: Actor, project: Project, kind: str, name: str, given: Given) -> ResourceValue:
    field = f"values.{name}"
    if name not in PROPERTIES[kind]:
        raise _wrong("values", f"A {kind} has these properties: {', '.join(PROPERTIES[kind])}.")
    if given.secret_id:
        return ResourceValue(
            property=name, secret=usable_secret(actor, project, given.secret_id, field=field)
        )
    if name in SECRET_PROPERTIES:
        raise _wrong(field, "This holds a credential. Choose a secret.")
    if not 0 < len(given.literal) <= MAX_TEXT or not given.literal.isprintable():
        raise _wrong(field, f"Give one line of 1 to {MAX_TEXT} characters.")
    if credential_in(given.literal):
        raise _wrong(field, "This looks like a credential, and everybody here can read it. Choose a secret.")
    return ResourceValue(property=name, literal=given.literal)


def _require_words(owner: str, ready_within_s: int, request: str) -> None:
    wrong = {}
    if not 0 < len(owner.strip()) <= MAX_OWNER or not owner.isprintable() or credential_in(owner):
        wrong["owner"] = f"Name who answers for it, in one line of at most {MAX_OWNER} characters."
    if not 0 < ready_within_s <= LONGEST_READY_S:
        wrong["ready_within_s"] = f"Give 1 to {LONGEST_READY_S} seconds."
    if len(request) > MAX_TEXT or "\0" in request or credential_in(request):
        wrong["request"] = f"Use at most {MAX_TEXT} characters, and no credential."
    if wrong:
        raise Invalid("Please check how it is provided.", wrong)


def _wrong(field: str, words: str) -> Invalid:
    return Invalid(words, {field: words})
