"""Where an input comes from (W1): the project's say, never the repository's."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Invalid
from envforge_protocol.contract import Contract
from envforge_protocol.contract.binding import SOURCES
from envforge_protocol.contract.resources import PROPERTIES
from envforge_protocol.credentials import credential_in
from orgs.policy import Action
from projects.choices import Mode, Source
from projects.contracts import approved, contract_of, in_view
from projects.locks import locked_repository, usable_secret
from projects.models import Binding, Repository, ResourceMode

MAX_LITERAL = 2000


def bind_input(
    *,
    actor: Actor,
    org_id: UUID,
    repository_id: UUID,
    name: str,
    source: Source,
    secret_id: UUID | None = None,
    literal: str = "",
    route_to_id: UUID | None = None,
    resource: str = "",
) -> None:
    """Say where an input of a repository's service comes from, for every workspace of the project.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: there is no such input, or it cannot come from there; beside the field.
        Conflict: the project is archived.
    """
    with tenancy.enter(org_id):
        repository = locked_repository(actor, Action.BINDING_CHANGE, repository_id)
        contract = next((one for one in in_view(repository) if name in one.inputs), None)
        if contract is None:
            raise _wrong("input", "No contract of this repository has such an input.")
        kind = contract.inputs[name].kind
        if source.value not in SOURCES[kind]:
            possible = " or ".join(sorted(SOURCES[kind]))
            raise _wrong("source", f"This input is of the kind {kind}; it comes from: {possible}.")
        columns: dict[str, Any] = {"secret": None, "literal": "", "route_to": None, "resource": ""}
        if source is Source.SECRET:
            columns["secret"] = usable_secret(actor, repository.project, secret_id, field="secret")
        elif source is Source.LITERAL:
            columns["literal"] = _literal(kind, literal)
        elif source is Source.ROUTE:
            columns["route_to"] = _route(repository, route_to_id)
        else:
            columns["resource"] = _resource(repository, contract, resource)
        Binding.objects.update_or_create(
            repository=repository,
            input=name,
            defaults={**columns, "source": source, "changed_at": timezone.now(), "changed_by": actor.label},
        )
        append(EventKind.BINDING_CHANGED, actor=actor, target=repository, input=name, source=source.value)


def unbind_input(*, actor: Actor, org_id: UUID, repository_id: UUID, name: str) -> None:
    """Forget where an input comes from; what runs keeps what it has. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Conflict: the project is archived.
    """
    with tenancy.enter(org_id):
        repository = locked_repository(actor, Action.BINDING_CHANGE, repository_id)
        gone, _ = Binding.objects.filter(repository=repository, input=name).delete()
        if gone:
            append(EventKind.BINDING_CHANGED, actor=actor, target=repository, input=name, source="none")


def _literal(kind: str, literal: str) -> str:
    if not literal or len(literal) > MAX_LITERAL or "\0" in literal:
        raise _wrong("literal", f"Give a text of 1 to {MAX_LITERAL} characters.")
    if credential_in(literal):
        raise _wrong(
            "literal", "This looks like a credential, and everybody here can read it. Set it as a secret."
        )
    if kind == "url":
        try:
            parts = urlsplit(literal)
        except ValueError:
            raise _wrong("literal", "Give an address, such as https://maps.example.com/v2.") from None
        if not parts.scheme or not parts.hostname or not literal.isprintable() or parts.password:
            raise _wrong(
                "literal", "Give an address without a password, such as https://maps.example.com/v2."
            )
    return literal


def _route(repository: Repository, wanted: UUID | None) -> Repository:
    others = Repository.objects.filter(project_id=repository.project_id, removed_at=None)
    found = others.filter(id=wanted).exclude(id=repository.id).first() if wanted else None
    if found is None:
        raise _wrong("route_to", "Choose another repository of this project.")
    proposal = approved([found.id]).get(found.id)
    if proposal is None:
        raise _wrong("route_to", f"{found.name} has no approved contract yet. Approve one first.")
    contract = contract_of(proposal)
    if contract.service.kind == "console":
        raise _wrong("route_to", f"{found.name} is a console, and nothing leads to a console.")
    if contract.ingress is None:
        raise _wrong("route_to", f"{found.name} has no ingress port to lead to.")
    return found


def _resource(repository: Repository, contract: Contract, wanted: str) -> str:
    name, _, field = wanted.partition(".")
    declared = contract.resources.get(name)
    if declared is None or field not in PROPERTIES[declared.type]:
        raise _wrong(
            "resource", "Choose NAME.PROPERTY of a resource of the same contract, such as database.url."
        )
    provided = ResourceMode.objects.filter(repository=repository, resource=name, mode=Mode.CUSTOMER_PROVIDED)
    if not provided.exists():
        raise _wrong(
            "resource", f"An input takes only what you provide yourselves; {name} is provided otherwise."
        )
    return wanted


def _wrong(field: str, words: str) -> Invalid:
    return Invalid(words, {field: words})
