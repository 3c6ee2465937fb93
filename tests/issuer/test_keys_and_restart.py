"""Keys turn without breaking tokens, and nothing is lost when the issuer restarts."""

import jwt

from local_cloud.issuer.keys import CLOCK_SKEW_S, ID_TOKEN_LIFETIME_S
from tests.issuer.conftest import Browser, RunningIssuer, answer


def kid_of(id_token: str) -> str:
    return str(jwt.get_unverified_header(id_token)["kid"])


def test_an_old_token_verifies_after_rotation_until_it_has_expired(own_issuer: RunningIssuer) -> None:
    browser = Browser(own_issuer)
    with browser.http:
        old = browser.tokens()["id_token"]
        before = set(own_issuer.key_ids())
        assert len(before) == 2

        now_in_use = own_issuer.rotate_key().json()["kid"]
        assert now_in_use in before, "verifiers knew the new key before it signed anything"
        assert len(own_issuer.key_ids()) == 3
        assert own_issuer.verified(old)["sub"] == "auth0|alice"
        new = browser.tokens()["id_token"]
        assert kid_of(new) == now_in_use != kid_of(old)
        assert own_issuer.verified(new)["sub"] == "auth0|alice"

        own_issuer.age(ID_TOKEN_LIFETIME_S)
        assert kid_of(old) in own_issuer.key_ids()
        own_issuer.age(CLOCK_SKEW_S + 1)
        assert kid_of(old) not in own_issuer.key_ids()
        assert len(own_issuer.key_ids()) == 2

        ended = browser.http.get("/oidc/logout", params={"id_token_hint": old})
        assert "You are signed out" in ended.text, "an old token is still good as a hint"


def test_a_page_in_a_browser_cannot_rotate_the_key(own_issuer: RunningIssuer) -> None:
    before = own_issuer.key_ids()
    assert own_issuer.rotate_key(Origin="http://evil.test").status_code == 403
    assert own_issuer.rotate_key(**{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert own_issuer.key_ids() == before


def test_a_restart_keeps_keys_sessions_codes_and_tokens(own_issuer: RunningIssuer) -> None:
    browser = Browser(own_issuer)
    with browser.http:
        own_issuer.rotate_key()
        tokens = browser.tokens("bob")
        open_page = browser.authorize(prompt="login")
        unused_code = browser.code("bob")
        keys = own_issuer.key_ids()

        assert own_issuer.stop() == 0, own_issuer.log
        own_issuer.start()

        assert own_issuer.key_ids() == keys
        assert own_issuer.verified(tokens["id_token"])["sub"] == "auth0|bob"
        assert browser.userinfo(tokens["access_token"]).json()["sub"] == "auth0|bob"
        assert browser.exchange(unused_code).status_code == 200
        assert "code" in answer(browser.authorize(prompt="none"))
        assert "code" in answer(browser.choose(open_page, "vera"))


def test_a_kill_loses_nothing_that_was_answered(own_issuer: RunningIssuer) -> None:
    browser = Browser(own_issuer)
    with browser.http:
        code = browser.code("bob")
        first = browser.exchange(code)
        assert own_issuer.process is not None
        own_issuer.process.kill()
        own_issuer.process.wait(10)
        own_issuer.start()
        assert own_issuer.verified(first.json()["id_token"])["sub"] == "auth0|bob"
        assert browser.exchange(code).json()["error"] == "invalid_grant"
        assert browser.userinfo(first.json()["access_token"]).status_code == 401
