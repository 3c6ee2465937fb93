"""Every address of every host, as every visitor: the table of `reach.py` holds, and nothing is missing in it (I2, I5, N3).

`./dev test tests/product/test_every_url.py -rA` prints the table.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from envforge import health
from tests.product.answers import VISITORS, Row
from tests.product.asking import ask, visitors
from tests.product.reach import HOSTS, named_addresses
from tests.product.things import Things
from tests.product.visitors import anonymous, signed_in
from tests.product.visitors_of_support import staff_browser
from tests.product.world import World

ROWS = [
    pytest.param(host, row, id=f"{host}-{number:02}-{row.method}-{row.name}")
    for host, (_, rows) in HOSTS.items()
    for number, row in enumerate(rows)
]
FORMS = [
    one
    for one in ROWS
    if one.values[1].method == "POST" and not one.values[1].name.startswith("api-")  # type: ignore[union-attr]
]
IN_ACME = [one for one in ROWS if "{slug}" in one.values[1].address]  # type: ignore[union-attr]


@pytest.mark.parametrize("host", HOSTS)
def test_every_address_is_in_the_table(host: str) -> None:
    patterns, rows = HOSTS[host]
    assert set(named_addresses(patterns)) == {row.name for row in rows}


@pytest.mark.parametrize(("host", "row"), ROWS)
def test_who_gets_what(
    host: str, row: Row, world: World, record_property: Callable[[str, object], None]
) -> None:
    for program in ("worker", "sealer"):
        health.beat(program)
    got = {
        name: ask(browser, row, Things(world, person)).status_code
        for name, (browser, person) in visitors(world, host).items()
    }
    record_property(
        "reach", (host, row.label, row.address.partition("?")[0], [got[name] for name in VISITORS])
    )
    assert got == {name: row.statuses[name] for name in VISITORS}


@pytest.mark.parametrize(("host", "row"), IN_ACME)
def test_i5_what_is_hidden_looks_like_what_is_not_there(host: str, row: Row, world: World) -> None:
    assert world.mallet
    for person in (None, world.mallory):
        seen, things = [], Things(world, person)
        for slug in (world.acme.slug, "x" * len(world.acme.slug)):
            things["slug"] = slug
            browser = signed_in(person) if person else anonymous()
            answer = ask(browser, row, things)
            said = re.sub(r"req_[0-9a-f]{32}", "", "" if answer.streaming else answer.text)
            headers = {name: value for name, value in answer.headers.items() if name != "X-Request-ID"}
            seen.append((answer.status_code, said.replace(slug, ""), str(headers).replace(slug, "")))
        assert seen[0] == seen[1]


@pytest.mark.parametrize(("host", "row"), FORMS)
def test_a_form_from_elsewhere_is_refused_everywhere(host: str, row: Row, world: World) -> None:
    things = Things(world, world.alice)
    if host == "console":
        browser = anonymous(checks_csrf=True)
        browser.cookies = signed_in(world.alice).cookies
    else:
        browser = staff_browser(world.person("Sam"), checks_csrf=True)
    answer = ask(browser, row, things)
    assert answer.status_code == 403
    assert "came from another site" in answer.text


@pytest.mark.parametrize("host", HOSTS)
def test_no_address_takes_another_method(host: str, world: World, settings: Any) -> None:
    # There are more addresses than one actor may write to in a minute.
    settings.API_RATES = {scope: (100_000, window_s) for scope, (_, window_s) in settings.API_RATES.items()}
    _, rows = HOSTS[host]
    who = "owner" if host == "console" else "support"
    browser, person = visitors(world, host)[who]
    things = Things(world, person)
    known = {(row.name, row.method) for row in rows}
    for row in rows:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if (row.name, method) in known:
                continue
            answer = getattr(browser, method.lower())(row.address.format_map(things))
            # The API asks first for the token that a form of the console has.
            assert answer.status_code == 405 or (row.name.startswith("api-") and answer.status_code == 403), (
                row.name,
                method,
                answer.status_code,
            )
