"""People in Chromium, without JavaScript: invited, accepted, given a role, removed; on small screens and in the dark."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Place, Watched
from tests.browser.test_console import enter, shot

pytestmark = pytest.mark.browser


def open_member(page: Page, place: Place, name: str) -> None:
    page.goto(f"{place.console}/o/acme/members")
    page.get_by_role("link", name=name, exact=True).click()


def test_one_is_invited_accepts_changes_role_and_is_removed(
    chromium: Browser, window: Watched, place: Place, tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("PYTEST_ENVFORGE_PICTURES", tmp_path))
    page = window.page()
    enter(page, place, "alice", at="/o/acme/members")
    page.get_by_label("E-mail address", exact=True).fill(" Mallory@Mallet.test ")
    address = page.get_by_label("E-mail address", exact=True)
    other = chromium.new_context(color_scheme="dark", viewport={"width": 320, "height": 860})
    theirs = other.new_page()
    enter(theirs, place, "mallory", at="/account")
    email = re.search(r"\S+@[\w.-]+\w", theirs.get_by_text("As Mallory").inner_text())
    assert email
    address.fill(email[0])
    page.get_by_label("Role").select_option("viewer")
    page.get_by_role("button", name="Invite").click()
    expect(page.get_by_role("button", name="Take back the invitation of")).to_be_visible()
    theirs.goto(place.console + "/")
    shot(theirs, pictures / "people-invited-dark-320.png", 320)
    theirs.get_by_role("link", name="Look at the invitation").click()
    shot(theirs, pictures / "people-invitation-dark-320.png", 320)
    theirs.get_by_role("button", name=re.compile("Join Acme")).click()
    expect(theirs).to_have_url(f"{place.console}/o/acme/")
    open_member(page, place, "Mallory")
    page.get_by_label("Another role").select_option("developer")
    page.get_by_role("button", name="Give role").click()
    page.get_by_role("button", name="Take the role viewer").click()
    expect(page.get_by_text("viewer", exact=True)).to_have_count(0)
    look_around(page, pictures, place, "light")
    page.emulate_media(color_scheme="dark")
    look_around(page, pictures, place, "dark")
    open_member(page, place, "Mallory")
    page.get_by_role("link", name="Remove…").click()
    shot(page, pictures / "people-remove-dark-320.png", 320)
    page.get_by_role("button", name="Remove Mallory").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mallory is no longer a member")
    shot(page, pictures / "people-receipt-dark-320.png", 320)
    theirs.goto(f"{place.console}/o/acme/")
    expect(theirs.get_by_role("heading", level=1)).to_have_text("You were signed out")
    other.close()


def look_around(page: Page, pictures: Path, place: Place, scheme: str) -> None:
    """Leaves the page on a small screen."""
    member = page.url
    for width in (1240, 320):
        page.set_viewport_size({"width": width, "height": 860})
        for address in ("members", "roles", "tokens"):
            page.goto(f"{place.console}/o/acme/{address}")
            shot(page, pictures / f"people-{address}-{scheme}-{width}.png", width)
        page.goto(member)
        shot(page, pictures / f"people-member-{scheme}-{width}.png", width)


def test_a_token_is_issued_by_keyboard_and_shown_once(window: Watched, place: Place, tmp_path: Path) -> None:
    pictures = Path(os.environ.get("PYTEST_ENVFORGE_PICTURES", tmp_path))
    page = window.page()
    enter(page, place, "alice", at="/o/acme/tokens")
    page.get_by_label("Name").fill("ci")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("ci")
    page.get_by_label("see the organization and its people").check()
    page.get_by_role("textbox", name="Name").fill("laptop")
    shot(page, pictures / "people-issue-light-1240.png", 1240)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Copy the token now")
    shot(page, pictures / "people-value-light-1240.png", 1240)
    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_text("never used")).to_be_visible()
    assert "envf_sa_" not in page.content()


def test_what_is_shown_once_is_copied_by_a_button(chromium: Browser, place: Place, tmp_path: Path) -> None:
    pictures = Path(os.environ.get("PYTEST_ENVFORGE_PICTURES", tmp_path))
    scripted = chromium.new_context(color_scheme="dark", viewport={"width": 320, "height": 860})
    scripted.grant_permissions(["clipboard-read", "clipboard-write"])
    page = scripted.new_page()
    enter(page, place, "alice", at="/o/acme/tokens")
    page.get_by_label("Name").fill("copies")
    page.keyboard.press("Enter")
    page.get_by_label("see the organization and its people").check()
    page.get_by_role("textbox", name="Name").fill("laptop")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    shot(page, pictures / "people-copied-dark-320.png", 320)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#once").inner_text()
    assert copied.startswith("envf_sa_")
    scripted.close()
