"""Signing out as a client asks (RP-Initiated Logout 1.0)."""

import httpx2
import jwt
import pytest

from tests.issuer.conftest import GOODBYE, SECRET, Browser, RunningIssuer, form_of


def is_signed_in(browser: Browser) -> bool:
    return "code=" in browser.authorize(prompt="none").headers["location"]


def logout(browser: Browser, **parameters: str) -> httpx2.Response:
    return browser.http.get("/oidc/logout", params=parameters)


def test_with_a_hint_the_session_ends_at_once(browser: Browser) -> None:
    tokens = browser.tokens()
    response = logout(
        browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=GOODBYE, state="bye 1"
    )
    assert response.headers["location"] == f"{GOODBYE}?state=bye+1"
    assert not is_signed_in(browser)
    assert browser.userinfo(tokens["access_token"]).status_code == 401


def test_a_session_that_ended_is_gone_even_if_the_cookie_comes_back(browser: Browser) -> None:
    tokens = browser.tokens()
    cookie = browser.http.cookies["issuer_session"]
    logout(browser, id_token_hint=tokens["id_token"])
    browser.http.cookies.set("issuer_session", cookie)
    assert not is_signed_in(browser)


def test_a_code_from_a_session_that_ended_is_worth_nothing(browser: Browser) -> None:
    hint = browser.tokens()["id_token"]
    code = browser.code()
    logout(browser, id_token_hint=hint)
    assert browser.exchange(code).json()["error"] == "invalid_grant"


def test_a_hint_works_where_the_browser_sends_no_cookie(issuer: RunningIssuer, browser: Browser) -> None:
    tokens = browser.tokens()
    cross_site = httpx2.post(
        f"http://127.0.0.1:{issuer.port}/oidc/logout", data={"id_token_hint": tokens["id_token"]}
    )
    assert "You are signed out" in cross_site.text
    assert not is_signed_in(browser)


def test_without_a_hint_the_person_is_asked(browser: Browser) -> None:
    browser.code("bob")
    page = logout(browser, client_id="console", post_logout_redirect_uri=GOODBYE, state="s")
    assert "Sign out Bob?" in page.text
    assert is_signed_in(browser)
    response = browser.http.post("/u/logout", data={"form": form_of(page), "leave": "yes"})
    assert response.headers["location"] == f"{GOODBYE}?state=s"
    assert not is_signed_in(browser)


def test_the_person_may_stay(browser: Browser) -> None:
    browser.code("bob")
    page = logout(browser)
    response = browser.http.post("/u/logout", data={"form": form_of(page), "stay": "yes"})
    assert "Still signed in as Bob" in response.text
    assert is_signed_in(browser)


def test_the_question_cannot_be_answered_from_another_site(issuer: RunningIssuer, browser: Browser) -> None:
    browser.code("bob")
    form = form_of(logout(browser))
    forged = httpx2.post(f"http://127.0.0.1:{issuer.port}/u/logout", data={"form": form, "leave": "yes"})
    assert forged.status_code == 400
    guessed = browser.http.post("/u/logout", data={"form": "guess", "leave": "yes"})
    assert guessed.status_code == 400
    assert is_signed_in(browser)


def test_a_sign_in_page_does_not_answer_the_sign_out_question(browser: Browser) -> None:
    browser.code("bob")
    form = form_of(browser.authorize(prompt="login"))
    assert browser.http.post("/u/logout", data={"form": form, "leave": "yes"}).status_code == 400
    assert is_signed_in(browser)


def test_a_hint_about_somebody_else_asks_first(issuer: RunningIssuer, browser: Browser) -> None:
    other = Browser(issuer)
    with other.http:
        hint = other.tokens("mallory")["id_token"]
    browser.code("bob")
    assert "Sign out Bob?" in logout(browser, id_token_hint=hint).text
    assert is_signed_in(browser)


def test_nobody_signed_in_is_sent_on(browser: Browser) -> None:
    response = logout(browser, client_id="console", post_logout_redirect_uri=GOODBYE)
    assert response.headers["location"] == GOODBYE


@pytest.mark.parametrize(
    "parameters",
    [
        {"client_id": "console", "post_logout_redirect_uri": "http://evil.test/"},
        {"client_id": "console", "post_logout_redirect_uri": GOODBYE + "/"},
        {"client_id": "phone", "post_logout_redirect_uri": GOODBYE},
        {"client_id": "nobody", "post_logout_redirect_uri": GOODBYE},
        {"post_logout_redirect_uri": GOODBYE},
        {"id_token_hint": "not.a.token"},
        {
            "id_token_hint": jwt.encode(
                {"iss": "x", "sub": "auth0|bob", "aud": "console", "sid": "x"}, SECRET * 2
            )
        },
    ],
)
def test_an_unregistered_address_or_a_forged_hint_is_refused_with_a_page(
    browser: Browser, parameters: dict[str, str]
) -> None:
    browser.code("bob")
    response = logout(browser, **parameters)
    assert response.status_code == 400
    assert "This sign-out cannot start" in response.text
    assert is_signed_in(browser)


def test_a_hint_of_another_client_than_named_is_refused(browser: Browser) -> None:
    hint = browser.tokens()["id_token"]
    assert logout(browser, id_token_hint=hint, client_id="phone").status_code == 400
    assert is_signed_in(browser)
