"""SSH through a gateway: one ticket, one connection, to the workspace's own shell (H7, L5)."""

from typing import Any

import pytest
from django.utils import timezone

from devlinks.models import Purge
from devlinks.operations.shells import issue_shell_ticket
from devlinks.purges import revision_now
from envforge import tenancy
from envforge.errors import Conflict, NotAllowed, NotVisible
from orgs import operations
from orgs.roles import Role, Scope
from tests.product.devlinks.yard import Gateway, Yard
from tests.product.host_api.machines import new_host
from tests.product.hosts.conftest import Clock
from tests.product.world import World
from workspaces.models import Shell, ShellState


def ready(yard: Yard) -> None:
    host = new_host(yard.organization)
    with tenancy.enter(yard.org):
        host.address = "10.20.1.6"
        host.save(update_fields=["address"])
        Shell.objects.filter(workspace=yard.workspace).update(
            observed=ShellState.READY, host=host, generation=host.generation, ssh_port=2222
        )


def ticket(yard: Yard, actor: Any = None) -> str:
    made = issue_shell_ticket(actor=actor or yard.alice, org_id=yard.org, workspace_id=yard.workspace.id)
    assert made.address.startswith("ws")
    return made.ticket.reveal_text()


def test_a_ticket_leads_to_its_workspaces_shell_once(yard: Yard, gateway: Gateway) -> None:
    ready(yard)
    held = ticket(yard)
    shell = gateway.ask("shells", ticket=held)["shell"]
    assert (shell["address"], shell["port"]) == ("10.20.1.6", 2222)
    assert shell["workspace_id"] == str(yard.workspace.id)
    assert gateway.ask("shells", ticket=held)["refused"]["word"] == "code"


def test_a_ticket_ends_after_a_minute_and_none_is_guessed(yard: Yard, gateway: Gateway, clock: Clock) -> None:
    ready(yard)
    held = ticket(yard)
    for wrong in ("envf_shell_" + "x" * 43, "x", held + "x"):
        assert gateway.ask("shells", ticket=wrong)["refused"]["word"] == "code"
    clock.pass_(seconds=61)
    assert gateway.ask("shells", ticket=held)["refused"]["word"] == "code"


def test_who_gets_no_ticket(yard: Yard, world: World) -> None:
    ready(yard)
    for person in (world.vera, world.bob):
        with pytest.raises(NotAllowed):
            ticket(yard, person.as_actor())
    with pytest.raises(NotVisible):
        ticket(yard, world.mallory.as_actor())


def test_a_shell_that_is_not_ready_takes_nobody(yard: Yard, gateway: Gateway) -> None:
    with pytest.raises(Conflict):
        ticket(yard)
    ready(yard)
    held = ticket(yard)
    with tenancy.enter(yard.org):
        Shell.objects.filter(workspace=yard.workspace).update(observed=ShellState.FAILED)
    assert gateway.ask("shells", ticket=held)["refused"]["word"] == "unavailable"


def test_h7_a_lost_role_ends_the_connection_and_unspent_tickets(
    yard: Yard, gateway: Gateway, world: World
) -> None:
    ready(yard)
    given: dict[str, Any] = {
        "role": Role.COLLABORATOR,
        "scope": Scope.WORKSPACE,
        "scope_id": yard.workspace.id,
    }
    operations.grant_role(actor=yard.alice, org_id=yard.org, person_id=world.bob.id, **given)
    bob = world.bob.as_actor()
    used, unused = ticket(yard, bob), ticket(yard, bob)
    session = gateway.ask("shells", ticket=used)["shell"]["session_id"]
    before = revision_now()
    operations.revoke_role(actor=yard.alice, org_id=yard.org, person_id=world.bob.id, **given)
    keys = Purge.objects.filter(revision__gt=before, cut=True).values_list("key_id", flat=True)
    assert session in {str(key) for key in keys}
    assert gateway.ask("shells", ticket=unused)["refused"]["word"] == "code"
    assert timezone.now()
