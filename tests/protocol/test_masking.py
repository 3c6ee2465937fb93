"""Declared values do not get through the masker, however the stream is cut (W9)."""

import base64
import json
import pickle
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envforge_protocol.masking import MASK, MIN_BYTES, Masker

SECRET = b"correct/horse+battery staple&\xc3\xbc"
KEY = b"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwgg\nab\n-----END KEY-----\n"


def masked(text: bytes, *values: bytes) -> bytes:
    return Masker(values).mask_all(text)


def test_a_value_is_masked_and_all_else_stays() -> None:
    assert masked(b"before " + SECRET + b" after\n", SECRET) == b"before [masked] after\n"
    assert masked(b"nothing here\n", SECRET) == b"nothing here\n"
    assert masked(b"nothing at all\n") == b"nothing at all\n"


@pytest.mark.parametrize(
    "form",
    [
        base64.b64encode(SECRET),
        base64.urlsafe_b64encode(SECRET),
        base64.b64encode(SECRET).rstrip(b"="),
        quote(SECRET).encode(),
        quote(SECRET, safe="").encode(),
        quote_plus(SECRET).encode(),
        b"correct%2fhorse%2bbattery%20staple%26%c3%bc",
        json.dumps(SECRET.decode())[1:-1].encode(),
        b"correct\\/horse+battery staple&\\u00fc",
    ],
)
def test_common_encodings(form: bytes) -> None:
    assert masked(b"[" + form + b"]", SECRET) == b"[" + MASK + b"]"


@pytest.mark.parametrize("before", [b"", b"u:", b"me:", b"you:"])
@pytest.mark.parametrize("after", [b"", b"!", b"!!"])
def test_base64_of_something_longer(before: bytes, after: bytes) -> None:
    """As in `Authorization: Basic`: what is left does not tell more than a few bits at either end."""
    encoded = base64.b64encode(before + SECRET + after)
    shown = masked(encoded, SECRET)
    assert MASK in shown
    assert len(shown) <= len(MASK) + len(base64.b64encode(before)) + len(base64.b64encode(after)) + 4
    rest = shown.replace(MASK, b"")
    assert not any(rest.count(encoded[at : at + 6]) for at in range(6, len(encoded) - 12))


def test_a_value_of_several_lines() -> None:
    assert masked(KEY, KEY) == MASK
    assert masked(KEY.replace(b"\n", b"\r\n"), KEY) == MASK
    assert (
        masked(b"  " + KEY.replace(b"\n", b"\n  "), KEY)
        == b"  [masked]\n  [masked]\n  [masked]\n  ab\n  [masked]\n  "
    )
    assert masked(json.dumps(KEY.decode()).encode(), KEY) == b'"[masked]"'


def test_short_values_are_not_masked_and_are_counted() -> None:
    masker = Masker([b"test\n", b"x" * MIN_BYTES, b""])
    assert masker.too_short == 1
    assert masker.mask_all(b"test xxxxxx xxxxx") == b"test [masked] xxxxx"


def test_the_longest_wins_and_overlapping_ones_are_one() -> None:
    assert masked(b"a password1234 b", b"password", b"password1234") == b"a [masked] b"
    assert masked(b"-abcdefghijkl-", b"abcdefgh", b"efghijkl") == b"-[masked]-"
    assert masked(b"-aaaaaaaaaaa-", b"aaaaaa") == b"-[masked]-"


def test_live_output_is_not_held_back() -> None:
    masker = Masker([KEY, SECRET])
    assert masker.feed(b"Continue? [y/n] ") == b"Continue? [y/n] "
    assert masker.feed(b"corr") == b""
    assert masker.feed(b"al\n") == b"corral\n"
    assert masker.feed(SECRET[:-1]) == b""
    assert masker.feed(SECRET[-1:] + b"\n") == b"[masked]\n"
    assert masker.finish() == b""


def test_what_is_held_is_never_more_than_the_longest_form() -> None:
    masker = Masker([SECRET])
    for _ in range(200):
        masker.feed(SECRET[:-1] * 500)
        assert len(masker._held) < 4 * len(SECRET)


def test_the_mask_makes_no_value() -> None:
    """A value that could come about from the mask and its neighbours gets another mask."""
    for value in (b"masked", b"secret[", b"]secret", b"xx[masked]xx", b"d]secret"):
        masker = Masker([value, b"other-value"])
        assert value not in masker.mask_all(
            b"xx" + value + b"xx other-value secretother-valuexxother-valuesecret"
        )


def test_a_masker_does_not_tell() -> None:
    masker = Masker([SECRET])
    masker.feed(b"corr")
    assert "corr" not in repr(masker)
    with pytest.raises(TypeError):
        pickle.dumps(masker)


LETTERS = st.sampled_from(b"ab[m\n")
VALUES = st.lists(st.lists(LETTERS, min_size=MIN_BYTES, max_size=12).map(bytes), min_size=1, max_size=4)


@given(VALUES, st.data())
@settings(max_examples=400, deadline=None)
def test_any_chunks_give_the_same_and_no_value_gets_through(values: list[bytes], data: st.DataObject) -> None:
    masker = Masker(values)
    pieces = data.draw(
        st.lists(st.sampled_from(masker._forms) | st.lists(LETTERS, max_size=8).map(bytes), max_size=12)
    )
    text = b"".join(pieces)
    whole = masker.mask_all(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    chunked = b"".join(masker.feed(text[a:b]) for a, b in pairwise([0, *cuts, len(text)])) + masker.finish()
    assert chunked == whole
    assert b"".join(masker.feed(text[at : at + 1]) for at in range(len(text))) + masker.finish() == whole
    assert not [form for form in masker._forms if form in whole]


@given(VALUES, st.lists(LETTERS, max_size=60).map(bytes))
@settings(max_examples=300, deadline=None)
def test_it_agrees_with_the_plain_definition(values: list[bytes], text: bytes) -> None:
    """Each byte of an occurrence of any form is gone, each other byte is there."""
    masker = Masker(values)
    spans = [
        (at, at + len(form)) for form in masker._forms for at in range(len(text)) if text.startswith(form, at)
    ]
    expected, covered, at = b"", 0, 0
    for start, stop in sorted(spans):
        if start >= covered:
            expected += text[at:start] + masker.mask
        covered = at = max(covered, stop)
    assert masker.mask_all(text) == expected + text[at:]
