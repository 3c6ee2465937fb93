"""The canonical bytes of an event and the hashes that chain them (A1)."""

import hashlib
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envforge_protocol.audit.canonical import NotCanonical, canonical, digest, genesis, link

CHAIN = "11111111-1111-4111-8111-111111111111"


class Colour(StrEnum):
    RED = "red"


def test_keys_are_sorted_by_utf16_unit_as_in_the_rfc() -> None:
    # RFC 8785, section 3.2.3: the emoji's first surrogate sorts before U+FB33, its code point after it.
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}
    assert (
        canonical(value)
        == '{"\\r":2,"1":4,"\x80":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'.encode()
    )


def test_nested_keys_are_sorted_by_utf16_unit_too() -> None:
    value: object = {"list": [{"\ufb33": [], "\U0001f600": {}}]}
    assert canonical(value) == '{"list":[{"\U0001f600":{},"\ufb33":[]}]}'.encode()


def test_strings_are_escaped_as_in_the_rfc_and_no_further() -> None:
    # RFC 8785, section 3.2.2.2: short escapes where JSON has them, lower-case hex, the rest as it is.
    text = '\u20ac$\u000f\nA\'B"\\\\"/\x7f\u2028\b\t\f\r\x1f'
    assert canonical(text) == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f\u2028\\b\\t\\f\\r\\u001f"'.encode()


def test_literals_and_integers() -> None:
    value = [None, True, False, 0, -1, 2**53 - 1, -(2**53 - 1)]
    assert canonical(value) == b"[null,true,false,0,-1,9007199254740991,-9007199254740991]"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (1.5, ""),
        ({"facts": {"count": 1.0}}, "facts.count"),
        ({"facts": {"hosts": ["a", {"n": 2**53}]}}, "facts.hosts[1].n"),
        ({"facts": {"count": -(2**53)}}, "facts.count"),
        ({"facts": {3: "x"}}, "facts"),
        ({"facts": {"\ud800": 1}}, "facts"),
        ({"facts": {"label": "a\udc00"}}, "facts.label"),
        ({"facts": {"label": "\ud83d\ude00"}}, "facts.label"),
        ({"facts": {"pair": (1, 2)}}, "facts.pair"),
        ({"facts": {"raw": b"x"}}, "facts.raw"),
        ({"facts": {"colour": Colour.RED}}, "facts.colour"),
        ({"facts": {"nan": float("nan")}}, "facts.nan"),
    ],
)
def test_what_has_no_canonical_form_is_refused_by_path(value: object, path: str) -> None:
    with pytest.raises(NotCanonical) as refused:
        canonical(value)
    assert refused.value.path == path
    assert isinstance(refused.value, ValueError)


def test_endless_nesting_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(NotCanonical):
        canonical(value)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def reference(value: object) -> str:
    """RFC 8785 again, written as slowly and plainly as it can be."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        short = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
        return '"' + "".join(short.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in value) + '"'
    if isinstance(value, list):
        return "[" + ",".join(map(reference, value)) + "]"
    assert isinstance(value, dict)
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(f"{reference(key)}:{reference(value[key])}" for key in keys) + "}"


@given(JSON_VALUES)
def test_any_value_has_the_form_of_the_plain_reference(value: object) -> None:
    assert canonical(value) == reference(value).encode()


def test_golden_event_chain() -> None:
    """Fixed values: they must never change, or every chain ever sealed would stop verifying."""
    body: dict[str, object] = {
        "kind": "runtime.woken",
        "chain": CHAIN,
        "facts": {"size": "small", "awake_s": 90},
        "at": "t",
    }
    text = (
        '{"at":"t","chain":"11111111-1111-4111-8111-111111111111",'
        '"facts":{"awake_s":90,"size":"small"},"kind":"runtime.woken"}'
    )
    by_hand = hashlib.sha256(b"envforge.audit.event.v1\n" + text.encode()).digest()
    first = hashlib.sha256(b"envforge.audit.genesis.v1\n" + CHAIN.encode()).digest()
    linked = hashlib.sha256(
        b"envforge.audit.link.v1\n" + first + b"\x00\x00\x00\x00\x00\x00\x00\x01" + by_hand
    ).digest()

    assert digest(body) == by_hand
    assert genesis(CHAIN) == first
    assert link(first, 1, by_hand) == linked
    assert by_hand.hex() == "7ddb353c0c2066b4b3a22eac746a1e8596cef182aa7f9021adbdbefe6c571fc5"
    assert first.hex() == "92c33e9d3ae725947cace3f2e66187cf82feaa50a519845dbde5c17cab293b6c"
    assert linked.hex() == "98952b761d7305ab239f93fdeaecfb37bf1a25a246782241438d37f3601cb53a"


def test_a_link_takes_only_whole_hashes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        link(b"short", 1, bytes(32))
