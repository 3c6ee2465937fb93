"""The part of a workspace's page that tells of its resources, through the HTTP door (W3, W4, W10)."""

import re
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects import operations as projects
from projects.choices import Cleanup, Mode
from tests.product.visitors import anonymous, signed_in
from tests.product.workspaces.desk import Desk
from tests.product.workspaces.test_managed import STORED, provide, stored

__all__ = ["stored"]  # a fixture


def address(desk: Desk) -> str:
    return f"/o/{desk.world.acme.slug}/workspaces/{desk.workspace.id}"


def page(desk: Desk, who: Any = None) -> str:
    answer = signed_in(who or desk.world.alice).get(address(desk))
    assert answer.status_code == 200
    return answer.content.decode()


def part(text: str) -> str:
    found = re.search(r'<section aria-labelledby="resources".*?</section>', text, re.DOTALL)
    return " ".join(re.sub("<[^>]+>", " ", found[0]).split()).replace(" .", ".") if found else ""


def test_w3_w10_the_page_tells_each_resource(stored: Desk) -> None:
    asleep = part(page(stored))
    assert "database of web, waits for the runtime to be awake. EnvForge runs it beside the service" in asleep
    assert "owner: Alice. Its data outlives sleep." in asleep
    assert "When the workspace is deleted: Deleted with the workspace." in asleep
    assert "PostgreSQL" in asleep
    assert "Valkey" in asleep
    stored.awake()
    awake = part(page(stored))
    assert awake.count("ready since just now") == 3
    stored.sleep()
    assert "ready since" not in part(page(stored))


def test_w3_what_envforge_does_not_run_has_a_line_and_no_data(stored: Desk) -> None:
    projects.set_resource_mode(
        actor=stored.alice,
        org_id=stored.org_id,
        repository_id=stored.repositories["web"],
        resource="main_cache",
        mode=Mode.CUSTOMER_PROVIDED,
        owner="Alice",
        ready_within_s=60,
        cleanup=Cleanup.DELETE,
    )
    told = part(page(stored))
    assert "main_cache of web, not run by EnvForge. You provide it; owner: Alice." in told
    assert told.count("Its data outlives sleep") == 2


def test_w4_no_ids_and_no_names_of_the_vm(stored: Desk) -> None:
    stored.awake()
    told = part(page(stored))
    assert "database-" not in told
    assert not re.search(r"EBS|EC2|AWS|volume|127\.|[0-9a-f]{8}-", told)


def test_whoever_sees_the_workspace_is_told_and_nobody_else(stored: Desk) -> None:
    assert "database of web" in part(page(stored, stored.world.vera))
    assert signed_in(stored.world.bill).get(address(stored)).status_code == 404
    assert signed_in(stored.world.mallory).get(address(stored)).status_code == 404
    assert anonymous().get(address(stored)).status_code == 303


def test_the_same_number_of_queries_however_many(desk: Desk) -> None:
    browser = signed_in(desk.world.alice)

    def queries() -> int:
        browser.get(address(desk))
        with CaptureQueriesContext(connection) as seen:
            browser.get(address(desk))
        return len(seen)

    before = queries()
    desk.texts["web"] = STORED
    desk.approve("web", STORED)
    for resource in ("database", "main_cache"):
        provide(desk, "web", resource)
    assert queries() == before
