"""YAML without danger and without surprises: what two readers could understand differently is refused."""

import pytest

from envforge_protocol.contract.tree import MAX_BYTES, MAX_DEPTH
from tests.protocol.contract.examples import MINIMAL, good, minimal, only, problems


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("command: &a x\n", 7, 10, "anchors"),
        ("env: {A: *a}\n", 7, 10, "aliases"),
        ("? *a\n: x\n", 7, 3, "aliases"),
        ("env: !!map {}\n", 7, 6, "tags"),
        ("env: {A: !!python/object/apply:os.system [x]}\n", 7, 10, "tags"),
        ("env: {<<: {A: b}}\n", 7, 7, "merge keys"),
        ("---\nversion: 1\n", 7, 1, "second document"),
        ("env: {[a]: b}\n", 7, 7, "key must be plain text"),
        ("env: {'': b}\n", 7, 7, "key is empty"),
        ("env:\n\tA: b\n", 8, 1, "tab"),
        ("env: {A: 'b\n", 8, 1, "quotes are not closed"),
        ("env: {A: b\n", 8, 1, "not closed"),
        ("env: a: b\n", 7, 7, "second `: `"),
        ("env: {A: @b}\n", 7, 10, "cannot begin a value"),
        ('env: {A: "\\q"}\n', 7, 12, "escape"),
        ('env: {A: "\\U00110000"}\n', 6, 0, "not valid YAML"),
    ],
)
def test_what_is_refused_has_its_place(text: str, line: int, column: int, words: str) -> None:
    if column == 0:  # where PyYAML itself fails, near is enough
        assert words in only(MINIMAL + text).problem
        return
    found = next(one for one in problems(MINIMAL + text) if words in one.problem)
    assert (found.line, found.column) == (line, column)


def test_a_directive_is_refused() -> None:
    assert "directives" in only(f"%YAML 1.1\n---\n{MINIMAL}").problem


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    told = {one.problem for one in problems("\n".join(lines))}
    assert {"anchors (`&`) are not read here", "aliases (`*`) are not read here"} <= told


def test_duplicate_keys_name_the_first() -> None:
    found = only(minimal("env:\n  A: x\n  B: y\n  A: z\n"))
    assert (found.line, found.column, found.path) == (10, 3, "env.A")
    assert "line 8" in found.hint


def test_a_duplicate_section_does_not_hide_the_first() -> None:
    assert [one.text for one in problems(minimal("env: {A: x}", "env: {B: {C: y}}"))] == [
        "env: `env` stands here twice (it is already in line 7)"
    ]


def test_the_size_is_limited() -> None:
    comment = "#" * (MAX_BYTES - len(MINIMAL) - 1) + "\n"
    assert good(MINIMAL + comment)
    assert "64 KiB" in only(MINIMAL + comment + "#").problem


def test_the_depth_is_limited() -> None:
    assert f"{MAX_DEPTH} levels" in only("[" * 60_000).problem
    assert f"{MAX_DEPTH} levels" in only("- " * 30_000).problem
    assert f"{MAX_DEPTH} levels" in only("".join(f"{' ' * n}a:\n" for n in range(300))).problem


def test_encodings() -> None:
    assert good("\ufeff" + MINIMAL)
    assert good(MINIMAL.replace("\n", "\r\n"))
    assert "UTF-16" in only(MINIMAL.encode("utf-16")).problem
    found = only(b"version: 1\ncommand: \xff\n")
    assert (found.line, found.column, found.problem) == (2, 10, "this is not UTF-8")


@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\x85", "\u2028", "\u202e", "\u200b", "\ufeff", "\r", "\U000e0041"]
)
def test_what_a_reviewer_cannot_see_is_refused(character: str) -> None:
    """A line separator ends a comment for YAML and for no editor: the rest of the line would be live."""
    found = only(f"{MINIMAL}# harmless{character}command: evil\n")
    assert (found.line, found.column) == (7, 11)
    assert f"U+{ord(character):04X}" in found.problem


@pytest.mark.parametrize("escape", ["\\0", "\\e", "\\u202e", "\\u2028", "\\ud800", "\\N", "\\r"])
def test_unseen_characters_do_not_come_in_by_escapes(escape: str) -> None:
    assert "nobody sees" in only(minimal(f'env: {{A: "x{escape}y"}}')).problem
    assert any("nobody sees" in one.problem for one in problems(minimal(f'env: {{"x{escape}y": a}}')))


@pytest.mark.parametrize(
    "written",
    ["on", "off", "yes", "No", "y", "22:22", "0777", "0o17", "0x1F", "1_000", "1.10", "1e3", ".inf", "2026-01-01", "=", "True", "-0", "+1",
     "123456789012345678901234567890"],
)  # fmt: skip
def test_text_is_what_was_written(written: str) -> None:
    assert good(minimal(f"env: {{A: {written}}}")).env["A"] == written


def test_integers_are_their_digits_where_text_is_asked_for() -> None:
    assert good(minimal("env: {A: 3000, B: -7, C: 0}")).env == {"A": "3000", "B": "-7", "C": "0"}
    assert (
        good(minimal("resources: {d: {type: postgres, version: 16.10}}", "env: {D: '${resources.d.url}'}"))
        .resources["d"]
        .version
        == "16.10"
    )


@pytest.mark.parametrize("written", ["true", "false"])
def test_truth_needs_quotes_where_text_is_asked_for(written: str) -> None:
    found = only(minimal(f"env: {{A: {written}}}"))
    assert found.expected == "text"
    assert f'"{written}"' in found.hint
    assert good(minimal(f'env: {{A: "{written}"}}')).env["A"] == written


@pytest.mark.parametrize("written", ["0777", "0x1F90", "3_000", "22:22", "'3000'", "3e3"])
def test_a_number_in_another_spelling_is_an_error_that_says_so(written: str) -> None:
    found = only(minimal(f"ports: {{web: {written}}}", without="ports"))
    assert found.path == "ports.web"
    assert found.expected == "a whole number"
    assert "quotes" in found.hint if "'" in written else "plain decimal digits" in found.hint


@pytest.mark.parametrize(
    ("written", "meant"), [("yes", "true"), ("on", "true"), ("No", "false"), ("True", "true")]
)
def test_yes_and_no_are_errors_that_say_what_to_write(written: str, meant: str) -> None:
    found = only(minimal(f"ports: {{web: {{number: 8000, ingress: {written}}}}}", without="ports"))
    assert found.hint == f"write {meant}"


@pytest.mark.parametrize("written", ["", "null", "~"])
def test_nothing_is_an_error(written: str) -> None:
    assert only(minimal(f"env: {written}")).text == "env: is empty (fill it or remove it)"


@pytest.mark.parametrize("text", ["", "\n", "# only words\n", "---\n", "text", "[1, 2]", "null", "7"])
def test_a_file_that_is_no_mapping_is_told_the_smallest_one(text: str) -> None:
    assert "version: 1" in only(text).expected
