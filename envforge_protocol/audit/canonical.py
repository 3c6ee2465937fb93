"""The bytes of an audit event and the hashes that chain them (product number A1).

Events are hashed in the JSON Canonicalization Scheme (RFC 8785), without its floating point numbers: two
languages agree on every other JSON value, and nothing an event says needs a fraction.

The chain has two levels. A link covers an event's digest and not its body, so that an export which may not
show an event still carries what the chain needs from it.
"""

import json
import re
from collections.abc import Iterable
from hashlib import sha256

MAX_INT = 2**53 - 1
"""The largest integer all JSON readers agree on (RFC 8785, appendix D; RFC 7493)."""

MAX_DEPTH = 64
"""How many objects and lists may stand in one another."""

_EVENT = b"envforge.audit.event.v1\n"
_LINK = b"envforge.audit.link.v1\n"
_GENESIS = b"envforge.audit.genesis.v1\n"

_BEYOND_UTF16_UNIT = re.compile("[\U00010000-\U0010ffff]")
_encode_sorted = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False, allow_nan=False
).encode
_encode_as_is = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, check_circular=False, allow_nan=False
).encode


class NotCanonical(ValueError):
    """A value has no canonical form here.

    Attributes:
        path: where it stands, such as `facts.count` or `facts.hosts[2]`; empty for the value itself.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path or 'the value'}: {reason}")
        self.path = path


def canonical(value: object) -> bytes:
    """The RFC 8785 form of a value, as UTF-8.

    Allowed are exactly `dict` with `str` keys, `list`, `str`, `bool`, `None`, and `int` within ±(2**53-1);
    subclasses are not, because what they write depends on who wrote them.

    Raises:
        NotCanonical: anything else, a lone surrogate, or nesting deeper than MAX_DEPTH.
    """
    if not _is_plain(value, MAX_DEPTH):
        raise _objection(value)
    text = _encode_sorted(value)
    # Python sorts keys by code point, the RFC by UTF-16 unit: the orders differ only beyond U+FFFF.
    if not text.isascii() and _BEYOND_UTF16_UNIT.search(text) and _has_key_beyond_ascii(value):
        text = _encode_as_is(_in_utf16_order(value))
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _objection(value) from None


def digest(body: dict[str, object]) -> bytes:
    """The 32 bytes that stand for an event's body.

    Raises:
        NotCanonical: the body has no canonical form.
    """
    return sha256(_EVENT + canonical(body)).digest()


def link(previous: bytes, seq: int, digest: bytes) -> bytes:
    """The chain's hash after event `seq`, from the hash before it and the event's digest (32 bytes each).

    Raises:
        ValueError: a hash is not 32 bytes long, or `seq` does not fit eight bytes.
    """
    if len(previous) != 32 or len(digest) != 32 or not 0 <= seq < 2**64:
        raise ValueError("a link takes two hashes of 32 bytes and a sequence number")
    return sha256(_LINK + previous + seq.to_bytes(8, "big") + digest).digest()


def genesis(chain: str) -> bytes:
    """The hash before a chain's first event; `chain` is the organization's UUID in its usual text form."""
    return sha256(_GENESIS + chain.encode()).digest()


def _is_plain(value: object, depth: int) -> bool:
    """Whether a value holds allowed types only. Strings are not looked into: encoding finds surrogates."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -MAX_INT <= value <= MAX_INT  # type: ignore[operator]
    if depth == 0:
        return False
    if kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str:
                return False
            # Most items are strings; a call for each would double the time.
            if type(item) is not str and not _is_plain(item, depth - 1):
                return False
        return True
    return kind is list and all(_is_plain(item, depth - 1) for item in value)  # type: ignore[attr-defined]


def _has_key_beyond_ascii(value: object) -> bool:
    if isinstance(value, dict):
        return any(not key.isascii() or _has_key_beyond_ascii(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_key_beyond_ascii, value))


def _in_utf16_order(value: object) -> object:
    if isinstance(value, dict):
        ordered = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return {key: _in_utf16_order(value[key]) for key in ordered}
    if isinstance(value, list):
        return [_in_utf16_order(item) for item in value]
    return value


def _objection(value: object) -> NotCanonical:
    found = _find_objection(value, "", MAX_DEPTH)
    return NotCanonical(*(found or ("", "has no canonical form")))


def _find_objection(value: object, path: str, depth: int) -> tuple[str, str] | None:
    """Path and reason of the first thing canonical() refuses. Slow on purpose: only refusals come here."""
    if reason := _own_objection(value, depth):
        return path, reason
    items: Iterable[tuple[str, object]] = ()
    if isinstance(value, dict):
        items = ((f"{path}.{key}" if path else key, item) for key, item in value.items())
    elif isinstance(value, list):
        items = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    found = (_find_objection(item, where, depth - 1) for where, item in items)
    return next((objection for objection in found if objection), None)


def _own_objection(value: object, depth: int) -> str | None:
    kind = type(value)
    if kind not in (dict, list, str, bool, type(None), int):
        return f"is of type {kind.__name__}; allowed are object, list, string, bool, null and integer"
    if isinstance(value, str) and not _is_utf8(value):
        return "holds a lone surrogate, which UTF-8 cannot carry"
    if isinstance(value, int) and abs(value) > MAX_INT:
        return "is an integer beyond ±(2**53-1)"
    if isinstance(value, dict | list) and depth == 0:
        return f"is nested deeper than {MAX_DEPTH} levels"
    for key in value if isinstance(value, dict) else ():
        if type(key) is not str:
            return f"has a key of type {type(key).__name__}; keys are strings"
        if not _is_utf8(key):
            return "has a key with a lone surrogate, which UTF-8 cannot carry"
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
