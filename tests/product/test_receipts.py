"""What a suspension or removal will close, and what it closed: on the pages, in numbers, also later (I4)."""

import html
import re
from typing import Any

from django.test import Client

from audit.models import Event
from envforge import tenancy
from tests.product.test_people_pages import account_of, at, issue
from tests.product.visitors import signed_in
from tests.product.world import World


def read_receipt(browser: Client, answer: Any) -> str:
    """What stands on the receipt's page that the answer leads to, without its tags."""
    assert answer.status_code == 303
    assert "/receipts/" in answer["location"]
    return re.sub(r"<[^>]+>", "", browser.get(answer["location"]).text)


def test_i4_the_page_says_in_numbers_what_will_be_closed_and_the_receipt_what_was(world: World) -> None:
    alice, page = signed_in(world.alice), at(world, f"members/{world.bob.id}")
    bob = signed_in(world.bob)
    issue(alice, world, account_of(world, acts_for=world.bob))
    before = re.sub(r"<[^>]+>", "", alice.get(page + "/suspend").text)
    for words in ("1 session in a browser, signed out", "1 service account's token, ended"):
        assert words in html.unescape(before)
    assert "agent" not in before, "a suspension deletes nothing"
    assert "1 agent that acts for them, removed" in alice.get(page + "/remove").text.replace(
        "</strong>", ""
    ).replace("<strong>", "")
    receipt = html.unescape(read_receipt(alice, alice.post(page + "/suspend")))
    assert "Bob was suspended" in receipt
    assert "1 session in a browser, signed out" in receipt
    assert "1 service account's token, ended" in receipt
    assert bob.get("/account").status_code == 303
    assert "suspended" in alice.get(at(world, "members")).text
    again = alice.post(page + "/suspend")
    assert again["location"] == page, "nothing was left to do, and there is no second receipt"
    assert alice.post(page + "/restore").status_code == 303
    assert signed_in(world.bob).get(at(world, "")).status_code == 200
    removed = read_receipt(alice, alice.post(page + "/remove"))
    assert "Bob is no longer a member" in removed
    assert "1 agent that acts for them, removed" in removed
    assert alice.post(page + "/remove").status_code == 404
    vera = signed_in(world.vera)
    left = vera.post(at(world, f"members/{world.vera.id}/remove")).text
    assert "You have left Acme" in left
    assert "Nothing was open." in left, "who leaves stays signed in"


def test_i4_the_receipt_is_found_again(world: World) -> None:
    alice, page = signed_in(world.alice), at(world, f"members/{world.bob.id}")
    signed_in(world.bob)
    shown = alice.post(page + "/suspend")["location"]
    assert f'href="{shown}">Receipt of the suspension' in alice.get(page).text
    assert f'href="{shown}">What was closed' in alice.get(at(world, "timeline?kind=member.suspended")).text
    assert "1</strong> session in a browser" in alice.get(shown).text
    with tenancy.enter(world.acme.id):
        joined = Event.objects.filter(kind="member.joined").first()
    assert joined is not None
    assert alice.get(at(world, f"receipts/{joined.id}")).status_code == 404, "that event is no receipt"
    assert world.mallet
    elsewhere = shown.replace(world.acme.slug, world.mallet.slug)
    assert signed_in(world.mallory).get(elsewhere).status_code == 404
    assert signed_in(world.vera).get(shown).status_code == 403
    request = re.search(r"timeline\?request=(req_\w+)", alice.get(shown).text)
    assert request
    assert "suspended <strong>Bob" in alice.get(at(world, f"timeline?request={request[1]}")).text
