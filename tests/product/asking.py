"""The visitors of `reach.py`, with a browser or program each, and how they ask."""

from typing import Any

from django.test import Client
from django.test.client import MULTIPART_CONTENT

from envforge.actor import SYSTEM
from orgs import operations, staff, visits
from orgs.models import Person
from orgs.policy import Action
from orgs.roles import Role
from tests.product.answers import VISITORS, Row
from tests.product.things import Things, issue
from tests.product.visitors import anonymous, signed_in
from tests.product.visitors_of_support import stranger_to_support, support_browser
from tests.product.world import World


def visitors(world: World, host: str) -> dict[str, tuple[Client, Person | None]]:
    """A browser (or program) for each visitor at this host, and who it is of."""
    people = {
        "stranger": world.mallory,
        "owner": world.alice,
        "admin": world.adam,
        "developer": world.bob,
        "viewer": world.vera,
        "billing": world.bill,
        "suspended": _suspended(world),
        "support": _sam(world),
    }
    assert world.mallet
    at_host, nobody = (signed_in, anonymous) if host == "console" else (support_browser, stranger_to_support)
    known: dict[str, tuple[Client, Person | None]] = {
        name: (at_host(person), person) for name, person in people.items()
    }
    known |= {"anonymous": (nobody(), None), "program": (_program(world, nobody()), None)}
    return {name: known[name] for name in VISITORS}


def _suspended(world: World) -> Person:
    person = world.member("Otto", Role.OWNER)
    operations.suspend_member(actor=world.alice.as_actor(), org_id=world.acme.id, person_id=person.id)
    return person


def _sam(world: World) -> Person:
    person = world.person("Sam")
    staff.grant_staff(actor=SYSTEM, person=person, days=1)
    visits.enter_organization(actor=person.as_actor(), wanted=world.acme.slug, reason="help", ticket="T-1")
    return person


def _program(world: World, browser: Client) -> Client:
    alice = world.alice
    account = operations.create_service_account(
        actor=alice.as_actor(), org_id=world.acme.id, creator=alice, name="ci", role=Role.ADMIN
    )
    browser.defaults["HTTP_AUTHORIZATION"] = f"Bearer {issue(world, account.id, *Action)[1]}"
    return browser


def ask(browser: Client, row: Row, things: Things) -> Any:
    """The answer; a file is not read. The API is sent JSON."""
    data = {
        name: value.format_map(things) if isinstance(value, str) else value
        for name, value in row.data.items()
    }
    address = row.address.format_map(things)
    form = MULTIPART_CONTENT if not row.name.startswith("api-") else "application/json"
    match row.method:
        case "GET":
            answer = browser.get(address, data or None)
        case "PATCH":
            answer = browser.patch(address, data, content_type=form)
        case "DELETE":
            answer = browser.delete(address)
        case "PUT":
            answer = browser.put(address, data, content_type=form)
        case _:
            answer = browser.post(address, data, content_type=form)
    answer.close()
    return answer
