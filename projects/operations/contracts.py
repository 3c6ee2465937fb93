"""What repositories propose, and what maintainers decide about it (W2)."""

from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, Invalid, NotVisible
from envforge_protocol.contract import BadContract, parse
from envforge_protocol.contract.digest import digest as digest_of
from orgs.policy import Action
from projects.choices import Decision
from projects.contracts import contract_of, others_named
from projects.locks import locked_repository
from projects.models import Binding, Proposal, RefusedFile, Repository

# Branches of one repository whose unreadable files are told; more of them say nothing new.
MOST_REFUSED = 50
# Proposals that wait for a decision: the newest of a branch, for who is reviewing while it goes on, and of a repository.
MOST_WAITING_OF_BRANCH = 3
MOST_WAITING = 30


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of a text: the proposal it is, or None where it is no contract."""

    proposal_id: UUID | None
    decision: str


def propose_contract(
    *, actor: Actor, org_id: UUID, repository_id: UUID, branch: str, commit: str, text: str, digest: str
) -> Seen:
    """Take up an `envforge.yml` that a VM read; SYSTEM's act. A digest that is kept changes nothing.

    It supersedes what waits for a decision beyond `MOST_WAITING_OF_BRANCH` and `MOST_WAITING`, the oldest first: those are
    forgotten, and are proposals again where a branch still has them. What was decided about is kept for good.

    A text that is no contract is kept as its problems, for this branch, until the branch has one.

    Args:
        digest: what the VM made of the text; empty where it could make nothing of it.

    Raises:
        NotVisible: there is no such repository in use.
        Invalid: the digest is another text's.
        Conflict: the project is archived.
    """
    with tenancy.enter(org_id):
        repository = locked_repository(actor, Action.CONTRACT_APPROVE, repository_id)
        about = {"repository": repository, "branch": branch}
        try:
            contract = parse(text.encode(errors="surrogatepass"))
        except BadContract as bad:
            _remember_refused(repository, branch, commit, bad)
            return Seen(None, "refused")
        own = digest_of(contract)
        if digest != own:
            raise Invalid(
                "The digest is not this text's.", {"digest": "Made by another version of the contract?"}
            )
        RefusedFile.objects.filter(**about).delete()
        proposal, made = Proposal.objects.get_or_create(
            repository=repository,
            digest=own,
            defaults={"text": text, "service": contract.service.name, "branch": branch, "commit": commit},
        )
        if made:
            _supersede(repository, branch)
            append(EventKind.CONTRACT_PROPOSED, actor=actor, target=repository, digest=own)
        return Seen(proposal.id, proposal.decision)


def approve_contract(*, actor: Actor, org_id: UUID, proposal_id: UUID) -> None:
    """Approve a contract by its digest, for this repository and all its branches. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Conflict: its service has another one's name, or is a console that an input leads to; or the project is archived.
    """
    with tenancy.enter(org_id):
        proposal, repository = _locked(actor, proposal_id)
        if proposal.decision == Decision.APPROVED:
            return
        contract = contract_of(proposal)
        if others_named(contract.service.name, repository):
            raise Conflict(
                f"Another repository of this project has a service {contract.service.name}. Give one of them another name."
            )
        if contract.service.kind == "console":
            leads = Binding.objects.filter(route_to=repository, repository__removed_at=None).order_by("input")
            if leads.exists():
                raise Conflict(
                    f"{leads[0].input} leads to this service, and nothing leads to a console. Bind it elsewhere first."
                )
        _decide(proposal, Decision.APPROVED, actor)
        append(EventKind.CONTRACT_APPROVED, actor=actor, target=repository, digest=proposal.digest)


def reject_contract(*, actor: Actor, org_id: UUID, proposal_id: UUID) -> None:
    """Reject a proposal; it can be approved later all the same. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Conflict: it is approved, or the project is archived.
    """
    with tenancy.enter(org_id):
        proposal, repository = _locked(actor, proposal_id)
        if proposal.decision == Decision.REJECTED:
            return
        if proposal.decision == Decision.APPROVED:
            raise Conflict("This contract is approved already. Approve another one, and wakes use that.")
        _decide(proposal, Decision.REJECTED, actor)
        append(EventKind.CONTRACT_REJECTED, actor=actor, target=repository, digest=proposal.digest)


def _locked(actor: Actor, proposal_id: UUID) -> tuple[Proposal, Repository]:
    found = Proposal.objects.filter(id=proposal_id).first()
    if found is None:
        raise NotVisible
    repository = locked_repository(actor, Action.CONTRACT_APPROVE, found.repository_id)
    # Behind the repository's lock: two decisions at once are one after the other.
    found.refresh_from_db()
    return found, repository


def _decide(proposal: Proposal, decision: Decision, actor: Actor) -> None:
    proposal.decision, proposal.decided_at, proposal.decided_by = decision, timezone.now(), actor.label
    proposal.save(update_fields=["decision", "decided_at", "decided_by"])


def _supersede(repository: Repository, branch: str) -> None:
    waiting = Proposal.objects.filter(repository=repository, decision=Decision.PROPOSED)
    newest = waiting.order_by("-proposed_at", "-id").values_list("id", flat=True)
    surplus = {*newest.filter(branch=branch)[MOST_WAITING_OF_BRANCH:], *newest[MOST_WAITING:]}
    if surplus:
        Proposal.objects.filter(id__in=surplus).delete()


def _remember_refused(repository: Repository, branch: str, commit: str, bad: BadContract) -> None:
    others = RefusedFile.objects.filter(repository=repository).exclude(branch=branch)
    surplus = others.order_by("-seen_at", "-id").values_list("id", flat=True)[MOST_REFUSED - 1 :]
    RefusedFile.objects.filter(id__in=list(surplus)).delete()
    RefusedFile.objects.update_or_create(
        repository=repository,
        branch=branch,
        defaults={
            "commit": commit,
            "problems": [problem.to_json() for problem in bad.problems],
            "not_listed": bad.not_listed,
            "seen_at": timezone.now(),
        },
    )
