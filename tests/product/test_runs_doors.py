"""Commands and shells through their doors: pages and API, with what they show and to whom (W4, W5, W9)."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from hosts import outputs
from tests.product.branches import CONTRACT, Branch
from tests.product.test_certificates import new_key
from tests.product.test_commands import ask, begun, ran, step
from tests.product.visitors import signed_in
from tests.product.world import World
from workspaces.models import CommandType
from workspaces.selectors import commands as selector

REFUSALS = (("vera", 403), ("bill", 404), ("mallory", 404))


@pytest.fixture
def branch(world: World) -> Branch:
    return Branch(world)


def api(branch: Branch, path: str = "") -> str:
    return f"/api/v1/orgs/{branch.world.acme.slug}/workspaces/{branch.id}{path}"


def console(branch: Branch, path: str = "") -> str:
    return f"/o/{branch.world.acme.slug}/workspaces/{branch.id}{path}"


def post(client: Client, path: str, body: Any = None) -> Any:
    return client.post(path, json.dumps(body or {}), content_type="application/json")


def test_a_run_through_the_api_from_the_ask_to_the_whole_output(branch: Branch) -> None:
    branch.awake()
    bob = signed_in(branch.world.bob)
    asked = post(bob, api(branch, "/runs"), {"service": "web", "type": "test", "name": "unit"})
    assert asked.status_code == 202, asked.content
    run_id = asked.json()["id"]
    assert asked.json()["state"] == "waits"
    [row] = branch.runs()
    step(branch, row)
    [one] = [found for found in branch.lease(branch.vm_token) if found.payload.kind == "run_command"]
    assert bob.get(api(branch, f"/runs/{run_id}")).json()["state"] == "runs"
    # A letter of two bytes, cut by the part's end.
    outputs.put(branch.vm_token, one.id, 0, "grün".encode()[:3])
    first = bob.get(api(branch, f"/runs/{run_id}/output")).json()
    assert (first["text"], first["next_offset"], first["over"]) == ("gr", 2, False)
    outputs.put(branch.vm_token, one.id, 3, "grün".encode()[3:])
    branch.tell(one, branch.vm_token, outcome=ran(output_bytes=5, exit_status=2))
    rest = bob.get(api(branch, f"/runs/{run_id}/output?offset=2")).json()
    assert (rest["text"], rest["next_offset"], rest["over"]) == ("ün", 5, True)
    assert bob.get(api(branch, f"/runs/{run_id}")).json()["state"] == "failed"
    page = bob.get(console(branch, f"/runs/{run_id}")).content.decode()
    assert "grün" in page
    assert "exit status 2" in page
    whole = bob.get(console(branch, f"/runs/{run_id}/output"))
    assert whole.content == "grün".encode()
    assert whole["Content-Disposition"].startswith("attachment")


def test_a_long_output_is_saved_whole_in_as_many_queries_as_a_short_one(branch: Branch) -> None:
    branch.awake()
    bob = signed_in(branch.world.bob)
    asked = post(bob, api(branch, "/runs"), {"service": "web", "type": "test", "name": "unit"})
    assert asked.status_code == 202, asked.content
    run_id = asked.json()["id"]
    [row] = branch.runs()
    step(branch, row)
    [one] = [found for found in branch.lease(branch.vm_token) if found.payload.kind == "run_command"]
    outputs.put(branch.vm_token, one.id, 0, b"begins\n")
    where = console(branch, f"/runs/{run_id}/output")
    bob.get(where)
    with CaptureQueriesContext(connection) as few:
        assert bob.get(where).content == b"begins\n"
    part, written = b"a line of it\n" * 2_000, 7
    for _ in range(6):
        outputs.put(branch.vm_token, one.id, written, part)
        written += len(part)
    with CaptureQueriesContext(connection) as many:
        assert bob.get(where).content == b"begins\n" + part * 6
    assert len(many) == len(few)


def test_output_is_for_those_who_may_run_and_receipts_for_those_who_see(branch: Branch) -> None:
    run, one = begun(branch)
    outputs.put(branch.vm_token, one.id, 0, b"a secret word")
    for name, status in REFUSALS:
        client = signed_in(getattr(branch.world, name))
        assert client.get(api(branch, f"/runs/{run.id}/output")).status_code == status
        assert client.get(console(branch, f"/runs/{run.id}/output")).status_code == status
        assert post(client, api(branch, f"/runs/{run.id}/cancel")).status_code == status
    vera = signed_in(branch.world.vera)
    page = vera.get(console(branch, f"/runs/{run.id}"))
    assert page.status_code == 200
    assert b"a secret word" not in page.content


def test_w9_receipts_are_filtered_and_never_hold_more_than_names(branch: Branch) -> None:
    _, one = begun(branch)
    branch.tell(one, branch.vm_token, outcome=ran())
    ask(branch, branch.world.adam, type=CommandType.AGENT, name="", argv=("echo", "hunter2"))
    bob = signed_in(branch.world.bob)

    def names(query: str) -> list[str]:
        answer = bob.get(api(branch, f"/runs?{query}"))
        assert answer.status_code == 200, answer.content
        assert "hunter2" not in answer.content.decode()
        return [one["name"] for one in answer.json()["runs"]]

    assert names("") == ["echo", "unit"]
    assert names("type=test") == ["unit"]
    assert names("who=Adam") == ["echo"]
    assert names("end=ok") == ["unit"]
    assert names("end=open") == ["echo"]
    assert names("end=failed") == []
    assert names("service=nope") == []
    assert names("since=2100-01-01T00:00:00Z") == []
    assert bob.get(api(branch, "/runs?end=soon")).status_code == 422
    assert bob.get(api(branch, "/runs?since=now")).status_code == 422
    page = bob.get(console(branch, "/runs?type=test")).content.decode()
    assert ">unit<" in page
    assert ">echo<" not in page


def test_receipts_come_in_pages_without_a_gap(branch: Branch) -> None:
    branch.approve()
    made = [ask(branch).id for _ in range(5)]
    actor, slug = branch.world.bob.as_actor(), branch.world.acme.slug
    seen, after = [], None
    while True:
        page = selector.runs(actor=actor, slug=slug, workspace_id=branch.id, after=after, size=2)
        seen += [one.id for one in page.runs]
        after = page.next_after
        if after is None:
            break
    assert seen == made[::-1]


def test_a_run_from_the_console_by_name_and_by_words(branch: Branch) -> None:
    branch.approve(CONTRACT)
    bob = signed_in(branch.world.bob)
    page = bob.get(console(branch)).content.decode()
    assert "web: unit (test)" in page
    assert "web: seed (command)" in page
    named = bob.post(console(branch, "/runs"), {"what": "service/web/seed"})
    assert named.status_code == 303
    typed = bob.post(console(branch, "/runs"), {"service": "web", "line": "make check"})
    assert typed.status_code == 303
    assert [(row.type, row.name) for row in branch.runs()] == [("service", "seed"), ("agent", "make")]
    assert b"waits for the runtime" in bob.get(typed["Location"]).content
    for wrong in ({"what": "nope"}, {"what": "test/web/nope"}, {"service": "web", "line": " "}):
        assert bob.post(console(branch, "/runs"), wrong).status_code == 422
    assert (
        signed_in(branch.world.vera).post(console(branch, "/runs"), {"what": "test/web/unit"}).status_code
        == 403
    )


def test_output_with_marks_of_terminals_is_shown_as_text(branch: Branch) -> None:
    run, one = begun(branch)
    outputs.put(branch.vm_token, one.id, 0, b"\x1b[31mred\x1b[0m <script>alert(1)</script>\r\n")
    page = signed_in(branch.world.bob).get(console(branch, f"/runs/{run.id}")).content.decode()
    assert "red &lt;script&gt;" in page
    assert "\x1b" not in page


def test_a_certificate_through_both_doors_and_no_words_of_machines(branch: Branch) -> None:
    bob = signed_in(branch.role(branch.world.bob))
    issued = post(bob, api(branch, "/shell/certificates"), {"public_key": new_key()})
    assert issued.status_code == 201, issued.content
    assert issued.json()["certificate"].startswith("ssh-ed25519-cert-v01@openssh.com ")
    refused = post(bob, api(branch, "/shell/certificates"), {"public_key": "hello"})
    assert refused.status_code == 422
    assert "public_key" in refused.json()["fields"]
    page = bob.post(console(branch, "/shell"), {"public_key": new_key(), "forwarding": "on"})
    assert b"ssh-ed25519-cert-v01@openssh.com" in page.content
    branch.connect(int(issued.json()["serial"]))
    seen = bob.get(api(branch, "/shell")).json()
    assert [one["holder"] for one in seen["sessions"]] == ["Bob"]
    assert len(seen["certificates"]) == 2
    session = seen["sessions"][0]["id"]
    text = bob.get(console(branch, "/shell")).content.decode()
    assert "End the connection of Bob" in text
    for word in (branch.host.instance_id or "", "10.", "EC2"):
        assert word not in text
    for name, status in REFUSALS:
        client = signed_in(getattr(branch.world, name))
        assert (
            post(client, api(branch, "/shell/certificates"), {"public_key": new_key()}).status_code == status
        )
        assert post(client, api(branch, f"/shell/sessions/{session}/end")).status_code == status
    assert post(bob, api(branch, f"/shell/sessions/{session}/end")).status_code == 204
