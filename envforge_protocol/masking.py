"""Masks declared secret values in a stream of output (W9): raw, and in the encodings that output commonly has them in.

Best effort by nature: a program that splits, reverses or encrypts a value before it prints it is not stopped. What is
promised is that no form listed here gets through, however the stream is cut into chunks.
"""

import base64
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NoReturn
from urllib.parse import quote_from_bytes, quote_plus

MIN_BYTES = 6
"""Shorter values are not masked: `test` or `1234` stand in ordinary output everywhere, which would be unreadable, and the
masks themselves would tell where the value is. Such a value is no secret that masking could keep."""

MASK = b"[masked]"

# Another mask, for a value that could come about from the first one and the text beside it.
_OTHER_MASKS = (b"***", b"###", *(bytes([byte]) * 3 for byte in range(33, 127)))


class Masker:
    """Masks a stream: `feed` each chunk, then `finish` once. One for each stream.

    Every byte that belongs to an occurrence of a value is removed; occurrences that overlap get one mask together. Holds
    back only what may be the beginning of a value, so that live output stays live; never more than the longest form.
    """

    __slots__ = ("_forms", "_heads", "_held", "_longest", "_masked", "_needles", "mask", "too_short")

    def __init__(self, values: Iterable[bytes]) -> None:
        given = [value for value in values if value]
        forms = {form for value in given for form in _forms_of(value) if len(form) >= MIN_BYTES}
        self.too_short = sum(len(value.strip()) < MIN_BYTES for value in given)
        """How many of the values are too short to be masked."""
        self.mask = _mask_beside(forms)
        self._forms = sorted(forms)
        self._needles = [*_without_longer(self._forms)]
        self._heads = frozenset(form[:MIN_BYTES] for form in forms)
        self._longest = max(map(len, forms), default=0)
        self._held = b""
        # So many bytes of what is held belong to a value whose mask is already out.
        self._masked = 0

    def feed(self, chunk: bytes) -> bytes:
        """What may be shown after this chunk."""
        if not self._forms:
            return chunk
        text = self._held + chunk
        return self._release(text, self._undecided(text))

    def finish(self) -> bytes:
        """What is left at the end of the stream; the masker is then ready for another one."""
        text = self._held
        shown = self._release(text, len(text))
        self._masked = 0
        return shown

    def mask_all(self, text: bytes) -> bytes:
        """A whole text, masked; not in the middle of a stream."""
        return self.feed(text) + self.finish()

    def __repr__(self) -> str:
        return f"Masker({len(self._forms)} forms)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A masker holds secret values and cannot be pickled or copied.")

    def _undecided(self, text: bytes) -> int:
        """Where the first form may begin whose end is not here yet; the text's length if none does."""
        start = max(0, len(text) - self._longest + 1)
        for at in range(start, len(text)):
            head = text[at : at + MIN_BYTES]
            if len(head) == MIN_BYTES and head not in self._heads:
                continue
            rest = text[at:]
            # The first form after the rest in order is one that goes on from it, if there is any.
            place = bisect_right(self._forms, rest)
            if place < len(self._forms) and self._forms[place].startswith(rest):
                return at
        return len(text)

    def _release(self, text: bytes, end: int) -> bytes:
        """Mask what begins before `end`, show what lies before it, hold the rest."""
        shown: list[bytes] = []
        at, covered = min(self._masked, end), self._masked
        for start, stop in sorted(self._occurrences(text, end)):
            if start >= covered:
                shown += (text[at:start], self.mask)
            covered = max(covered, stop)
            at = min(covered, end)
        shown.append(text[at:end])
        self._held = text[end:]
        self._masked = max(0, covered - end)
        return b"".join(shown)

    def _occurrences(self, text: bytes, end: int) -> Iterator[tuple[int, int]]:
        for needle in self._needles:
            start = text.find(needle)
            while 0 <= start < end:
                yield start, start + self._longest_at(text, start, needle)
                start = text.find(needle, start + 1)

    def _longest_at(self, text: bytes, start: int, needle: bytes) -> int:
        place = bisect_left(self._forms, needle)
        longest = len(needle)
        while place < len(self._forms) and self._forms[place].startswith(needle):
            if text.startswith(self._forms[place], start):
                longest = max(longest, len(self._forms[place]))
            place += 1
        return longest


def _forms_of(value: bytes) -> Iterator[bytes]:
    """A value, its lines, and both as output commonly has them."""
    # A line that a terminal ends with CR LF is found line by line; the short ones only together.
    wholes = {value, value.strip(), value.replace(b"\n", b"\r\n")}
    for whole in wholes | {line.strip() for line in value.splitlines()}:
        if len(whole) < MIN_BYTES:
            continue
        yield whole
        yield from _in_base64(whole)
        yield from _in_addresses(whole)
        yield from _in_json(whole)


def _in_base64(value: bytes) -> Iterator[bytes]:
    """Standing alone, and as part of something longer, such as `user:password`: three ways to fall on groups of six bits."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(value)
        yield encode(value).rstrip(b"=")
        for before in range(3):
            encoded = encode(bytes(before) + value)
            # Letters that bits of the neighbours take part in are left out.
            yield encoded[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]


def _in_addresses(value: bytes) -> Iterator[bytes]:
    for encoded in (quote_from_bytes(value), quote_from_bytes(value, safe=""), quote_plus(value)):
        yield encoded.encode()
        # Some write the digits in lower case.
        yield _lower_escapes(encoded).encode()


def _lower_escapes(encoded: str) -> str:
    first, *rest = encoded.split("%")
    return "%".join([first, *(f"{piece[:2].lower()}{piece[2:]}" for piece in rest)])


def _in_json(value: bytes) -> Iterator[bytes]:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    for encoded in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield encoded.encode()
        yield encoded.replace("/", "\\/").encode()


def _without_longer(forms: list[bytes]) -> Iterator[bytes]:
    """Of sorted forms those that begin with no other one: where none of these is, none of the others is."""
    last = None
    for form in forms:
        if last is None or not form.startswith(last):
            last = form
            yield form


def _mask_beside(forms: Iterable[bytes]) -> bytes:
    """A mask that no form can come about with, whatever text stands beside it."""
    found = next(
        (mask for mask in (MASK, *_OTHER_MASKS) if not any(_meets(form, mask) for form in forms)), None
    )
    if found is None:
        raise ValueError("There are too many values to mask: each possible mask could be a part of one.")
    return found


def _meets(form: bytes, mask: bytes) -> bool:
    if mask in form or form in mask:
        return True
    shared = range(1, min(len(form), len(mask)))
    return any(form.endswith(mask[:length]) or form.startswith(mask[-length:]) for length in shared)
