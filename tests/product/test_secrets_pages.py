"""Secrets through the HTTP doors: who gets in, what each may do, and that no page shows a value (S1, I2, I5)."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from envforge import tenancy
from envforge.actor import SYSTEM
from secrets_ref import consumption, keys, paths
from secrets_ref.models import Secret
from tests.product.secret_places import maintainer, some_places
from tests.product.store import again, crooked_aws, put_outside, rotate, set_secret, stored
from tests.product.test_api import problem
from tests.product.test_api_tokens import token
from tests.product.visitors import anonymous, signed_in
from tests.product.world import World


def at(world: World, rest: str = "") -> str:
    return f"/o/{world.acme.slug}/secrets{rest}"


def api(world: World, rest: str = "") -> str:
    return f"/api/v1/orgs/{world.acme.slug}/secrets{rest}"


def program(held: str) -> Client:
    return Client(headers={"host": settings.CONSOLE_HOST, "authorization": f"Bearer {held}"})


def consume(
    world: World, secret: Secret, version: int = 1, service: str = "web", workspace: Any = None
) -> None:
    consumption.record_consumption(
        actor=SYSTEM,
        org_id=world.acme.id,
        workspace_id=workspace or uuid4(),
        service=service,
        host_id=uuid4(),
        run_id=uuid4(),
        consumed={secret.id: version},
    )


PAGES = ("", "/{secret}", "/{secret}/delete", "/import")
POSTS: dict[str, dict[str, str]] = {
    "": {"name": "NEW", "value": "stolen"},
    "/{secret}": {"value": "stolen"},
    "/{secret}/delete": {},
    "/import": {"path": "{path}"},
}
CALLS: list[tuple[str, str, dict[str, str]]] = [
    ("get", "", {}),
    ("post", "", {"name": "NEW", "value": "stolen"}),
    ("get", "/{secret}", {}),
    ("delete", "/{secret}", {}),
    ("post", "/{secret}/rotate", {"value": "stolen"}),
    ("post", "/import", {"path": "{path}"}),
]


def call(browser: Client, world: World, secret: Secret, one: tuple[str, str, dict[str, str]]) -> Any:
    method, tail, body = one
    sent = {name: words.format(path=secret.path) for name, words in body.items()}
    address = api(world, tail.format(secret=secret.id))
    if method == "get":
        return browser.get(address)
    return getattr(browser, method)(address, sent, content_type="application/json")


@pytest.mark.parametrize("page", PAGES)
def test_i5_a_stranger_sees_what_is_not_there(page: str, world: World) -> None:
    secret = set_secret(world)
    stranger = signed_in(world.mallory)
    assert stranger.get(at(world, page.format(secret=secret.id))).status_code == 404
    form = {name: words.format(path=secret.path) for name, words in POSTS[page].items()}
    assert stranger.post(at(world, page.format(secret=secret.id)), form).status_code == 404
    # The secret's id below one's own organization leads nowhere either.
    if "{secret}" in page:
        mine = f"/o/{world.mallet.slug}/secrets{page.format(secret=secret.id)}"
        assert stranger.get(mine).status_code == 404
        assert stranger.post(mine, form).status_code == 404
    assert anonymous().get(at(world, page.format(secret=secret.id))).status_code == 303
    assert stored(secret.path) == "first"


@pytest.mark.parametrize("name", ["bob", "vera", "bill"])
def test_i2_members_without_the_role_change_nothing(name: str, world: World) -> None:
    secret = set_secret(world)
    browser = signed_in(getattr(world, name))
    sees = name == "bob"
    for page in PAGES:
        got = browser.get(at(world, page.format(secret=secret.id)))
        refused = 404 if "{secret}" in page else 403
        assert got.status_code == (200 if sees else refused)
        assert "<textarea" not in got.text
        assert 'class="first"' not in got.text
        form = {field: words.format(path=secret.path) for field, words in POSTS[page].items()}
        assert browser.post(at(world, page.format(secret=secret.id)), form).status_code == (
            403 if sees else refused
        )
    for one in CALLS:
        status = call(browser, world, secret, one).status_code
        if sees:
            assert status == (200 if one[0] == "get" else 403)
        else:
            assert status == (404 if "{secret}" in one[1] else 403)
    assert stored(secret.path) == "first"
    with tenancy.enter(world.acme.id):
        assert Secret.objects.count() == 1


@pytest.mark.parametrize("one", CALLS, ids=lambda one: f"{one[0]} {one[1]}")
def test_i5_the_api_tells_strangers_and_the_nameless_nothing(one: Any, world: World) -> None:
    secret = set_secret(world)
    stranger = signed_in(world.mallory)
    problem(call(stranger, world, secret, one), 404)
    problem(call(anonymous(), world, secret, one), 401)
    assert stored(secret.path) == "first"


def test_n2_a_tokens_scopes_decide(world: World) -> None:
    secret = set_secret(world)
    _, _, held = token(world, "secret.view")
    browser = program(held)
    assert browser.get(api(world)).json()["secrets"][0]["name"] == "STRIPE_KEY"
    answer = browser.post(api(world, f"/{secret.id}/rotate"), {"value": "x"}, content_type="application/json")
    assert problem(answer, 403)["rule"] == "token-scope"


def test_s4_more_services_than_a_page_lists_are_counted_all(world: World) -> None:
    """S4: whoever deletes or rotates is told how many there are, not how many are shown."""
    browser, secret = signed_in(world.alice), set_secret(world)
    for number in range(53):
        consume(world, secret, service=f"s{number}")
    rotate(world, secret)
    listed = browser.get(at(world)).text
    assert "53 services run with an old version" in listed
    assert "The first 50 of 53" in listed
    assert "53 services lose it" in browser.get(at(world, f"/{secret.id}/delete")).text


def test_a_whole_life_in_the_console(world: World) -> None:
    browser = signed_in(world.alice)
    empty = browser.get(at(world))
    assert "No secrets yet" in empty.text
    assert "belong here" in empty.text
    assert empty.text.count('aria-current="page"') == 1
    answer = browser.post(at(world), {"name": "STRIPE_KEY", "value": "canary-1\r\nline", "once": "a"})
    assert answer.status_code == 303
    page = browser.get(answer["location"])
    assert "canary-1" not in page.text
    with tenancy.enter(world.acme.id):
        secret = Secret.objects.get()
    assert stored(secret.path) == "canary-1\nline"
    assert browser.post(at(world, f"/{secret.id}"), {"value": "canary-2"}).status_code == 303
    consume(world, secret)
    listed = browser.get(at(world)).text
    assert "1 service runs with an old version" in listed
    assert "version 2" in listed
    one = browser.get(at(world, f"/{secret.id}")).text
    assert "old version" in one
    assert "Version 2" in one
    asked = browser.get(at(world, f"/{secret.id}/delete")).text
    assert "web of a workspace, version 1" in asked
    assert "1 service loses it" in asked
    assert browser.post(at(world, f"/{secret.id}/delete")).status_code == 303
    assert browser.get(at(world, f"/{secret.id}")).status_code == 404
    assert "canary" not in listed + one + asked


@pytest.mark.parametrize(
    ("form", "field", "words"),
    [
        ({"name": "1 bad", "value": "canary-v"}, "name", "Use a letter"),
        ({"name": "GOOD", "value": ""}, "value", "Enter a value"),
        ({"name": "GOOD", "value": "canary-v" * 2000}, "value", "at most 8,192 bytes"),
        ({"name": "TAKEN", "value": "canary-v"}, "value", "Rotate it"),
        ({"name": "GOOD", "value": "canary-v", "place": "nowhere"}, "place", "Choose one"),
        ({"name": "sk-canary-v" + "a" * 30, "value": "canary-v"}, "name", "looks like a value"),
    ],
)
def test_k3_what_is_wrong_stands_beside_its_field_and_the_value_nowhere(
    form: dict[str, str], field: str, words: str, world: World
) -> None:
    set_secret(world, "TAKEN")
    answer = signed_in(world.alice).post(at(world), form)
    assert answer.status_code in {409, 422}
    about = re.search(rf'class="wrong" id="{field}-about">([^<]*)<', answer.text)
    assert about, answer.text
    assert words in about[1]
    assert "canary-v" not in answer.text
    assert str(len(form["value"])) not in about[1]
    assert len(re.findall(r'class="(?:button )?(?:first|danger)"', answer.text)) == 1


def test_k3_trouble_with_the_store_is_said_beside_the_field(world: World) -> None:
    secret, browser = set_secret(world), signed_in(world.alice)
    with crooked_aws() as crooked:
        crooked.refuse("PutParameter", "ThrottlingException")
        crooked.refuse("DeleteParameter", "AccessDeniedException")
        for address, form in (
            (at(world), {"name": "NEW", "value": "canary-v"}),
            (at(world, f"/{secret.id}"), {"value": "canary-v"}),
        ):
            answer = browser.post(address, form)
            assert answer.status_code == 503
            assert "asked too often" in answer.text
            assert "canary-v" not in answer.text
        answer = browser.post(at(world, f"/{secret.id}/delete"))
        assert answer.status_code == 503
        assert "may not do this" in answer.text
    assert "being deleted" in browser.get(at(world)).text


def test_a_form_sent_twice_is_one_change(world: World) -> None:
    browser = signed_in(world.alice)
    form = {"name": "STRIPE_KEY", "value": "v", "once": "the same"}
    places = {browser.post(at(world), form)["location"] for _ in range(2)}
    assert len(places) == 1
    (page,) = places
    for _ in range(2):
        assert browser.post(page, {"value": "w", "once": "again"}).status_code == 303
    with tenancy.enter(world.acme.id):
        assert Secret.objects.get().version == 2


def test_import_in_the_console(world: World) -> None:
    browser = signed_in(world.alice)
    keys.ensure_key(world.acme.id)
    path = f"{paths.own_prefix(world.acme.id)}org/OLD"
    put_outside(path, "x", world.acme.id)
    assert paths.own_prefix(world.acme.id) in browser.get(at(world, "/import")).text
    refused = browser.post(at(world, "/import"), {"path": "canary-in-the-wrong-field"})
    assert refused.status_code == 422
    assert "canary" not in refused.text
    answer = browser.post(at(world, "/import"), {"path": path})
    assert answer.status_code == 303
    assert "imported by Alice" in browser.get(answer["location"]).text


def test_projects_have_their_own_and_their_maintainers_see_these_alone(world: World) -> None:
    with some_places() as made:
        shop, other = (made.project(world.acme.id, name) for name in ("Shop", "Other"))
        set_secret(world, "WHOLE")
        set_secret(world, "OTHERS", project_id=other)
        secret = set_secret(world, "SHOPS", project_id=shop)
        made.bound[secret.id] = ["Shop: DATABASE_URL of web"]
        browser = signed_in(maintainer(world, shop))
        page = browser.get(at(world)).text
        assert "SHOPS" in page
        assert "for the project Shop" in page
        assert not {"WHOLE", "OTHERS"} & set(re.findall(r"[A-Z]{5,}", page))
        assert "The whole organization" not in page
        assert "Shop: DATABASE_URL of web" in browser.get(at(world, f"/{secret.id}/delete")).text
        form = {"name": "MINE", "value": "v", "place": str(shop)}
        assert browser.post(at(world), form).status_code == 303
        assert browser.post(at(world), form | {"place": str(other), "name": "X"}).status_code == 403
        assert browser.post(at(world), form | {"place": str(uuid4()), "name": "X"}).status_code == 404
        assert browser.post(at(world), form | {"place": "", "name": "X"}).status_code == 403
        names = [one["name"] for one in browser.get(api(world)).json()["secrets"]]
        assert names == ["MINE", "SHOPS"]


def test_the_same_number_of_queries_whatever_there_is(world: World) -> None:
    browser = signed_in(world.alice)
    with some_places() as made:
        shop = made.project(world.acme.id, "Shop")
        branch = made.workspace(world.acme.id, shop, "feature")
        first = set_secret(world, "A", project_id=shop)
        consume(world, first, workspace=branch)
        rotate(world, first)

        def counts() -> list[int]:
            numbers = []
            for address in (
                at(world),
                at(world, f"/{first.id}"),
                at(world, f"/{first.id}/delete"),
                api(world),
                api(world, f"/{first.id}"),
            ):
                with CaptureQueriesContext(connection) as caught:
                    assert browser.get(address).status_code == 200
                numbers.append(len(caught))
            return numbers

        counts()
        before = counts()
        for number in range(12):
            more = set_secret(world, f"B{number:02}", project_id=shop if number % 2 else None)
            consume(world, more, workspace=branch)
            consume(world, first, version=1, service=f"s{number}", workspace=branch)
        assert counts() == before
    assert 8 <= min(before) <= max(before) <= 26, before


def test_pages_follow_each_other_without_gap_or_repeat(world: World) -> None:
    path = paths.own_prefix(world.acme.id) + "org/"
    secret = set_secret(world, "S000")
    with tenancy.enter(world.acme.id):
        Secret.objects.bulk_create(
            Secret(
                name=f"S{number:03}",
                path=f"{path}S{number:03}",
                version=1,
                wanted_at=secret.wanted_at,
                wanted_by_kind="system",
                wanted_by_id="system",
                wanted_by="EnvForge",
                changed_at=secret.changed_at,
            )
            for number in range(1, 120)
        )
    browser, names, after = signed_in(world.alice), [], ""
    while True:
        page = browser.get(api(world), {"after": after} if after else {}).json()
        names += [one["name"] for one in page["secrets"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert names == [f"S{number:03}" for number in range(120)]
    problem(browser.get(api(world), {"after": "x"}), 422)
    assert "Next page" in browser.get(at(world)).text


def test_the_api_whole_life(world: World) -> None:
    _, _, held = token(world, "secret.view", "secret.change", "organization.view")
    browser = program(held)
    sent = {"name": "API_KEY", "value": "canary-1"}
    key = {"Idempotency-Key": "once"}
    made = [
        browser.post(api(world), sent, content_type="application/json", headers=key).json() for _ in range(2)
    ]
    assert made[0] == made[1] == {"id": made[0]["id"], "name": "API_KEY", "version": 1}
    one = api(world, f"/{made[0]['id']}")
    rotated = browser.post(f"{one}/rotate", {"value": "canary-2"}, content_type="application/json")
    assert rotated.json()["version"] == 2
    read = browser.get(one)
    assert "canary" not in read.text
    assert [version["version"] for version in read.json()["versions"]] == [2, 1]
    assert read.json()["secret"]["changed_by"] == "ci"
    problem(browser.post(api(world), sent, content_type="application/json"), 409)
    assert browser.delete(one).json() == {"deleted": True}
    problem(browser.get(one), 404)


BAD: list[tuple[Any, int]] = [
    ({"name": "N"}, 422),
    ({"name": "N", "value": None}, 422),
    ({"name": "N", "value": ["canary-v"]}, 422),
    ({"name": "N", "value": {"canary-v": 1}}, 422),
    ({"name": "N", "value": "canary-v", "canary-v": "x"}, 422),
    ({"name": "N", "value": "canary-v", "project": "canary-v"}, 422),
    ({"name": "canary v", "value": "x"}, 422),
    (["canary-v"], 422),
    ('"canary-v"', 422),
    ("canary-v", 400),
    ('{"name": "N", "value": "canary-v"', 400),
    (b'{"name": "N", "value": "canary-v\xff"}', 400),
    ({"name": "N", "value": "canary-v\ud800"}, 422),
]


@pytest.mark.parametrize(("body", "status"), BAD, ids=str)
def test_k3_a_bad_body_is_never_repeated(body: Any, status: int, world: World) -> None:
    browser = signed_in(world.alice)
    answer = browser.post(api(world), body, content_type="application/json")
    assert "canary" not in answer.text
    problem(answer, status)


def test_k3_other_media_types_and_long_keys_are_refused(world: World) -> None:
    browser = signed_in(world.alice)
    answer = browser.post(api(world), {"name": "N", "value": "canary-v"})
    assert "canary" not in answer.text
    problem(answer, 415)
    sent = {"name": "N", "value": "canary-v"}
    answer = browser.post(
        api(world), sent, content_type="application/json", headers={"Idempotency-Key": "k" * 201}
    )
    problem(answer, 422)


def test_the_session_needs_the_consoles_token(world: World) -> None:
    secret, browser = set_secret(world), signed_in(world.alice)
    browser.handler.enforce_csrf_checks = True
    for one in CALLS:
        if one[0] != "get":
            assert problem(call(browser, world, secret, one), 403)["rule"] == "csrf"
    assert browser.post(at(world, f"/{secret.id}"), {"value": "x"}).status_code == 403
    assert again(world, secret).version == 1
