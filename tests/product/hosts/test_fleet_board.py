"""Support's fleet board: ids, states, times and counts of every organization, without a name of anybody's (N3)."""

from django.utils import timezone

from envforge import tenancy
from hosts.models import Host, Orphan
from tests.product.hosts.fleet import Fleet
from tests.product.visitors_of_support import staff_browser
from tests.product.world import World


def test_n3_the_board_has_vms_of_every_organization_and_no_names(world: World, fleet: Fleet) -> None:
    assert world.mallet
    mine, other = fleet.awake("checkout"), Fleet(world.mallet.id, fleet.clock).awake("their-branch")
    assert mine.host_id
    assert other.host_id
    with tenancy.enter(world.acme.id):
        Host.objects.filter(id=mine.host_id).update(trouble="capacity", failures=2)
    said = staff_browser(world.person("Sam")).get("/lists/fleet/").text
    for host_id, org_id in ((mine.host_id, world.acme.id), (other.host_id, world.mallet.id)):
        assert str(host_id) in said
        assert str(org_id) in said
    assert said.index(str(mine.host_id)) < said.index(str(other.host_id)), "what is in trouble comes first"
    assert "No machine of this size is free" in said
    assert "running, absent (generation 1, 2 failed)" in said
    for name in ("checkout", "their-branch", "Acme", "Mallet"):
        assert name not in said


def test_n3_an_ended_vm_is_on_the_board_no_more(world: World, fleet: Fleet) -> None:
    slot = fleet.awake()
    assert slot.host_id
    with tenancy.enter(world.acme.id):
        Host.objects.filter(id=slot.host_id).update(ended_at=timezone.now())
    assert str(slot.host_id) not in staff_browser(world.person("Sam")).get("/lists/fleet/").text


def test_what_nobody_owns_is_listed(world: World) -> None:
    now = timezone.now()
    Orphan.objects.create(
        instance_id="i-0123456789abcdef0", state="running", tagged_org="nobody", launched_at=now, found_at=now
    )
    said = staff_browser(world.person("Sam")).get("/lists/orphans/").text
    assert "i-0123456789abcdef0" in said
    assert "nobody" in said
