"""A dev session is no actor: it opens one service at its own host, and no address of the control plane (DESIGN 4, P2)."""

from orgs.console.door import COOKIE
from tests.product.asking import ask
from tests.product.devlinks.yard import Gateway, Yard, token_of
from tests.product.reach import CONSOLE
from tests.product.things import Things
from tests.product.visitors import anonymous
from tests.product.world import World

SESSION = "__Host-envforge"


def test_p2_a_dev_session_gets_what_anybody_gets_at_every_address(
    yard: Yard, gateway: Gateway, world: World
) -> None:
    """Its value as any cookie, and it or the link's own token as a bearer: each address answers as to nobody."""
    issued = yard.issue()
    visit = gateway.enter(issued)
    for held in (visit.value, token_of(issued)):
        browser = anonymous()
        browser.cookies[SESSION] = browser.cookies[COOKIE] = held
        browser.defaults["HTTP_AUTHORIZATION"] = f"Bearer {held}"
        things = Things(world, None)
        for row in CONSOLE:
            assert ask(browser, row, things).status_code == row.statuses["anonymous"], row.label
