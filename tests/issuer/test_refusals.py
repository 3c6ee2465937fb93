"""What the issuer refuses, each in the way its standard says."""

import base64

import httpx2
import pytest

from tests.issuer.conftest import CALLBACK, SECRET, Browser, RunningIssuer, answer, challenge_of


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_id": "nobody"}, "No client “nobody” is registered"),
        ({"client_id": None}, "names no single client_id"),
        ({"redirect_uri": None}, "names no single redirect_uri"),
        ({"redirect_uri": "http://evil.test/callback"}, "is not one of the redirect_uris of Console"),
        ({"redirect_uri": CALLBACK + "&more=1"}, "is not one of the redirect_uris of Console"),
        ({"redirect_uri": CALLBACK.replace("localhost", "LOCALHOST")}, "is not one of the redirect_uris"),
        ({"redirect_uri": "http://127.0.0.1:7777/callback"}, "is not one of the redirect_uris of Console"),
    ],
)
def test_an_unknown_client_or_address_gets_a_page_and_never_a_redirect(
    browser: Browser, changes: dict[str, str | None], said: str
) -> None:
    response = browser.authorize(**changes)
    assert response.status_code == 400
    assert said in response.text
    assert "location" not in response.headers


def test_what_is_shown_of_a_bad_request_is_escaped(browser: Browser) -> None:
    text = browser.authorize(client_id="<script>alert(1)</script>").text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_a_client_id_sent_twice_gets_a_page(browser: Browser) -> None:
    query = str(browser.authorize().request.url.query, "ascii") + "&client_id=phone"
    assert browser.http.get(f"/authorize?{query}").status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "dance"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"request_uri": "http://evil.test/"}, "request_uri_not_supported"),
    ],
)
def test_other_errors_go_back_to_the_client_with_its_state(
    browser: Browser, changes: dict[str, str | None], error: str
) -> None:
    sent = answer(browser.authorize(**changes))
    assert (sent["error"], sent["state"]) == (error, "state-1")
    assert sent["error_description"].isascii()


def test_a_public_client_must_use_pkce_too(browser: Browser) -> None:
    address = "http://127.0.0.1:7777/callback"
    response = browser.authorize(client_id="phone", redirect_uri=address, code_challenge=None)
    assert answer(response, address)["error"] == "invalid_request"


def test_a_parameter_sent_twice_is_refused(browser: Browser) -> None:
    query = str(browser.authorize().request.url.query, "ascii") + "&nonce=another"
    assert answer(browser.http.get(f"/authorize?{query}"))["error"] == "invalid_request"


def refused(response: httpx2.Response, error: str, status_code: int = 400) -> None:
    assert response.status_code == status_code
    assert response.json()["error"] == error
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "verifier",
    [None, "", "wrong" * 12, "short", "challenge itself"],
    ids=["missing", "empty", "wrong", "short", "plain"],
)
def test_a_code_without_its_verifier_is_refused(browser: Browser, verifier: str | None) -> None:
    code = browser.code()
    if verifier == "challenge itself":
        verifier = challenge_of(browser.verifier)
    error = "invalid_grant" if verifier else "invalid_request"
    refused(browser.exchange(code, code_verifier=verifier), error)
    assert browser.exchange(code).status_code == 200, "the code itself was good"


def test_a_code_works_once_and_its_reuse_revokes_the_access_token(browser: Browser) -> None:
    code = browser.code()
    token = browser.exchange(code).json()["access_token"]
    assert browser.userinfo(token).status_code == 200
    refused(browser.exchange(code), "invalid_grant")
    assert browser.userinfo(token).status_code == 401


def test_a_code_lives_for_a_minute(issuer: RunningIssuer, browser: Browser) -> None:
    code = browser.code()
    issuer.age(61)
    refused(browser.exchange(code), "invalid_grant")


def test_a_code_is_still_good_within_its_minute(issuer: RunningIssuer, browser: Browser) -> None:
    code = browser.code()
    issuer.age(45)
    assert browser.exchange(code).status_code == 200


def test_a_code_is_bound_to_its_client(browser: Browser) -> None:
    refused(browser.exchange(browser.code(), client_id="phone", client_secret=None), "invalid_grant")


@pytest.mark.parametrize(
    ("address", "error"), [("http://localhost:8000/other", "invalid_grant"), (None, "invalid_request")]
)
def test_a_code_is_bound_to_its_address(browser: Browser, address: str | None, error: str) -> None:
    refused(browser.exchange(browser.code(), redirect_uri=address), error)


def test_a_made_up_code_is_refused(browser: Browser) -> None:
    refused(browser.exchange("made-up"), "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"client_secret": "wrong"},
        {"client_secret": None},
        {"client_id": "nobody"},
        {"client_id": None},
        {"client_id": "phone", "client_secret": "a public client has none"},
    ],
)
def test_a_client_that_does_not_prove_itself_is_refused(
    browser: Browser, changes: dict[str, str | None]
) -> None:
    code = browser.code()
    response = browser.exchange(code, **changes)
    refused(response, "invalid_client", 401)
    assert response.headers["www-authenticate"].startswith("Basic ")
    assert browser.exchange(code).status_code == 200, "a stranger must not be able to use up a code"


@pytest.mark.parametrize("credentials", ["console:wrong", "console", "nobody:x"])
def test_wrong_basic_credentials_are_refused(browser: Browser, credentials: str) -> None:
    header = {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}
    data = {"grant_type": "authorization_code", "code": browser.code()}
    refused(browser.http.post("/oauth/token", data=data, headers=header), "invalid_client", 401)


def test_two_ways_of_authenticating_at_once_are_refused(browser: Browser) -> None:
    data = {"grant_type": "authorization_code", "client_secret": SECRET, "client_id": "console"}
    response = browser.http.post("/oauth/token", data=data, auth=("console", SECRET))
    refused(response, "invalid_request")


@pytest.mark.parametrize(
    ("grant_type", "error"),
    [
        (None, "invalid_request"),
        ("password", "unsupported_grant_type"),
        ("refresh_token", "unsupported_grant_type"),
    ],
)
def test_only_the_code_grant_is_there(browser: Browser, grant_type: str | None, error: str) -> None:
    refused(browser.exchange(browser.code(), grant_type=grant_type), error)


def test_the_token_endpoint_reads_forms_only(browser: Browser) -> None:
    refused(browser.http.post("/oauth/token", json={"grant_type": "authorization_code"}), "invalid_request")
    refused(browser.http.post("/oauth/token", data={"code": "x" * 70_000}), "invalid_request")


def test_parameters_in_the_token_address_are_not_read(browser: Browser) -> None:
    params = {"grant_type": "authorization_code", "code": browser.code(), "client_id": "console"}
    response = browser.http.post("/oauth/token", params={**params, "client_secret": SECRET}, data={"x": "y"})
    refused(response, "invalid_client", 401)


@pytest.mark.parametrize(
    "header",
    [None, "Bearer", "Bearer made-up", "Basic Y29uc29sZTp4"],
    ids=["none", "empty", "made up", "basic"],
)
def test_userinfo_needs_a_living_token(browser: Browser, header: str | None) -> None:
    response = browser.http.get("/userinfo", headers={} if header is None else {"Authorization": header})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_an_access_token_dies_after_ten_minutes(issuer: RunningIssuer, browser: Browser) -> None:
    token = browser.tokens()["access_token"]
    issuer.age(590)
    assert browser.userinfo(token).status_code == 200
    issuer.age(11)
    response = browser.userinfo(token)
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_foreign_host_name_is_refused(issuer: RunningIssuer) -> None:
    address = f"http://127.0.0.1:{issuer.port}/health"
    assert httpx2.get(address, headers={"Host": "rebound.evil.test"}).status_code == 400
