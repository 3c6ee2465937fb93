"""Link tokens: what holds, and every way in which one does not (L3)."""

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from envforge_protocol.gateway.base import Surface
from envforge_protocol.gateway.link_tokens import (
    BadLinkToken,
    Claims,
    public_key,
    public_text,
    sign,
    verify,
)

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
KEYS = {"one": KEY.public_key()}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLAIMS = Claims(
    aud="dev.test",
    link=UUID(int=1),
    rotation=2,
    service="web",
    workspace=UUID(int=3),
    organization=UUID(int=4),
    surfaces=(Surface.WEB, Surface.API),
    host="web--main--acme.dev.test",
    iat=int(NOW.timestamp()),
    exp=int((NOW + timedelta(hours=2)).timestamp()),
)
TOKEN = sign(CLAIMS, kid="one", key=KEY)
HEADER, BODY, SIGNATURE = TOKEN.split(".")


def encoded(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(header: str, body: str) -> str:
    return f"{header}.{body}.{encoded(KEY.sign(f'{header}.{body}'.encode()))}"


def word(token: str, *, now: datetime = NOW, audience: str = "dev.test") -> str:
    with pytest.raises(BadLinkToken) as refused:
        verify(token, KEYS, audience=audience, now=now)
    assert not token or token not in str(refused.value)
    return refused.value.word


def test_a_token_gives_its_claims_back() -> None:
    assert verify(TOKEN, KEYS, audience="dev.test", now=NOW) == CLAIMS


def test_a_public_key_survives_the_wire() -> None:
    assert public_key(public_text(KEY.public_key())) == KEY.public_key()


def test_a_link_ends_at_its_second() -> None:
    end = NOW + timedelta(hours=2)
    assert verify(TOKEN, KEYS, audience="dev.test", now=end - timedelta(milliseconds=1))
    assert word(TOKEN, now=end) == "expired"


def test_a_token_for_another_domain_is_none() -> None:
    assert word(TOKEN, audience="dev.other") == "audience"


@pytest.mark.parametrize("position", range(0, len(BODY), 7))
def test_no_changed_claim_holds(position: int) -> None:
    changed = BODY[:position] + ("A" if BODY[position] != "A" else "B") + BODY[position + 1 :]
    assert word(f"{HEADER}.{changed}.{SIGNATURE}") == "signature"


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("", "form"),
        (f"{HEADER}.{BODY}", "form"),
        (f"{HEADER}.{BODY}.", "signature"),
        (f"{TOKEN}.x", "form"),
        (f"{TOKEN}=", "form"),
        (f"{TOKEN} ", "form"),
        (f"{TOKEN}\n", "form"),
        (f"é{TOKEN}", "form"),
        (TOKEN + "A" * 2048, "form"),
        (sign(CLAIMS, kid="two", key=KEY), "key"),
        (sign(CLAIMS, kid="one", key=OTHER), "signature"),
        (signed(encoded({"alg": "none", "kid": "one", "typ": "envforge-link"}), BODY), "form"),
        (signed(encoded({"alg": "HS256", "kid": "one", "typ": "envforge-link"}), BODY), "form"),
        (signed(encoded({"alg": "EdDSA", "kid": "one", "typ": "JWT"}), BODY), "form"),
        (signed(encoded({"alg": "EdDSA", "kid": "one", "typ": "envforge-link", "jwk": {}}), BODY), "form"),
        (signed(encoded(b'{"kid":"two","kid":"one","alg":"EdDSA","typ":"envforge-link"}'), BODY), "form"),
        (signed(HEADER, encoded({"link": "x"})), "form"),
        (signed(HEADER, encoded([])), "form"),
        (signed(encoded(b"[" * 1200), BODY), "form"),
    ],
)
def test_what_is_no_token(token: str, expected: str) -> None:
    assert word(token) == expected


def test_unused_bits_of_the_last_character_are_no_second_spelling() -> None:
    spellings = [
        TOKEN[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    ]
    assert sum(1 for one in spellings if _holds(one)) == 1


def _holds(token: str) -> bool:
    try:
        verify(token, KEYS, audience="dev.test", now=NOW)
    except BadLinkToken:
        return False
    return True
