"""What was changed or deleted outside of EnvForge is found, said once, and costs pages, not secrets (S4)."""

from datetime import timedelta
from typing import Any

import pytest

from audit.models import Event
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import Conflict
from secrets_ref import paths, reconcile, ssm
from secrets_ref.lookups import organizations_with_due_secrets
from secrets_ref.models import Drift, Secret, Store
from secrets_ref.tasks import sweep_secrets
from secrets_ref.troubles import StoreRefused
from tests.product.store import (
    again,
    crooked_aws,
    make_due,
    put_outside,
    root,
    rotate,
    set_secret,
    stored,
    versions,
)
from tests.product.world import World


def drifts(world: World) -> list[dict[str, Any]]:
    with tenancy.enter(world.acme.id):
        return [one.facts for one in Event.objects.filter(kind="secret.drifted").order_by("at", "id")]


def compare(world: World) -> None:
    make_due(world.acme.id)
    reconcile.compare(world.acme.id)


def test_changed_outside_is_said_once_a_change(world: World) -> None:
    secret = set_secret(world)
    compare(world)
    put_outside(secret.path, "theirs", world.acme.id)
    for _ in range(3):
        compare(world)
    assert drifts(world) == [{"change": "changed"}]
    found = again(world, secret)
    assert (found.version, found.drift, found.changed_by) == (2, "changed", "somebody outside of EnvForge")
    assert versions(world)[-1] == (2, "outside", "written")
    put_outside(secret.path, "theirs again", world.acme.id)
    compare(world)
    assert drifts(world) == [{"change": "changed"}] * 2
    assert rotate(world, secret).version == 4
    compare(world)
    assert again(world, secret).drift == ""
    assert len(drifts(world)) == 2


def test_deleted_outside_then_rotated_begins_anew(world: World) -> None:
    secret = set_secret(world)
    rotate(world, secret)
    compare(world)
    root("ssm").delete_parameter(Name=secret.path)
    for _ in range(2):
        compare(world)
    assert drifts(world) == [{"change": "deleted"}]
    assert again(world, secret).drift == "deleted"
    found = rotate(world, secret, "third")
    assert (found.version, found.generation, found.drift) == (1, 2, "")
    for _ in range(2):
        compare(world)
    assert len(drifts(world)) == 1


def test_deleted_and_made_again_outside_at_the_same_version(world: World) -> None:
    secret = set_secret(world)
    compare(world)
    root("ssm").delete_parameter(Name=secret.path)
    put_outside(secret.path, "theirs", world.acme.id)
    for _ in range(2):
        compare(world)
    assert drifts(world) == [{"change": "changed"}]
    assert again(world, secret).drift == "changed"


def test_changed_outside_and_rotated_here_before_anybody_looked(world: World) -> None:
    secret = set_secret(world)
    put_outside(secret.path, "theirs", world.acme.id)
    assert rotate(world, secret).version == 3
    compare(world)
    assert drifts(world) == [{"change": "changed"}]
    assert again(world, secret).drift == "", "what is there now was set here"


def test_it_costs_pages_and_changes_nothing_where_nothing_differs(
    world: World, django_assert_max_num_queries: Any
) -> None:
    secret = set_secret(world)
    for number in range(60):
        name = f"S{number:02}"
        path = paths.path_of(world.acme.id, project_id=None, workspace_id=None, name=name)
        put_outside(path, "x", world.acme.id)
        described = ssm.describe(path)
        assert described
        with tenancy.enter(world.acme.id):
            Secret.objects.create(
                name=name,
                path=path,
                version=1,
                settled_version=1,
                modified_at=described.modified_at,
                wanted_at=secret.wanted_at,
                wanted_by_kind="system",
                wanted_by_id="system",
                wanted_by="EnvForge",
                changed_at=secret.changed_at,
            )
    compare(world)
    make_due(world.acme.id)
    with crooked_aws() as crooked:
        # Each transaction is three to five statements: begin, the organization, what is asked, commit.
        with django_assert_max_num_queries(22):
            assert reconcile.compare(world.acme.id) == 0
        # The local endpoint's pages hold ten, AWS' fifty.
        assert crooked.seen == ["DescribeParameters"] * 7
    assert drifts(world) == []


def test_the_sweep_takes_what_is_due_and_no_other(world: World) -> None:
    set_secret(world)
    make_due(world.acme.id)
    assert world.acme.id in organizations_with_due_secrets(1000)
    sweep_secrets()
    assert world.acme.id not in organizations_with_due_secrets(1000)
    with tenancy.enter(world.acme.id):
        store = Store.objects.get()
    assert store.compared_at is not None
    assert timedelta(minutes=50) < store.due_at - store.compared_at < timedelta(minutes=70)
    assert reconcile.compare(world.acme.id) == 0


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
def test_a_store_that_does_not_answer_is_asked_later_and_accused_of_nothing(code: str, world: World) -> None:
    secret = set_secret(world)
    make_due(world.acme.id)
    with crooked_aws() as crooked:
        crooked.refuse("DescribeParameters", code)
        assert reconcile.compare(world.acme.id) == 0
    assert again(world, secret).drift == ""
    assert world.acme.id not in organizations_with_due_secrets(1000)


def test_the_event_is_the_systems(world: World) -> None:
    secret = set_secret(world)
    compare(world)
    root("ssm").delete_parameter(Name=secret.path)
    compare(world)
    with tenancy.enter(world.acme.id):
        event = Event.objects.get(kind="secret.drifted")
    assert (event.actor_kind, event.target_label) == (SYSTEM.kind, "STRIPE_KEY")


def test_no_value_is_ever_asked_for(world: World) -> None:
    """S5: what services read, the control plane's identity cannot read, and never tries to."""
    with crooked_aws() as crooked:
        secret = set_secret(world)
        rotate(world, secret)
        compare(world)
    assert not {one for one in crooked.seen if one.startswith("GetParameter")}
    with pytest.raises(StoreRefused, match="denied"):
        ssm.read_platform(secret.path)


def test_s1_a_parameter_behind_an_empty_page_is_not_written_over(world: World) -> None:
    """S1: AWS may answer a page with nothing on it and a token for the next; what is there is somebody's all the same."""
    first = set_secret(world)
    path = paths.path_of(world.acme.id, project_id=None, workspace_id=None, name="THEIRS")
    put_outside(path, "theirs", world.acme.id)
    with crooked_aws() as crooked:
        crooked.hesitate("DescribeParameters")
        with pytest.raises(Conflict):
            set_secret(world, "THEIRS", "ours")
        make_due(world.acme.id)
        reconcile.compare(world.acme.id)
    assert stored(path) == "theirs"
    with tenancy.enter(world.acme.id):
        assert Secret.objects.get(id=first.id).drift == Drift.NONE
