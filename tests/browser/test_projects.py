"""A contract's review in Chromium, seen, bound, approved, without JavaScript and with; by keyboard, on small screens and in the dark."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Place, Watched
from tests.browser.test_console import enter, shot

pytestmark = pytest.mark.browser

FIRST = """version: 1
service: {name: web}
command: run
ports: {web: 3000}
inputs: {LEVEL: literal}
env: {LEVEL: "${inputs.LEVEL}"}
"""
NEXT = (
    FIRST.replace("command: run", "command: walk")
    .replace("LEVEL: literal", "LEVEL: literal, KEY: secret")
    .replace("env: {", 'env: {KEY: "${inputs.KEY}", ')
)
# In a process of its own, as a VM's report comes: Playwright's loop and Django do not go together.
PROPOSE = """
import sys, django
django.setup()
from envforge import tenancy
from orgs.lookups import organization_by_slug
from projects.models import Repository
from tests.product.things import propose
class World:
    class acme:
        id = organization_by_slug("acme")
_, project, branch, text = sys.argv
with tenancy.enter(World.acme.id):
    repository = Repository.objects.get(project__slug=project)
propose(World, repository.id, text, branch=branch)
"""


def propose(place: Place, project: str, branch: str, text: str) -> None:
    command = [sys.executable, "-c", PROPOSE, project, branch, text]
    subprocess.run(command, env=place.environment, check=True)


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_a_contract_is_reviewed_bound_and_approved(
    chromium: Browser, window: Watched, place: Place, tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("PYTEST_ENVFORGE_PICTURES", tmp_path))
    slug = f"p-{uuid4().hex[:8]}"
    page = window.page()
    enter(page, place, "alice", at="/o/acme/projects")
    page.get_by_label("Name", exact=True).fill("Scheduler")
    page.get_by_label("Short name").fill(slug)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Scheduler has no repository yet")
    page.get_by_label("Name", exact=True).fill("web")
    page.get_by_label("Address").fill("https://u:p@git.test/web.git")
    page.get_by_role("button", name="Add repository").click()
    expect(page.get_by_label("Address")).to_be_focused()
    expect(page.get_by_text("This address has a credential in it")).to_be_visible()
    page.get_by_label("Address").fill("https://git.test/web.git")
    page.get_by_role("button", name="Add repository").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("web cannot wake yet")

    propose(place, slug, "main", FIRST)
    page.reload()
    page.get_by_role("link", name="Review the contract of web").click()
    expect(page.get_by_role("heading", name="What it asks for")).to_be_visible()
    page.get_by_role("button", name="Approve for all branches").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("the text LEVEL")).to_be_visible()
    page.get_by_role("link", name="Bind LEVEL of web").click()
    page.get_by_label("Value").fill("debug")
    page.get_by_role("button", name="Bind LEVEL").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Everything in Scheduler can wake")

    propose(place, slug, "feature/key", NEXT)
    propose(place, slug, "wip", "version: 1\nservice: {name: web, kind: ap}\n")
    page.reload()
    expect(page.get_by_text("line 2, column")).to_be_visible()
    shot(page, pictures / "project.png", 1280)
    page.get_by_role("link", name="Review the contract of web").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("changes want a close look")
    expect(page.get_by_role("row", name="added command: walk")).to_be_visible()
    expect(page.get_by_role("row", name="removed command: run")).to_be_visible()
    shot(page, pictures / "review.png", 1280)
    address = page.url

    dark = chromium.new_context(color_scheme="dark", viewport={"width": 320, "height": 860})
    theirs = dark.new_page()
    enter(theirs, place, "bob", at=address.removeprefix(place.console))
    expect(theirs.get_by_text("You can look, not decide.")).to_be_visible()
    expect(theirs.get_by_role("button", name="Approve")).to_have_count(0)
    assert fits(theirs)
    shot(theirs, pictures / "review-dark-320.png", 320)
    theirs.goto(f"{place.console}/o/acme/projects/{slug}")
    assert fits(theirs)
    shot(theirs, pictures / "project-dark-320.png", 320)
    dark.close()

    # With JavaScript the page says by itself that something came, and moves nothing.
    follows = chromium.new_context()
    theirs = follows.new_page()
    enter(theirs, place, "adam", at=f"/o/acme/projects/{slug}")
    before = theirs.get_by_role("heading", name="Add a repository").bounding_box()
    propose(place, slug, "more", NEXT.replace("walk", "jog"))
    expect(theirs.get_by_role("heading", level=1)).to_have_text(
        "2 contracts wait for a review", timeout=20_000
    )
    assert theirs.get_by_role("heading", name="Add a repository").bounding_box() == before
    theirs.get_by_role("heading", level=1).get_by_role("link").click()
    expect(theirs.get_by_role("link", name="Review the contract of web")).to_have_count(2)
    follows.close()

    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("link", name="Review the contract of web")).to_have_count(1)
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("Alice rejected this contract of web")
    page.get_by_role("button", name="Approve for all branches").click()
    expect(page.get_by_text("Before it can wake it lacks:")).to_be_visible()
    page.get_by_role("link", name="Archive…").click()
    page.get_by_role("button", name="Archive Scheduler").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Scheduler is archived")
