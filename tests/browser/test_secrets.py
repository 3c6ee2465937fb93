"""Secrets in Chromium, without JavaScript: set, rotated, deleted; the value is on no page; small screens and the dark."""

import os
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Place, Watched
from tests.browser.test_console import enter, shot

pytestmark = pytest.mark.browser


def test_a_secret_is_set_rotated_and_deleted(
    chromium: Browser, window: Watched, place: Place, tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("PYTEST_ENVFORGE_PICTURES", tmp_path))
    name, value = f"KEY_{uuid4().hex[:8]}".upper(), f"canary-{uuid4()}"
    page = window.page()
    enter(page, place, "alice", at="/o/acme/secrets")
    shot(page, pictures / "secrets-empty.png", 1280)
    page.get_by_label("Name", exact=True).fill("1 bad")
    page.get_by_label("Value", exact=True).fill(value)
    page.get_by_role("button", name="Set secret").click()
    expect(page.get_by_text("Use a letter, then letters")).to_be_visible()
    expect(page.get_by_label("Value", exact=True)).to_have_value("")
    shot(page, pictures / "secrets-wrong.png", 1280)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Value", exact=True).fill(value)
    page.get_by_role("button", name="Set secret").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    assert value not in page.content()
    page.get_by_label("New value").fill(value + "2")
    page.get_by_role("button", name="Rotate secret").click()
    expect(page.get_by_text("Version 2")).to_be_visible()
    assert value not in page.content()
    shot(page, pictures / "secret.png", 1280)
    page.get_by_role("link", name="Secrets", exact=True).first.click()
    shot(page, pictures / "secrets.png", 1280)
    other = chromium.new_context(color_scheme="dark", viewport={"width": 320, "height": 860})
    theirs = other.new_page()
    enter(theirs, place, "bob", at="/o/acme/secrets")
    expect(theirs.get_by_text("You can look, not change.")).to_be_visible()
    shot(theirs, pictures / "secrets-dark-320.png", 320)
    theirs.get_by_role("link", name=name).click()
    shot(theirs, pictures / "secret-dark-320.png", 320)
    other.close()
    page.get_by_role("link", name=name).click()
    page.get_by_role("link", name="Delete…").click()
    shot(page, pictures / "secret-delete.png", 1280)
    page.get_by_role("button", name=f"Delete {name}").click()
    expect(page.get_by_role("link", name=name)).to_have_count(0)
