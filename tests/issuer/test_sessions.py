"""The issuer's own session: when it answers in silence, when it asks, and that only the person can answer."""

import pytest

from tests.issuer.conftest import Browser, RunningIssuer, answer, form_of


def test_a_second_sign_in_is_silent_and_the_same_session(issuer: RunningIssuer, browser: Browser) -> None:
    first = issuer.verified(browser.tokens("bob")["id_token"])
    silent = browser.authorize(client_id="console", nonce="nonce-2")
    second = issuer.verified(browser.exchange(answer(silent)["code"]).json()["id_token"])
    assert (second["sid"], second["auth_time"]) == (first["sid"], first["auth_time"])
    assert second["nonce"] == "nonce-2"


def test_prompt_none_without_a_session_says_login_required(browser: Browser) -> None:
    sent = answer(browser.authorize(prompt="none"))
    assert (sent["error"], sent["state"]) == ("login_required", "state-1")


def test_prompt_none_with_a_session_is_granted(browser: Browser) -> None:
    browser.code("bob")
    assert "code" in answer(browser.authorize(prompt="none"))


@pytest.mark.parametrize("prompt", ["login", "select_account"])
def test_a_prompt_asks_again_and_gives_a_new_session(
    issuer: RunningIssuer, browser: Browser, prompt: str
) -> None:
    first = issuer.verified(browser.tokens("bob")["id_token"])
    page = browser.authorize(prompt=prompt)
    assert "Continue as Bob" in page.text
    code = answer(browser.choose(page, "vera"))["code"]
    second = issuer.verified(browser.exchange(code).json()["id_token"])
    assert (first["sub"], second["sub"]) == ("auth0|bob", "auth0|vera")
    assert first["sid"] != second["sid"]
    assert answer(browser.authorize(prompt="none")).keys() == {"code", "state"}


def test_max_age_asks_again_when_the_sign_in_is_older(issuer: RunningIssuer, browser: Browser) -> None:
    browser.code("bob")
    issuer.age(100)
    assert "code" in answer(browser.authorize(max_age="200"))
    assert browser.authorize(max_age="50").status_code == 200
    assert answer(browser.authorize(max_age="50", prompt="none"))["error"] == "login_required"


def test_max_age_zero_always_asks(browser: Browser) -> None:
    browser.code("bob")
    assert browser.authorize(max_age="0").status_code == 200


def test_a_session_ends_after_a_week(issuer: RunningIssuer, browser: Browser) -> None:
    browser.code("bob")
    issuer.age(7 * 24 * 3600)
    assert answer(browser.authorize(prompt="none"))["error"] == "login_required"


@pytest.mark.parametrize("hint", ["vera", "VERA@acme.test"])
def test_a_login_hint_preselects(browser: Browser, hint: str) -> None:
    page = browser.authorize(login_hint=hint).text
    assert 'value="vera" autofocus>Continue as Vera' in page
    assert page.count("autofocus") == 1


def test_a_login_hint_for_somebody_else_asks(browser: Browser) -> None:
    browser.code("bob")
    assert "code" in answer(browser.authorize(login_hint="bob@acme.test"))
    assert "Continue as Vera" in browser.authorize(login_hint="vera@acme.test").text
    sent = answer(browser.authorize(login_hint="vera@acme.test", prompt="none"))
    assert sent["error"] == "login_required"


def test_screen_hint_changes_nothing(browser: Browser) -> None:
    assert "Who signs in to Console?" in browser.authorize(screen_hint="signup").text


def test_cancel_goes_back_with_access_denied(browser: Browser) -> None:
    form = form_of(browser.authorize())
    sent = answer(browser.http.post("/u/login", data={"form": form, "cancel": "yes"}))
    assert (sent["error"], sent["state"]) == ("access_denied", "state-1")


def test_the_page_cannot_be_answered_from_another_browser(issuer: RunningIssuer, browser: Browser) -> None:
    """Cross-site request forgery: the form is tied to a cookie that another site's post does not carry."""
    page = browser.authorize()
    bare, with_its_own_page = Browser(issuer), Browser(issuer)
    with bare.http, with_its_own_page.http:
        with_its_own_page.authorize()
        for stranger in (bare, with_its_own_page):
            response = stranger.choose(page, "mallory")
            assert response.status_code == 400
            assert "set-cookie" not in response.headers
    assert "code" in answer(browser.choose(page, "alice"))


def test_the_page_can_be_answered_once(browser: Browser) -> None:
    page = browser.authorize()
    browser.choose(page, "alice")
    assert browser.choose(page, "alice").status_code == 400


def test_the_page_grows_old(issuer: RunningIssuer, browser: Browser) -> None:
    page = browser.authorize()
    issuer.age(1800)
    assert browser.choose(page, "alice").status_code == 400


def test_two_tabs_can_be_answered_in_any_order(browser: Browser) -> None:
    first, second = browser.authorize(state="first"), browser.authorize(state="second")
    assert answer(browser.choose(second, "alice"))["state"] == "second"
    assert answer(browser.choose(first, "alice"))["state"] == "first"


def test_nobody_outside_the_cast_can_be_chosen(browser: Browser) -> None:
    form = form_of(browser.authorize())
    response = browser.http.post("/u/login", data={"form": form, "login": "eve"})
    assert response.status_code == 400


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(browser: Browser) -> None:
    page = browser.authorize()
    cookies = [*page.headers.get_list("set-cookie")]
    cookies += browser.choose(page, "alice").headers.get_list("set-cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == ["issuer_browser", "issuer_session"]
    for cookie in cookies:
        assert {"httponly", "samesite=lax", "path=/"} <= set(cookie.lower().split("; "))
