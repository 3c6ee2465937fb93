"""The console in Chromium, without JavaScript, at a real server: it works, keeps its own policy, and looks as meant."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Place, Watched

pytestmark = pytest.mark.browser

OWNER = "alice"


def enter(page: Page, place: Place, login: str, *, at: str = "/") -> None:
    """Sign in by pressing what a person presses."""
    page.goto(place.console + at)
    page.get_by_role("link", name="Sign in").click()
    page.locator(f'button[name="login"][value="{login}"]').click()
    page.wait_for_url(f"{place.console}/**")


def test_alice_signs_in_looks_around_and_signs_out_of_both(window: Watched, place: Place) -> None:
    page = window.page()
    enter(page, place, OWNER)
    expect(page).to_have_url(f"{place.console}/o/acme/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Acme")
    expect(page.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")
    expect(page.get_by_text("Bob joined")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Name").fill("Acme Works")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_label("Name")).to_have_value("Acme Works")
    page.get_by_label("Name").fill("Acme")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{place.console}/")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    page.goto(f"{place.console}/o/acme/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to EnvForge")


def test_nora_creates_an_organization_by_keyboard(window: Watched, place: Place) -> None:
    page = window.page()
    enter(page, place, "nora")
    expect(page.get_by_role("heading", level=1)).to_have_text("You are in no organization yet")
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.type("Nora's Works")
    page.keyboard.press("Tab")
    page.keyboard.type("Nora Works")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Short name")).to_be_focused()
    expect(page.get_by_label("Short name")).to_have_value("Nora Works")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Nora's Works")
    expect(page.get_by_text("lowercase letters")).to_be_visible()
    page.keyboard.press("Control+a")
    page.keyboard.type("nora-works")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{place.console}/o/nora-works/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nora's Works")


def test_a_stranger_finds_nothing(window: Watched, place: Place) -> None:
    page = window.page()
    enter(page, place, "mallory", at="/o/acme/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not found")


def test_a_session_ended_from_another_browser_is_over(
    chromium: Browser, window: Watched, place: Place
) -> None:
    page = window.page()
    enter(page, place, "adam", at="/account")
    other = chromium.new_context()
    elsewhere = other.new_page()
    enter(elsewhere, place, "adam", at="/account")
    elsewhere.get_by_role("button", name="End all others").click()
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Only this browser is signed in as you")
    other.close()
    page.goto(f"{place.console}/o/acme/")
    expect(page.get_by_role("heading", level=1)).to_have_text("You were signed out")
    expect(page.get_by_text("ended from another one of yours")).to_be_visible()


PAGES = ("/o/acme/", "/o/acme/settings", "/account", "/organizations/new", "/o/no-such-place/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_the_screen(
    chromium: Browser, place: Place, tmp_path: Path, scheme: str
) -> None:
    """Pictures are left in the test's own directory, or in ENVFORGE_PICTURES."""
    pictures = Path(os.environ.get("PYTEST_ENVFORGE_PICTURES", tmp_path))
    seal = [sys.executable, "manage.py", "seal_audit", "--once"]
    identity = {
        name: os.environ[f"ENVFORGE_SEALER_{name}"] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    subprocess.run(seal, env=place.environment | identity, check=True, capture_output=True)
    context = chromium.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    for width in (1240, 320):
        page.set_viewport_size({"width": width, "height": 860})
        for number, address in enumerate(("/", "/sign-in?problem=state_unknown")):
            page.goto(place.console + address)
            shot(page, pictures / f"out-{number}-{scheme}-{width}.png", width)
    enter(page, place, OWNER)
    for width in (1240, 320):
        page.set_viewport_size({"width": width, "height": 860})
        for number, address in enumerate(PAGES):
            page.goto(place.console + address)
            shot(page, pictures / f"in-{number}-{scheme}-{width}.png", width)
    context.close()


def shot(page: Page, path: Path, width: int) -> None:
    page.screenshot(path=str(path), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
