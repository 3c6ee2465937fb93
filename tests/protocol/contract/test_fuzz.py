"""Whatever the bytes are: a contract, or BadContract with places inside the file, in a bounded time, the same each time."""

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envforge_protocol.contract import BadContract, parse
from envforge_protocol.contract.digest import canonical_form, digest
from envforge_protocol.contract.tree import MAX_BYTES
from tests.protocol.contract.examples import FULL, MINIMAL

SECONDS = 5  # of the processor, so that a busy machine fails nothing; the slowest takes under half a one
WORDS = st.sampled_from(
    [*"&*!|>%@`{}[],:?-#'\"\n\t", "version", "service", "command", "ports", "env", "inputs", "${inputs.", "<<", "---\n", "...", "1", "null",
     "true", "\x00", "\ufeff", "\u2028", "\\ud800", "9" * 5000, " ", "  ", "name: ", "\n- ", "\r"]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["secret", "postgres", "app", "30m", "${inputs.A}", "/x"]),
)
KEYS = st.sampled_from(
    ["version", "service", "name", "kind", "command", "ports", "web", "number", "routes", "api", "forward", "inputs", "A", "resources", "type", "env", "setup",
     "cache_key", "tests", "health", "http", "smoke", "runtime", "size", "default", "depends_on", "timeout", "protocol", "ingress"]
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=40,
)


def outcome(data: bytes) -> object:
    try:
        contract = parse(data)
    except BadContract as bad:
        assert bad.problems
        lines = data.decode(errors="replace").split("\n")
        for one in bad.problems:
            assert 1 <= one.line <= len(lines) + 1
            assert one.column >= 1
            assert "\n" not in one.text
        return bad.problems
    assert parse(canonical_form(contract)) == contract
    return digest(contract)


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_random_bytes(data: bytes) -> None:
    assert outcome(data) == outcome(data)


@given(st.lists(WORDS, max_size=40))
@settings(max_examples=300, deadline=None)
def test_random_pieces_of_yaml(pieces: list[str]) -> None:
    outcome("".join(pieces).encode())
    outcome((MINIMAL + "".join(pieces)).encode())


@given(st.dictionaries(KEYS, TREES, max_size=10))
@settings(max_examples=300, deadline=None)
def test_random_trees(tree: dict[str, object]) -> None:
    whole = {"version": 1, "service": {"name": "a"}, "command": "x", "ports": {"web": 3000}, **tree}
    for data in (json.dumps(tree), json.dumps(whole), json.dumps(whole, ensure_ascii=False, indent=1)):
        with suppress(UnicodeEncodeError):
            outcome(data.encode())


@given(st.integers(0, len(FULL)), st.integers(0, 30), st.text(max_size=10))
@settings(max_examples=200, deadline=None)
def test_a_good_file_with_a_piece_replaced(at: int, length: int, text: str) -> None:
    with suppress(UnicodeEncodeError):
        outcome((FULL[:at] + text + FULL[at + length :]).encode())


@pytest.mark.parametrize(
    "piece",
    ["[", "{", "- ", "a: ", "? ", "!!a ", "&a ", "'", '"', "\\", "a.", "a.a://", "eyJaaaaaaaa-", "basic ", "a\n", "a: {", "k: v\n", "[a,", "x" * 900 + ": ", "${inputs.",
     "a-b.c_d:", "\ud7ff", "- - a\n", "#\n", "# eyJ\n", "-----BEGIN "],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "env: {A: '", "command: ", f"{MINIMAL}tests:\n  "])
def test_the_longest_files_take_a_bounded_time(piece: str, before: str) -> None:
    data = (before + piece * (MAX_BYTES // len(piece.encode())))[:MAX_BYTES].encode()[:MAX_BYTES]
    began = time.process_time()
    outcome(data)
    assert time.process_time() - began < SECONDS


def test_many_distinct_entries_take_a_bounded_time() -> None:
    for section in ("env: {", "ports: {", "commands: {", "{", "inputs: {"):
        data = (section + ", ".join(f"k{n}: v" for n in range(5000)))[: MAX_BYTES - 1] + "}"
        began = time.process_time()
        outcome(data.encode())
        assert time.process_time() - began < SECONDS
