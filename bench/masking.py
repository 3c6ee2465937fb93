"""Masking output against `bytes.replace`, in turns over the same text: once for each value, and once for each form.

The first is what hides least (raw values, no chunks); the second hides the same forms, but only within a chunk.
"""

import random
import sys
import time
from collections.abc import Callable
from functools import partial

from bench._figures import Figures, p50, quick
from envforge_protocol.masking import MASK, Masker

GOAL = 2.0
CHUNK = 64 * 1024
SMALL_CHUNK = 4 * 1024


def main() -> int:
    size = (1 if quick() else 16) * 1024 * 1024
    text = output(size)
    figures = Figures(f"masking: {size >> 20} MiB of output")
    for told, values in (
        ("9 tokens", tokens(9)),
        ("9 tokens and a private key", [*tokens(9), private_key()]),
    ):
        forms = Masker(values)._forms  # noqa: SLF001 - the peer replaces the same
        ways: dict[str, Callable[[], None]] = {
            "chunks of 64 KiB": partial(masked, text, values, CHUNK),
            "chunks of 4 KiB": partial(masked, text, values, SMALL_CHUNK),
            "replace each value": partial(replaced, text, values),
            "replace each form": partial(replaced, text, forms),
        }
        seconds = in_turns(ways, rounds=2 if quick() else 5)
        for way, taken in seconds.items():
            figures.tell(f"{told}, {way}", f"{size / taken / 1e6:.0f} MB/s")
        figures.at_most(
            f"{told}, time against replacing each form",
            seconds["chunks of 64 KiB"] / seconds["replace each form"],
            GOAL,
        )
    return figures.finish()


def in_turns(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            began = time.perf_counter()
            run()
            taken[way].append(time.perf_counter() - began)
    return {way: p50(seconds) for way, seconds in taken.items()}


def masked(text: bytes, values: list[bytes], chunk: int) -> None:
    masker = Masker(values)
    for at in range(0, len(text), chunk):
        masker.feed(text[at : at + chunk])
    masker.finish()


def replaced(text: bytes, values: list[bytes]) -> None:
    for at in range(0, len(text), CHUNK):
        piece = text[at : at + CHUNK]
        for value in values:
            piece = piece.replace(value, MASK)


def output(size: int) -> bytes:
    """Words and numbers as a build prints them; the same each time."""
    chance = random.Random(1)  # noqa: S311 - not for secrets
    words = [
        bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz0123456789/.-_", k=chance.randint(2, 12)))
        for _ in range(5000)
    ]
    line = [b" ".join(chance.choices(words, k=10)) + b"\n" for _ in range(2000)]
    made = b"".join(chance.choices(line, k=size // 60))
    return (made + made)[:size]


def tokens(count: int) -> list[bytes]:
    return [letters(number, 43) for number in range(count)]


def private_key() -> bytes:
    return (
        b"-----BEGIN PRIVATE KEY-----\n"
        + b"".join(letters(99 + n, 64) + b"\n" for n in range(26))
        + b"-----END PRIVATE KEY-----\n"
    )


def letters(seed: int, count: int) -> bytes:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return bytes(random.Random(seed).choices(alphabet, k=count))  # noqa: S311 - not for secrets


if __name__ == "__main__":
    sys.exit(main())
