"""How many undecided proposals are kept of a repository that makes one at each commit (W2)."""

import pytest

from envforge import tenancy
from projects import operations, selectors
from projects.models import Proposal
from tests.product.test_projects import CONSOLE, WEB, Yard
from tests.product.world import World


@pytest.fixture
def yard(world: World) -> Yard:
    return Yard(world)


def test_w2_a_repository_that_proposes_at_each_commit_is_kept_within_bounds(yard: Yard) -> None:
    """W2: thousands of proposals leave the newest, take nothing of another branch, and touch nothing that was decided."""
    yard.approve(yard.web, WEB)
    rejected = yard.propose(yard.web, WEB.replace("command: run", "command: other"))
    assert rejected
    operations.reject_contract(actor=yard.alice, org_id=yard.org, proposal_id=rejected)
    calm = yard.propose(yard.web, WEB.replace("3000", "3999"), branch="calm")
    assert calm
    for number in range(2_000):
        yard.propose(yard.web, WEB.replace("command: run", f"command: run {number}"), branch="busy")
    shown = selectors.repository(actor=yard.alice, slug=yard.world.acme.slug, project="scheduler", name="web")
    assert [one.branch for one in shown.repository.waiting] == ["busy"] * 3 + ["calm"]
    with tenancy.enter(yard.org):
        texts = Proposal.objects.filter(branch="busy").order_by("-id").values_list("text", flat=True)
        assert ["run 1999" in texts[0], "run 1997" in texts[2]] == [True, True]
        assert Proposal.objects.filter(id=calm).exists()
        assert Proposal.objects.exclude(decision="proposed").count() == 2
    again = yard.propose(yard.web, WEB.replace("command: run", "command: run 7"), branch="busy")
    assert again, "what a branch still has is a proposal again"
    for number in range(100):
        yard.propose(yard.web, WEB.replace("command: run", f"command: go {number}"), branch=f"b{number}")
    with tenancy.enter(yard.org):
        assert Proposal.objects.filter(decision="proposed").count() == 30
        assert Proposal.objects.exclude(decision="proposed").count() == 2


def test_w2_what_was_decided_about_cannot_be_deleted(yard: Yard) -> None:
    yard.approve(yard.web, WEB)
    yard.propose(yard.web, CONSOLE)
    with tenancy.enter(yard.org):
        assert Proposal.objects.all().delete()[0] == 1
        assert [one.decision for one in Proposal.objects.all()] == ["approved"]
