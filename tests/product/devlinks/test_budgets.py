"""How long what a link woke may be kept awake, whoever keeps it so, and on whichever VM (THREATS G5)."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from devlinks.models import DevLink, LinkWake
from devlinks.operations.policy import set_link_policy
from devlinks.waking import may_keep_awake
from envforge import tenancy
from tests.product.devlinks.yard import Yard
from tests.product.visitors import signed_in
from tests.product.world import World
from workspaces import meter
from workspaces.models import Wake
from workspaces.wants import end_wake, wake_again


def woken_by(yard: Yard, link: DevLink, minutes: int) -> None:
    """A visitor of this link woke it, so long ago."""
    yard.awake()
    with tenancy.enter(yard.org):
        runtime = yard.runtime()
        LinkWake.objects.create(
            link=link, workspace=yard.workspace, epoch=runtime.epoch, asked_at=timezone.now()
        )
        wake = Wake.objects.get(runtime=runtime, epoch=runtime.epoch)
        meter.open_window(runtime, wake, timezone.now() - timedelta(minutes=minutes))


def may(yard: Yard, link: DevLink) -> bool:
    with tenancy.enter(yard.org):
        return may_keep_awake(link, timezone.now())


@pytest.fixture
def links(yard: Yard) -> Any:
    return yard.issue(awake_budget_s=3600).link, yard.issue(awake_budget_s=3600).link


def test_g5_another_links_visitors_stay_within_the_workspaces_seconds(yard: Yard, links: Any) -> None:
    one, other = links
    woken_by(yard, one, minutes=30)
    assert may(yard, one)
    assert may(yard, other)
    set_link_policy(actor=yard.alice, org_id=yard.org, workspace_awake_s=1200)
    assert not may(yard, one)
    assert not may(yard, other)


def test_g5_a_wake_that_goes_on_elsewhere_is_the_links_all_the_same(yard: Yard, links: Any) -> None:
    """G5, W11: a lost VM gives its link no further seconds."""
    one, other = links
    woken_by(yard, one, minutes=61)
    assert not may(yard, one)
    with tenancy.enter(yard.org):
        runtime = yard.runtime()
        end_wake(runtime, at=timezone.now(), cause="host_lost")
        wake_again(runtime, at=timezone.now())
    assert not may(yard, one)
    assert may(yard, other)


def test_what_nobodys_link_woke_is_kept_awake_by_any(yard: Yard, links: Any) -> None:
    yard.awake()
    assert may(yard, links[0])


def test_g5_what_a_link_spent_is_seen_on_its_page_and_by_the_api(
    yard: Yard, links: Any, world: World
) -> None:
    one, other = links
    woken_by(yard, one, minutes=30)
    browser, slug = signed_in(world.alice), yard.organization.slug
    assert "awake 30 min of 1 h" in browser.get(f"/o/{slug}/links/{one.id}").text
    assert "1 of 60 times, for 30 min of" in browser.get(f"/o/{slug}/workspaces/{yard.workspace.id}").text
    for link, low in ((one, 1800), (other, 0)):
        where = f"/api/v1/orgs/{slug}/links/{link.id}"
        assert low <= browser.get(where).json()["awake_s"] < low + 60
        assert signed_in(world.mallory).get(where).status_code == 404
