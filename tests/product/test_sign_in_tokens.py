"""An issuer that lies gets nobody in: each thing that an ID token must prove (I1, N2)."""

import os
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client, override_settings

from orgs.models import Person
from tests.product.crooked_issuer import UNPUBLISHED, Crooked, crooked_issuer
from tests.product.visitors import anonymous, is_signed_in, parameters, person_of, refused, sign_in


@pytest.fixture
def crooked() -> Iterator[Crooked]:
    with crooked_issuer(settings.AUTH0_CLIENT_ID) as said, override_settings(AUTH0_ISSUER=said.url):
        yield said


def come_back(browser: Client, said: Crooked, *, honest_nonce: bool = True) -> object:
    asked = parameters(browser.get("/auth/start")["location"])
    if honest_nonce:
        said.nonce = asked["nonce"]
    return browser.get("/auth/callback", {"code": "code", "state": asked["state"]})


def test_the_crooked_issuer_can_be_honest(crooked: Crooked) -> None:
    browser = anonymous()
    assert come_back(browser, crooked)["location"] == "/"  # type: ignore[index]
    assert is_signed_in(browser)


def test_a_wrong_nonce_is_refused(crooked: Crooked) -> None:
    browser = anonymous()
    refused(browser, "token_invalid", come_back(browser, crooked, honest_nonce=False))


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": None},
        {"iss": "https://other.example/"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": ["another-client", "third"]},
        {"aud": "another-client", "azp": settings.AUTH0_CLIENT_ID},
        {"azp": "another-client"},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 300},
    ],
    ids=str,
)
def test_a_token_that_does_not_hold_is_refused(crooked: Crooked, claims: dict[str, object]) -> None:
    crooked.claims = claims
    browser = anonymous()
    refused(browser, "token_invalid", come_back(browser, crooked))


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(UNPUBLISHED, "RS256"), ("s" * 64, "HS256"), (None, "none")],
    ids=["key", "hmac", "none"],
)
def test_a_token_that_is_not_signed_by_the_issuers_key_is_refused(
    crooked: Crooked, key: object, algorithm: str
) -> None:
    """Its metadata offers HS256 and none; we take neither."""
    crooked.key, crooked.algorithm = key, algorithm
    browser = anonymous()
    refused(browser, "token_invalid", come_back(browser, crooked))


def test_a_token_signed_with_our_own_client_secret_is_refused(crooked: Crooked) -> None:
    crooked.key, crooked.algorithm = settings.AUTH0_CLIENT_SECRET, "HS256"
    browser = anonymous()
    refused(browser, "token_invalid", come_back(browser, crooked))


def test_metadata_of_another_issuer_is_not_believed(crooked: Crooked) -> None:
    crooked.metadata = {"issuer": "https://other.example/"}
    browser = anonymous()
    refused(browser, "unavailable", browser.get("/auth/start"))


def test_a_token_endpoint_that_breaks_is_explained(crooked: Crooked) -> None:
    crooked.token_status = 500
    browser = anonymous()
    refused(browser, "unavailable", come_back(browser, crooked))


def test_another_organization_than_asked_for_is_refused(crooked: Crooked) -> None:
    crooked.claims = {"org_id": "org_mallet"}
    browser = anonymous()
    asked = parameters(browser.get("/auth/start", {"organization": "org_acme"})["location"])
    crooked.nonce = asked["nonce"]
    refused(
        browser,
        "organization_mismatch",
        browser.get("/auth/callback", {"code": "code", "state": asked["state"]}),
    )


def test_n2_mail_counts_only_if_it_is_truly_verified_and_people_are_their_subject(crooked: Crooked) -> None:
    for subject, verified in (("auth0|one", "true"), ("auth0|two", True)):
        crooked.claims = {"sub": subject, "email": "alice@acme.test", "email_verified": verified}
        come_back(anonymous(), crooked)
    people = Person.objects.filter(issuer=crooked.url).order_by("subject")
    assert [(person.subject, person.email_verified) for person in people] == [
        ("auth0|one", False),
        ("auth0|two", True),
    ]


def test_n2_the_same_subject_and_address_at_another_issuer_are_somebody_else(crooked: Crooked) -> None:
    with override_settings(AUTH0_ISSUER=os.environ["AUTH0_ISSUER"]):
        sign_in(anonymous(), "alice")
        alice = person_of("alice")
    crooked.claims = {"sub": alice.subject, "email": alice.email}
    browser = anonymous()
    come_back(browser, crooked)
    assert "Eve" in browser.get("/account").text
    assert Person.objects.get(issuer=crooked.url).id != alice.id


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("  Eve \n of\tMallet ", "Eve of Mallet"),
        ("", "eve"),
        (None, "eve"),
        (7, "eve"),
        ("x" * 200, "x" * 120),
        ("AKIAIOSFODNN7EXAMPLE", "eve"),
    ],
)
def test_a_strange_name_becomes_a_readable_one(crooked: Crooked, name: object, shown: str) -> None:
    crooked.claims = {"name": name, "sub": f"auth0|strange-{shown[:9]}-{len(str(name))}"}
    assert come_back(anonymous(), crooked)["location"] == "/"  # type: ignore[index]
    assert Person.objects.get(issuer=crooked.url).name == shown
