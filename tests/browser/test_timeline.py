"""The timeline in Chromium: filters, news without a reload, and an export that verifies with no server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Place, Watched
from tests.browser.test_console import enter
from tests.browser.test_exports import seal

pytestmark = pytest.mark.browser

NARROW = {"width": 320, "height": 640}


@pytest.fixture
def scripted(chromium: Browser, place: Place) -> Iterator[Watched]:
    """A fresh window with JavaScript, in which nothing may complain."""
    context = chromium.new_context(viewport={"width": 1240, "height": 860}, accept_downloads=True)
    watched = Watched(context, [], set())
    yield watched
    context.close()
    assert watched.complaints == []


def rename(page: Page, place: Place, name: str) -> None:
    page.goto(f"{place.console}/o/acme/settings")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_label("Name")).to_have_value(name)


def test_alice_filters_by_keyboard_without_javascript(window: Watched, place: Place) -> None:
    page = window.page()
    enter(page, place, "alice", at="/o/acme/timeline")
    expect(page.get_by_role("heading", level=1)).to_have_text("What happened in Acme")
    page.get_by_label("What happened").select_option("member.joined")
    page.get_by_role("button", name="Filter").press("Enter")
    expect(page).to_have_url(
        f"{place.console}/o/acme/timeline?kind=member.joined&actor=&target=&since=&until=&workspace=&request="
    )
    expect(page.locator("ol.told li").first).to_contain_text("joined")
    assert page.locator("ol.told li", has_text="created").count() == 0
    first = page.locator("ol.told summary").first
    first.press("Enter")
    page.locator("ol.told dl").first.get_by_role("link").nth(1).click()
    expect(page.get_by_label("Who did it")).not_to_have_value("")
    page.get_by_text("By workspace or request").click()
    page.get_by_label("Request id").fill("nonsense")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("A request's id is")).to_be_visible()


def test_news_is_offered_and_moves_nothing_until_it_is_asked_for(scripted: Watched, place: Place) -> None:
    page, other = scripted.page(), scripted.page()
    enter(page, place, "alice", at="/o/acme/timeline")
    top = page.locator("ol.told li").first
    before = top.bounding_box()
    rename(other, place, "Acme Works")
    rename(other, place, "Acme")
    page.bring_to_front()
    offer = page.get_by_role("button", name="Show 2 new events")
    expect(offer).to_be_visible(timeout=15_000)
    assert top.bounding_box() == before
    offer.press("Enter")
    expect(page.locator("ol.told li").first).to_contain_text("Alice renamed the organization to Acme")
    expect(offer).to_have_count(0)
    expect(page.locator("ol.told summary").first).to_be_focused()


def test_an_export_tells_how_far_it_is_and_verifies_offline(
    scripted: Watched, place: Place, tmp_path: Path
) -> None:
    seal(place)
    page = scripted.page()
    enter(page, place, "alice", at="/o/acme/timeline?kind=member.joined")
    expect(page.locator(".seal")).to_contain_text("signed through")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Export to verify").click()
    file, keys = tmp_path / downloading.value.suggested_filename, tmp_path / "keys.json"
    downloading.value.save_as(file)
    assert file.name.endswith("-verifiable.jsonl")
    expect(page.locator("#progress")).to_contain_text("Your browser saves the file.")
    keys.write_text(json.dumps(httpx2.get(f"{place.console}/.well-known/envforge-audit-keys.json").json()))
    verified = subprocess.run(
        [sys.executable, "-m", "envforge_cli", "audit", "verify", str(file), "--keys", str(keys)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Export to read").click()
    assert downloading.value.suggested_filename.endswith("-for-reading.csv")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_narrow_screen(chromium: Browser, place: Place, tmp_path: Path, scheme: str) -> None:
    context = chromium.new_context(viewport=NARROW, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    enter(page, place, "alice", at="/o/acme/timeline")
    page.locator("ol.told summary").first.click()
    page.get_by_text("By workspace or request").click()
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    page.screenshot(path=tmp_path / "narrow.png", full_page=True)
    page.set_viewport_size({"width": 1240, "height": 860})
    page.screenshot(path=tmp_path / "wide.png", full_page=True)
    context.close()
