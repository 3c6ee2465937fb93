"""YAML read safely and without surprises, into plain data in which every value knows its place.

What makes YAML dangerous or ambiguous to a reviewer is refused: tags, anchors and aliases, merge keys, duplicate
keys, several documents, directives, deep nesting, invisible characters. Plain scalars follow YAML 1.2: `true`,
`false`, `null` and decimal integers are what they seem; everything else (`on`, `22:22`, `0777`, `1.10`) is text,
exactly as it is written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from envforge_protocol.contract.problems import Path, Problem, dotted, quoted

MAX_BYTES = 64 * 1024
MAX_DEPTH = 16

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_BREAK = re.compile(r"\r\n|\n")

# What a reviewer does not see as it is. The line separators among them end a comment for YAML and for no editor.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\ud800-\udfff\ufeff\ufff9-\uffff\U000e0000-\U000e0fff]|\r(?!\n)"
)

# PyYAML's own words may quote the file; these do not.
_SYNTAX: tuple[tuple[str, str], ...] = (
    ("found character '\\t'", "a tab cannot indent; use spaces"),
    ("mapping values are not allowed", "a second `: ` in one line; put the value into quotes"),
    ("could not find expected ':'", "a key without its `:`"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("expected ',' or", "a bracket or brace is not closed, or a comma is missing"),
    ("found unexpected end of stream", "quotes are not closed"),
    ("found unexpected document", "quotes are not closed"),
    (
        "found unknown escape character",
        "an unknown `\\` escape in double quotes; single quotes take `\\` as it is",
    ),
    ("expected escape sequence", "a broken `\\` escape in double quotes"),
    ("found character", "this character cannot begin a value; put the value into quotes"),
    ("block sequence entries are not allowed", "a list item cannot begin here; put it on a line of its own"),
    ("sequence entries are not allowed", "a list item cannot begin here; put it on a line of its own"),
    ("mapping keys are not allowed", "a key cannot begin here"),
    ("did not find expected", "the indentation or the brackets do not fit"),
    ("expected the node content", "a value is missing here"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, and where its key does; from 1. `written` is a plain scalar's text as it stands."""

    line: int
    column: int
    key_line: int
    key_column: int
    written: str | None = None


@dataclass(slots=True)
class Tree:
    """Plain data, the place of each path in it, what was wrong, and the paths about which enough was said.

    `sections` keeps what `sections.py` made of the data.
    """

    data: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)
    sections: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def nearest_place(self, path: Path) -> tuple[Path, Place]:
        """The place of a path, or of the deepest part of it that the file has."""
        while path and path not in self.places:
            path = path[:-1]
        return path, self.places.get(path, Place(1, 1, 1, 1))

    def complain(
        self, path: Path, problem: str, *, expected: str = "", hint: str = "", at_key: bool = False
    ) -> None:
        """Add a problem with the value at a path, or with its key."""
        if any(path[:length] in self.broken for length in range(len(path) + 1)):
            return
        shown, place = self.nearest_place(path)
        line, column = (place.key_line, place.key_column) if at_key else (place.line, place.column)
        self.problems.append(
            Problem(line, column, dotted(path if shown == path or at_key else shown), problem, expected, hint)
        )


class _Stop(Exception):
    """Nothing after this can be understood."""


def read(data: bytes) -> Tree:
    """Read a file; what is wrong with its YAML is in the tree's problems, and nothing is raised."""
    tree = Tree()
    try:
        _Builder(tree).build(_text(tree, data))
    except _Stop:
        # What stands before the stop is no whole file: nothing more is said about it.
        tree.broken.add(())
    return tree


def _text(tree: Tree, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        _stop(tree, f"the file is larger than {MAX_BYTES // 1024} KiB")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        _stop(tree, "the file is UTF-16", hint="save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        _stop(tree, "this is not UTF-8", hint="save the file as UTF-8", at=_at(before, len(before)))
    for found in _UNSEEN.finditer(text):
        line, column = _at(text, found.start())
        tree.problems.append(
            Problem(
                line, column, "", f"the invisible character U+{ord(found[0]):04X} hides what the file says",
                hint="remove it; lines end with LF or CRLF",
            )
        )  # fmt: skip
    if tree.problems:
        raise _Stop
    return text


def has_unseen(text: str) -> bool:
    """Whether text has characters that a reader cannot see, such as NUL, bidirectional marks or lone surrogates."""
    return _UNSEEN.search(text) is not None


def _at(text: str, index: int) -> tuple[int, int]:
    lines = _BREAK.split(text[:index])
    return len(lines), len(lines[-1]) + 1


def _stop(tree: Tree, problem: str, *, hint: str = "", at: tuple[int, int] = (1, 1)) -> None:
    tree.problems.append(Problem(*at, "", problem, hint=hint))
    raise _Stop


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read."""

    container: Any
    path: Path
    ignored: bool
    key: str | None = None
    key_at: tuple[int, int] = (1, 1)
    key_twice: bool = False


class _Builder:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.open: list[_Open] = []
        self.documents = 0

    def build(self, text: str) -> None:
        for event in self._events(text):
            match event:
                case yaml.DocumentStartEvent():
                    self._document(event)
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.ScalarEvent():
                    self._refuse_marks(event)
                    self._scalar(event)
                case yaml.MappingStartEvent():
                    self._begin(event, {})
                case yaml.SequenceStartEvent():
                    self._begin(event, [])
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self.open.pop()
        if self.documents == 0:
            self.tree.data = None

    def _events(self, text: str) -> Iterator[Any]:
        # The pure Python reader on purpose: the C one words its errors otherwise, and not all machines have it.
        loader = yaml.SafeLoader(text)
        try:
            while loader.check_event():
                yield loader.get_event()  # type: ignore[no-untyped-call]
        except yaml.MarkedYAMLError as error:
            told = str(error.problem or error.context)
            words = next(
                (ours for theirs, ours in _SYNTAX if told.startswith(theirs)), "this is not valid YAML"
            )
            mark = error.problem_mark or error.context_mark
            _stop(self.tree, words, at=(mark.line + 1, mark.column + 1) if mark else (1, 1))
        except (yaml.YAMLError, ValueError, OverflowError):
            # PyYAML lets chr() and int() fail on escapes and versions out of range.
            mark = loader.get_mark()
            _stop(self.tree, "this is not valid YAML", at=(mark.line + 1, mark.column + 1))
        finally:
            loader.dispose()

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if event.version or event.tags:
            _stop(self.tree, "`%` directives are not read here", hint="remove the line", at=_start(event))
        if self.documents > 1:
            _stop(
                self.tree,
                "a second document begins here",
                hint="one file, one service: remove `---`",
                at=_start(event),
            )

    def _refuse_marks(self, event: Any) -> None:
        for given, what in ((event.anchor, "anchors (`&`)"), (event.tag, "tags (`!`)")):
            if given is not None:
                line, column = _start(event)
                self.tree.problems.append(
                    Problem(
                        line,
                        column,
                        dotted(self._path()),
                        f"{what} are not read here",
                        hint="write the value out",
                    )
                )

    def _alias(self, event: Any) -> None:
        line, column = _start(event)
        where = self._path()
        if self._awaits_key():
            _stop(self.tree, "aliases (`*`) are not read here", hint="write the key out", at=(line, column))
        self.tree.problems.append(
            Problem(
                line,
                column,
                dotted(where),
                "aliases (`*`) are not read here",
                hint="write the value out; `*` as text needs quotes",
            )
        )
        self._put(None, event, None)
        self.tree.broken.add(where)

    def _scalar(self, event: Any) -> None:
        plain = event.style is None and event.tag is None
        if self._awaits_key():
            self._key(event)
            return
        value: Any = event.value
        if plain:
            value = _WORDS[value] if value in _WORDS else int(value) if _INTEGER.fullmatch(value) else value
        self._put(value, event, event.value if plain else None)

    def _key(self, event: Any) -> None:
        mapping = self.open[-1]
        key, at = event.value, _start(event)
        mapping.key, mapping.key_at, mapping.key_twice = key, at, False
        if event.style is None and key == "<<":
            _stop(self.tree, "merge keys (`<<`) are not read here", hint="write the keys out", at=at)
        if not key:
            _stop(self.tree, "a key is empty", at=at)
        if key in mapping.container:
            mapping.key_twice = True
            first = self.tree.places.get((*mapping.path, key))
            self.tree.problems.append(
                Problem(
                    *at, dotted((*mapping.path, key)), f"{quoted(key)} stands here twice",
                    hint=f"it is already in line {first.key_line}" if first else "",
                )
            )  # fmt: skip

    def _begin(self, event: Any, container: Any) -> None:
        if self._awaits_key():
            _stop(
                self.tree,
                "a key must be plain text",
                hint="text that begins with `[` or `{` needs quotes",
                at=_start(event),
            )
        self._refuse_marks(event)
        if len(self.open) >= MAX_DEPTH:
            _stop(self.tree, f"more than {MAX_DEPTH} levels in one another", at=_start(event))
        path, ignored = self._path(), self._is_ignored()
        self._put(container, event, None)
        self.open.append(_Open(container, path, ignored))

    def _awaits_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].container, dict) and self.open[-1].key is None

    def _is_ignored(self) -> bool:
        return bool(self.open) and (self.open[-1].ignored or self.open[-1].key_twice)

    def _path(self) -> Path:
        if not self.open:
            return ()
        last = self.open[-1]
        if isinstance(last.container, list):
            return (*last.path, len(last.container))
        return last.path if last.key is None else (*last.path, last.key)

    def _put(self, value: Any, event: Any, written: str | None) -> None:
        at, path = _start(event), self._path()
        if not self._is_ignored():
            key_at = self.open[-1].key_at if self.open and isinstance(self.open[-1].container, dict) else at
            self.tree.places[path] = Place(*at, *key_at, written)
        if not self.open:
            self.tree.data = value
            return
        last = self.open[-1]
        if isinstance(last.container, list):
            last.container.append(value)
            return
        if not last.key_twice:
            last.container[last.key] = value
        last.key = None


def _start(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
