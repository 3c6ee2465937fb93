"""Support's site in Chromium: Sam comes in, enters an organization for a reason, looks, and leaves (N3)."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Place, Watched
from tests.browser.test_console import shot

pytestmark = pytest.mark.browser


def test_sam_enters_looks_around_and_leaves(
    support_window: tuple[Watched, str], place: Place, tmp_path: Path
) -> None:
    window, colours = support_window
    pictures = Path(os.environ.get("PYTEST_ENVFORGE_PICTURES", tmp_path))
    page = window.page()
    page.goto(place.support + "/")
    page.get_by_role("link", name="Sign in").click()
    page.locator('button[name="login"][value="sam"]').click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    for address in ("organizations", "visits", "staff"):
        page.goto(f"{place.support}/lists/{address}/")
        assert "Acme" not in page.locator("main, #content, body").first.inner_text(), "outside, no names"
        look(page, pictures, f"support-{address}", colours)
    page.goto(f"{place.support}/enter")
    page.get_by_label("Organization").fill("acme")
    page.get_by_label("Reason").fill("The runtime does not wake")
    page.get_by_label("Ticket").fill("T-4711")
    look(page, pictures, "support-enter", colours)
    page.locator("form button.first").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Acme")
    look(page, pictures, "support-inside", colours)
    inside = page.url
    for name in ("members", "timeline"):
        page.goto(inside + name)
        look(page, pictures, f"support-{name}", colours)
    expect(page.get_by_text("of support entered the organization").first).to_be_visible()
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    assert page.goto(inside).status == 404  # type: ignore[union-attr]


def look(page: Page, pictures: Path, name: str, colours: str) -> None:
    """At a wide and a narrow screen; nothing reaches beyond the narrow one."""
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 860})
        shot(page, pictures / f"{name}-{colours}-{width}.png", width)
    page.set_viewport_size({"width": 1280, "height": 860})
