"""The whole way of a good sign-in, and what a client learns from it."""

import base64
import time
from urllib.parse import quote_plus

import httpx2
import jwt
import pytest

from local_cloud.issuer.cast import CAST, Person
from tests.issuer.conftest import CALLBACK, SECRET, Browser, RunningIssuer, answer


def test_a_person_signs_in_and_the_client_learns_who_it_is(issuer: RunningIssuer, browser: Browser) -> None:
    sent = answer(browser.choose(browser.authorize(), "alice"))
    assert sent.keys() == {"code", "state"}
    assert sent["state"] == "state-1"

    response = browser.exchange(sent["code"])
    assert response.headers["cache-control"] == "no-store"
    tokens = response.json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == "openid profile email"
    claims = issuer.verified(tokens["id_token"])
    assert claims.pop("exp") > claims["iat"] >= claims.pop("auth_time") > time.time() - 60
    del claims["iat"]
    assert len(claims.pop("sid")) == 43
    assert claims == {
        "iss": issuer.url,
        "sub": "auth0|alice",
        "aud": "console",
        "nonce": "nonce-1",
        "name": "Alice",
        "nickname": "alice",
        "email": "alice@acme.test",
        "email_verified": True,
    }

    told = browser.userinfo(tokens["access_token"]).json()
    assert told == {key: claims[key] for key in ("sub", "name", "nickname", "email", "email_verified")}


@pytest.mark.parametrize("person", CAST, ids=lambda person: person.login)
def test_n2_everybody_in_the_cast_is_known_by_subject_and_only_una_is_unverified(
    issuer: RunningIssuer, browser: Browser, person: Person
) -> None:
    claims = issuer.verified(browser.tokens(person.login)["id_token"])
    assert (claims["sub"], claims["email"]) == (f"auth0|{person.login}", person.email)
    assert claims["email_verified"] is (person.login != "una")
    assert "org_id" not in claims


def test_scope_decides_which_claims_are_given(issuer: RunningIssuer, browser: Browser) -> None:
    tokens = browser.tokens(scope="openid email unheard-of")
    assert tokens["scope"] == "openid email"
    claims = issuer.verified(tokens["id_token"])
    assert "email" in claims
    assert "name" not in claims
    assert "name" not in browser.userinfo(tokens["access_token"]).json()


def test_a_request_without_a_nonce_gets_a_token_without_one(issuer: RunningIssuer, browser: Browser) -> None:
    assert "nonce" not in issuer.verified(browser.tokens(nonce=None)["id_token"])


def test_the_client_may_authenticate_with_basic(browser: Browser) -> None:
    credentials = base64.b64encode(f"console:{quote_plus(SECRET)}".encode()).decode()
    response = browser.http.post(
        "/oauth/token",
        data={
            "grant_type": "authorization_code",
            "code": browser.code(),
            "redirect_uri": CALLBACK,
            "code_verifier": browser.verifier,
        },
        headers={"Authorization": f"Basic {credentials}"},
    )
    assert response.status_code == 200, response.text


def test_a_client_registered_as_public_needs_no_secret(issuer: RunningIssuer, browser: Browser) -> None:
    address = "http://127.0.0.1:7777/callback"
    page = browser.authorize(client_id="phone", redirect_uri=address)
    code = answer(browser.choose(page, "bob"), address)["code"]
    response = browser.exchange(code, client_id="phone", client_secret=None, redirect_uri=address)
    assert issuer.verified(response.json()["id_token"], "phone")["sub"] == "auth0|bob"


def test_the_request_may_come_as_a_form(browser: Browser) -> None:
    query = browser.authorize().request.url.params
    assert "Who signs in to Console?" in browser.http.post("/authorize", data=dict(query)).text


@pytest.mark.parametrize("named", ["acme", "org_acme"])
def test_a_member_signs_in_for_their_organization(
    issuer: RunningIssuer, browser: Browser, named: str
) -> None:
    tokens = browser.tokens("vera", organization=named)
    claims = issuer.verified(tokens["id_token"])
    assert (claims["org_id"], claims["org_name"]) == ("org_acme", "acme")
    assert browser.userinfo(tokens["access_token"]).json()["org_id"] == "org_acme"


@pytest.mark.parametrize("login", ["mallory", "nora", "una", "sam"])
def test_a_stranger_to_the_organization_is_denied(browser: Browser, login: str) -> None:
    sent = answer(browser.choose(browser.authorize(organization="acme"), login))
    assert (sent["error"], sent["state"]) == ("access_denied", "state-1")
    assert browser.authorize().status_code == 200, "a denied person must not be signed in"


def test_a_signed_in_stranger_to_the_organization_is_denied(browser: Browser) -> None:
    browser.code("mallory")
    assert answer(browser.authorize(organization="acme"))["error"] == "access_denied"


def test_nobody_belongs_to_an_unknown_organization(browser: Browser) -> None:
    assert answer(browser.authorize(organization="unheard-of"))["error"] == "access_denied"


def test_discovery_names_addresses_under_the_issuer(issuer: RunningIssuer) -> None:
    base = f"http://127.0.0.1:{issuer.port}"
    told = httpx2.get(f"{base}/.well-known/openid-configuration").json()
    assert told["issuer"] == issuer.url
    assert told["code_challenge_methods_supported"] == ["S256"]
    for name, path in {
        "authorization_endpoint": "authorize",
        "token_endpoint": "oauth/token",
        "userinfo_endpoint": "userinfo",
        "end_session_endpoint": "oidc/logout",
        "jwks_uri": ".well-known/jwks.json",
    }.items():
        assert told[name] == issuer.url + path
        # The path answers at all: 404 and 405-for-everything would both be a broken promise.
        methods = httpx2.request("OPTIONS", f"{base}/{path}")
        assert methods.status_code == 405
        assert methods.headers["allow"]


def test_codes_and_tokens_are_never_logged(issuer: RunningIssuer, browser: Browser) -> None:
    code = browser.code()
    tokens = browser.exchange(code).json()
    browser.userinfo(tokens["access_token"])
    browser.http.get("/oidc/logout", params={"id_token_hint": tokens["id_token"]})
    assert "'/oidc/logout' 200" in issuer.log
    for kept_quiet in (
        code,
        tokens["access_token"],
        tokens["id_token"],
        browser.verifier,
        "state-1",
        "s3cret",
    ):
        assert kept_quiet not in issuer.log


def test_the_state_holds_no_code_token_or_cookie_and_is_for_its_owner_alone(
    issuer: RunningIssuer, browser: Browser
) -> None:
    page = browser.authorize()
    code = answer(browser.choose(page, "alice"))["code"]
    token = browser.exchange(code).json()["access_token"]
    kept = b"".join(path.read_bytes() for path in issuer.state.iterdir())
    assert b"auth0|alice" in kept
    for value in (code, token, *browser.http.cookies.values()):
        assert value.encode() not in kept
    assert issuer.state.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in issuer.state.iterdir()} == {0o600}


def test_id_tokens_are_signed_with_a_published_key_by_name(issuer: RunningIssuer, browser: Browser) -> None:
    header = jwt.get_unverified_header(browser.tokens()["id_token"])
    assert header["alg"] == "RS256"
    assert header["kid"] in issuer.key_ids()
