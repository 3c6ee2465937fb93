"""The page of VMs in Chromium, without JavaScript: chosen, exported, and read on a small screen in the dark."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Place, Watched
from tests.browser.test_console import enter, shot

pytestmark = pytest.mark.browser

# What a fleet looks like, without the minutes that VMs take: through the product's own operations, then as observed.
FLEET = """
import uuid
import django
django.setup()
from django.utils import timezone
from envforge import tenancy
from envforge.actor import SYSTEM
from hosts import placement
from hosts.models import Host, HostRole, HostVoice, Size
from orgs.lookups import organization_by_slug

org_id = organization_by_slug("acme")
for label, role, size in (
    ("checkout-redesign", HostRole.RUNTIME, Size.MEDIUM),
    ("search", HostRole.RUNTIME, Size.SMALL),
    ("checkout-redesign", HostRole.SHELL, Size.SMALL),
):
    slot = placement.claim_slot(
        actor=SYSTEM, org_id=org_id, workspace_id=uuid.uuid4(), label=label, role=role, size=size
    )
    placement.activate_slot(actor=SYSTEM, org_id=org_id, slot_id=slot.id)
with tenancy.enter(org_id):
    now = timezone.now()
    Host.objects.filter(role="runtime").update(observed="running", running_since=now, joined_at=now, heard_at=now)
    Host.objects.filter(role="shell").update(trouble="capacity")
    for host in Host.objects.filter(role="runtime"):
        HostVoice.objects.create(host=host, generation=host.generation, image_version="2026.11.1")
"""


def test_vms_are_looked_at_and_chosen(
    chromium: Browser, window: Watched, place: Place, tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("PYTEST_ENVFORGE_PICTURES", tmp_path))
    page = window.page()
    enter(page, place, "alice", at="/o/acme/hosts")
    expect(page.get_by_role("heading", level=1)).to_have_text("No VMs now")
    shot(page, pictures / "hosts-empty.png", 1280)
    subprocess.run([sys.executable, "-c", FLEET], env=place.environment, check=True)
    page.get_by_role("link", name="VMs", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 VM runs for Acme")
    expect(page.get_by_text("No machine of this size is free")).to_be_visible()
    page.get_by_role("button", name="Give each workspace its own VMs").click()
    expect(page.get_by_role("button", name="Let workspaces share VMs")).to_be_visible()
    shot(page, pictures / "hosts.png", 1280)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export to read").click()
    assert download.value.path().read_text().count("checkout-redesign") == 2
    page.get_by_role("button", name="Let workspaces share VMs").click()
    expect(page.get_by_role("button", name="Give each workspace its own VMs")).to_be_visible()
    other = chromium.new_context(color_scheme="dark", viewport={"width": 320, "height": 860})
    theirs = other.new_page()
    enter(theirs, place, "bob", at="/o/acme/hosts")
    expect(theirs.get_by_text("Choosing this is not yours to do.")).to_be_visible()
    shot(theirs, pictures / "hosts-dark-320.png", 320)
    other.close()
