"""Links: who may issue and change them, what they bind, and what is told of it (L1, L2, L4, L9, I4)."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import ProgrammingError, connection
from django.utils import timezone

from devlinks import ending, labels, link_keys, rules
from devlinks.models import DevLink, HostLabel, Issuers
from devlinks.operations import links
from devlinks.operations.policy import set_link_policy
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import Conflict, Invalid, NotAllowed, NotVisible
from envforge_protocol.gateway import link_tokens
from orgs import operations
from orgs.roles import Role, Scope
from tests.product.devlinks.yard import Yard, token_of
from tests.product.hosts.conftest import Clock
from tests.product.world import World
from workspaces.models import Workspace
from workspaces.operations.workspaces import archive_workspace


def claims_of(issued: links.Issued) -> link_tokens.Claims:
    return link_tokens.verify(
        token_of(issued), link_keys.verifying_keys(), audience=settings.DEV_DOMAIN, now=timezone.now()
    )


def test_l1_a_link_binds_one_service_workspace_organization_surfaces_and_an_end(yard: Yard) -> None:
    issued = yard.issue(surfaces=["web", "api"], note="Please look at the calendar")
    claims = claims_of(issued)
    assert (claims.service, claims.workspace, claims.organization) == ("web", yard.workspace.id, yard.org)
    assert (claims.link, claims.rotation) == (issued.link.id, 0)
    assert [one.value for one in claims.surfaces] == ["web", "api"]
    assert claims.exp == int(issued.link.expires_at.timestamp())
    assert claims.host == f"web--main--{yard.organization.slug}.{settings.DEV_DOMAIN}"
    [event] = yard.events("dev_link.issued")
    assert sorted(event.facts["surfaces"]) == ["api", "web"]
    assert "share" not in str(event.facts)


@pytest.mark.parametrize("service", ["tool", "jobs", "nothing", ""])
def test_l1_l5_only_apps_of_approved_contracts_take_links(yard: Yard, service: str) -> None:
    with pytest.raises(Invalid):
        yard.issue(service=service)


def test_l1_only_who_works_in_the_workspace_issues(yard: Yard, world: World) -> None:
    for person in (world.adam,):
        yard.issue(actor=person.as_actor())
    for person in (world.vera, world.bob):
        with pytest.raises(NotAllowed):
            yard.issue(actor=person.as_actor())
    operations.grant_role(
        actor=yard.alice,
        org_id=yard.org,
        person_id=world.bob.id,
        role=Role.COLLABORATOR,
        scope=Scope.WORKSPACE,
        scope_id=yard.workspace.id,
    )
    yard.issue(actor=world.bob.as_actor())
    for person in (world.bill, world.mallory):
        with pytest.raises(NotVisible):
            yard.issue(actor=person.as_actor())


def test_l1_the_organizations_policy_narrows_who_issues_and_for_how_long(yard: Yard, world: World) -> None:
    assert world.bob
    operations.grant_role(
        actor=yard.alice,
        org_id=yard.org,
        person_id=world.bob.id,
        role=Role.COLLABORATOR,
        scope=Scope.WORKSPACE,
        scope_id=yard.workspace.id,
    )
    with pytest.raises(NotAllowed):
        set_link_policy(actor=world.bob.as_actor(), org_id=yard.org, longest_s=3600)
    set_link_policy(
        actor=yard.alice,
        org_id=yard.org,
        issuers=Issuers.OPERATORS,
        longest_s=3600,
        surfaces=("web",),
        wakes_budget=3,
    )
    with pytest.raises(NotAllowed) as refused:
        yard.issue(actor=world.bob.as_actor(), lifetime=timedelta(minutes=10))
    assert refused.value.denial.rule == "link-policy"
    with pytest.raises(Invalid):
        yard.issue(lifetime=timedelta(seconds=3601))
    with pytest.raises(Invalid):
        yard.issue(lifetime=timedelta(minutes=10), wakes_budget=4)
    link = yard.issue(lifetime=timedelta(minutes=10)).link
    assert (link.surfaces, link.wakes_budget) == (["web"], 3)
    assert len(yard.events("dev_link.policy_changed")) == 1
    set_link_policy(actor=yard.alice, org_id=yard.org, longest_s=3600)
    assert len(yard.events("dev_link.policy_changed")) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"surfaces": ["web", "ssh"]},
        {"name": "x" * 81},
        {"name": "two\nlines\x00"},
        {"note": "envf_sa_" + "a" * 43},
        {"lifetime": timedelta(0)},
        {"lifetime": timedelta(days=8)},
        {"wakes_budget": -1},
    ],
)
def test_what_cannot_be_used_is_refused(yard: Yard, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        yard.issue(**wrong)


def test_l7_a_workspace_without_public_access_takes_no_links(yard: Yard) -> None:
    with tenancy.enter(yard.org):
        Workspace.objects.filter(id=yard.workspace.id).update(public=False)
    with pytest.raises(NotAllowed) as refused:
        yard.issue()
    assert refused.value.denial.rule == "private-workspace"


def test_an_archived_workspace_takes_no_links(yard: Yard) -> None:
    archive_workspace(actor=yard.alice, org_id=yard.org, workspace_id=yard.workspace.id)
    with pytest.raises(Conflict):
        yard.issue()


def test_l4_rotating_gives_another_address_and_keeps_the_link(yard: Yard) -> None:
    first = yard.issue()
    second = links.rotate_dev_link(actor=yard.alice, org_id=yard.org, link_id=first.link.id)
    assert claims_of(second).rotation == 1
    assert claims_of(second).host == claims_of(first).host
    assert [event.facts["rotation"] for event in yard.events("dev_link.rotated")] == [1]


def test_l4_revoking_again_changes_nothing(yard: Yard) -> None:
    issued = yard.issue()
    for _ in range(2):
        links.revoke_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
    assert len(yard.events("dev_link.revoked")) == 1
    for change in (
        lambda: links.rotate_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id),
        lambda: links.change_allowlist(
            actor=yard.alice, org_id=yard.org, link_id=issued.link.id, surfaces=["web"]
        ),
        lambda: links.extend_dev_link(
            actor=yard.alice,
            org_id=yard.org,
            link_id=issued.link.id,
            expires_at=timezone.now() + timedelta(days=2),
        ),
    ):
        with pytest.raises(Conflict):
            change()


def test_l4_the_allowlist_changes_and_is_told_once(yard: Yard) -> None:
    issued = yard.issue()
    for _ in range(2):
        link = links.change_allowlist(
            actor=yard.alice, org_id=yard.org, link_id=issued.link.id, surfaces=["api", "web"]
        )
    assert link.surfaces == ["web", "api"]
    [event] = yard.events("dev_link.allowlist_changed")
    assert sorted(event.facts["surfaces"]) == ["api", "web"]


def test_l4_a_link_is_never_extended_beyond_the_policy(yard: Yard) -> None:
    issued = yard.issue()
    latest = issued.link.issued_at + timedelta(seconds=rules.Rules().longest_s)
    for wrong in (issued.link.expires_at, latest + timedelta(seconds=1)):
        with pytest.raises(Invalid):
            links.extend_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id, expires_at=wrong)
    longer = links.extend_dev_link(
        actor=yard.alice, org_id=yard.org, link_id=issued.link.id, expires_at=latest
    )
    assert claims_of(longer).exp == int(latest.timestamp())
    assert claims_of(longer).rotation == 0


def test_l9_an_expired_link_is_told_once_on_time(yard: Yard, clock: Clock) -> None:
    issued = yard.issue(lifetime=timedelta(minutes=5))
    clock.pass_(minutes=4, seconds=58)
    ending.record_expired(timezone.now())
    assert not yard.events("dev_link.expired")
    clock.pass_(seconds=3)
    for _ in range(2):
        ending.record_expired(timezone.now())
    assert [event.facts["link_id"] for event in yard.events("dev_link.expired")] == [str(issued.link.id)]


CHANGES = [links.rotate_dev_link, links.revoke_dev_link]


@pytest.mark.parametrize("change", CHANGES)
def test_who_may_not_change_a_link(yard: Yard, world: World, change: Any) -> None:
    issued = yard.issue()
    for person in (world.vera, world.bob):
        with pytest.raises(NotAllowed):
            change(actor=person.as_actor(), org_id=yard.org, link_id=issued.link.id)
    with pytest.raises(NotVisible):
        change(actor=world.mallory.as_actor(), org_id=yard.org, link_id=issued.link.id)


@pytest.mark.parametrize("change", CHANGES)
def test_a_link_of_another_organization_is_not_there(yard: Yard, strangers: Yard, change: Any) -> None:
    issued = strangers.issue()
    with pytest.raises(NotVisible):
        change(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)


def test_whoever_issued_a_link_may_revoke_it_without_an_operators_role(yard: Yard, world: World) -> None:
    operations.grant_role(
        actor=yard.alice,
        org_id=yard.org,
        person_id=world.bob.id,
        role=Role.COLLABORATOR,
        scope=Scope.WORKSPACE,
        scope_id=yard.workspace.id,
    )
    bob = world.bob.as_actor()
    mine, anothers = yard.issue(actor=bob), yard.issue()
    links.revoke_dev_link(actor=bob, org_id=yard.org, link_id=mine.link.id)
    with pytest.raises(NotAllowed):
        links.revoke_dev_link(actor=bob, org_id=yard.org, link_id=anothers.link.id)


def test_l4_all_links_of_a_workspace_or_of_a_person_end_at_once(yard: Yard, world: World) -> None:
    for _ in range(2):
        yard.issue()
    other = yard.branch("other")
    yard.issue(workspace_id=other.id, actor=world.adam.as_actor())
    with pytest.raises(NotAllowed):
        links.revoke_links_of_workspace(
            actor=world.vera.as_actor(), org_id=yard.org, workspace_id=yard.workspace.id
        )
    assert (
        links.revoke_links_of_workspace(actor=yard.alice, org_id=yard.org, workspace_id=yard.workspace.id)
        == 2
    )
    assert links.revoke_links_of_person(actor=yard.alice, org_id=yard.org, person_id=world.adam.id) == 1
    assert len(yard.events("dev_link.revoked")) == 3


def test_i5_who_may_not_see_a_workspace_hears_of_it_what_is_heard_of_none(yard: Yard, world: World) -> None:
    """I5: Bill pays for it, and may not see which workspaces there are."""
    yard.issue()
    for workspace_id in (yard.workspace.id, uuid4()):
        with pytest.raises(NotVisible):
            links.revoke_links_of_workspace(
                actor=world.bill.as_actor(), org_id=yard.org, workspace_id=workspace_id
            )


def test_i4_offboarding_ends_a_members_links_or_they_were_handed_over(yard: Yard, world: World) -> None:
    assert world.bob
    kept, lost = yard.issue(actor=world.adam.as_actor()), None
    assert (
        links.hand_over_links(actor=yard.alice, org_id=yard.org, person_id=world.adam.id, to=world.bob.id)
        == 1
    )
    lost = yard.issue(actor=world.adam.as_actor())
    done = operations.remove_member(actor=yard.alice, org_id=yard.org, person_id=world.adam.id)
    assert yard.link(kept.link).person_id == world.bob.id
    assert yard.link(kept.link).revoked_at is None
    assert yard.link(lost.link).revoked_cause == "member_removed"
    [removed] = yard.events("member.removed")
    assert removed.facts["dev_links"] == 1
    assert done.event_id == removed.id
    with pytest.raises(Invalid):
        links.hand_over_links(actor=yard.alice, org_id=yard.org, person_id=world.bob.id, to=world.mallory.id)


def test_l2_names_are_short_deterministic_and_nobody_elses() -> None:
    long = [
        "service-" + "s" * 50,
        "a-branch-with-a-very-long-name-indeed-it",
        "an-organization-of-forty-characters-here",
    ]
    tried = list(labels.candidates(*long))
    assert tried == list(labels.candidates(*long))
    assert len(set(tried)) == len(tried)
    for label in tried:
        assert len(label) <= 63
        assert label.count("--") == 2
        assert not label.startswith("-")
        assert not label.endswith("-")
    assert next(labels.candidates("web", "main", "acme")) == "web--main--acme"
    assert not any(one.startswith("xn--") for one in labels.candidates("xn", "main", "acme"))
    first = {next(labels.candidates("s" * 60, "w" * 40, f"{'o' * 38}{number:02}")) for number in range(100)}
    assert len(first) == 100


def test_l2_a_name_that_another_organization_has_is_not_given_again(yard: Yard, strangers: Yard) -> None:
    wanted = next(labels.candidates("web", yard.workspace.slug, yard.organization.slug))
    with tenancy.enter(strangers.org):
        HostLabel.objects.create(workspace=strangers.workspace, service="elsewhere", label=wanted)
    with tenancy.enter(yard.org):
        label = labels.label_of(yard.workspace, "web").label
        assert labels.label_of(yard.workspace, "web").label == label
    assert label != wanted
    assert label.startswith("web--main--")


def test_l2_the_application_can_neither_change_nor_delete_a_name(yard: Yard) -> None:
    issued = yard.issue()
    for act in ("UPDATE devlinks_hostlabel SET label = 'another'", "DELETE FROM devlinks_hostlabel"):
        with (
            pytest.raises(ProgrammingError, match="permission denied"),
            tenancy.enter(yard.org),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"{act} WHERE id = %s", [issued.link.host_id])


def test_s5_no_token_and_no_private_key_is_in_the_database(yard: Yard, admin: Any) -> None:
    issued = yard.issue()
    links.rotate_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
    kid, key = link_keys.signing_key()
    secret = key.private_bytes_raw()
    tables = [
        row[0]
        for row in admin.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname ~ '^(devlinks|audit)'"
        )
    ]
    assert len(tables) > 10
    signature = token_of(issued).rpartition(".")[2]
    for table in tables:
        kept = str(admin.execute(f"SELECT * FROM {table}").fetchall())
        assert signature not in kept
        assert secret.hex() not in kept
    assert kid


def test_keys_rotate_and_old_links_still_verify_unless_distrusted(yard: Yard) -> None:
    before = yard.issue()
    link_keys.rotate(actor=SYSTEM)
    after = yard.issue()
    assert claims_of(before).link == before.link.id
    assert claims_of(after).link == after.link.id
    link_keys.rotate(actor=SYSTEM, distrust=True)
    for one in (before, after):
        with pytest.raises(link_tokens.BadLinkToken):
            claims_of(one)
    again = links.rotate_dev_link(actor=yard.alice, org_id=yard.org, link_id=before.link.id)
    assert claims_of(again).rotation == 1


def test_no_link_is_seen_from_outside_its_organization(yard: Yard, strangers: Yard) -> None:
    issued = yard.issue()
    with tenancy.enter(strangers.org):
        assert not DevLink.objects.filter(id=issued.link.id).exists()
