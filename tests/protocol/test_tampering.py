"""Any single change to an export is found, wherever it is made (A1, E1); honest exports always verify.

What the format cannot protect is left out on purpose and tested for what it is: the header's description of the
file (`name`, `exported_at`, what the filters say) and the removal of a checkpoint that a later one covers.
"""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from envforge_protocol.audit.verify import Report, verify
from tests.protocol.exports import FORGER, KEYS, as_bytes, body, checkpoint, export

N, EVERY = 24, 8
EXPORTS = [
    export(N, EVERY),
    export(N, EVERY, start=5),
    export(N, EVERY, omit=frozenset({1, 7, 8, 9, 13, 14, 24})),
    export(N, EVERY, start=5, omit=frozenset({6, 15, 16})),
]
EXPORT = st.integers(0, len(EXPORTS) - 1)
MANY = settings(max_examples=300, deadline=None)


def check(lines: list[str]) -> Report:
    return verify(as_bytes(lines), KEYS)


def place(lines: list[str], index: int) -> int:
    """The sequence number that a line stands for, or that would come next where it stands for none."""
    record = json.loads(lines[index])
    if record["type"] == "header":
        return int(record["start_seq"])
    return int(record["seq"]) if "seq" in record else int(record["last_seq"]) + 1


def omitted_run(lines: list[str], seq: int) -> int:
    """The first sequence number of the omitted ones that end just before `seq`, or `seq`."""
    left_out = {r["seq"] for r in map(json.loads, lines) if r["type"] == "omitted"}
    while seq - 1 in left_out:
        seq -= 1
    return seq


def scalars(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in scalars(item, (*path, key))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in scalars(item, (*path, index))]
    return [path]


def changed(value: object, data: st.DataObject) -> object:
    if isinstance(value, str) and value and data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(value) - 1))
        letter = data.draw(st.characters(codec="utf-8").filter(lambda c: c != value[index]))
        return value[:index] + letter + value[index + 1 :]
    if type(value) is int and data.draw(st.booleans()):
        return value + data.draw(st.sampled_from([-1, 1, 2, 1000]))
    other = st.none() | st.booleans() | st.integers(-3, 40) | st.text(max_size=70)
    return data.draw(other.filter(lambda item: (type(item), item) != (type(value), value)))


@given(
    events=st.integers(1, 40),
    every=st.integers(1, 12),
    start=st.integers(0, 39),
    omit=st.frozensets(st.integers(1, 40)),
    kept=st.integers(0, 40),
)
@settings(max_examples=100, deadline=None)
def test_honest_exports_verify_with_and_without_a_kept_checkpoint(
    events: int, every: int, start: int, omit: frozenset[int], kept: int
) -> None:
    start, kept = min(start, events - 1), min(kept, events)
    lines = as_bytes(export(events, every, start=start, omit=omit))
    report = verify(lines, KEYS)
    assert report.ok, report.problems
    assert report.signed_through == events
    assert report.events + report.omitted == events - start
    assert verify(lines, KEYS, checkpoint(max(kept, start), events)).ok


@given(st.data())
@MANY
def test_e1_any_changed_scalar_is_found(data: st.DataObject) -> None:
    lines = list(EXPORTS[data.draw(EXPORT)])
    index = data.draw(st.integers(0, len(lines) - 1))
    record = json.loads(lines[index])
    path = data.draw(st.sampled_from(scalars(record)))
    if record["type"] == "header" and path[0] in ("name", "exported_at", "filters"):
        return
    kind, seq = record["type"], place(lines, index)
    holder = record
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = changed(holder[path[-1]], data)
    lines[index] = json.dumps(record)
    report = check(lines)
    assert not report.ok
    if kind == "event":
        # Omitted lines just before it state no hash of their own, so that they are in doubt with it.
        assert report.first_bad_seq is not None
        assert omitted_run(lines, seq) <= report.first_bad_seq <= seq
    elif kind == "omitted":
        assert report.first_bad_seq is not None
        assert report.first_bad_seq <= seq
    elif kind == "checkpoint":
        # A checkpoint stands between its event and the next; one with another number belongs to neither.
        assert report.first_bad_seq is not None
        assert report.first_bad_seq <= seq + 1


@given(st.data())
@MANY
def test_e1_any_deleted_line_is_found(data: st.DataObject) -> None:
    lines = list(EXPORTS[data.draw(EXPORT)])
    index = data.draw(st.integers(0, len(lines) - 1))
    kind, seq = json.loads(lines[index])["type"], place(lines, index)
    start = json.loads(lines[0])["start_seq"]
    del lines[index]
    report = check(lines)
    if kind == "checkpoint" and seq != start:
        assert report.ok
        assert report.signed_through == (N if seq < N else 16)
        return
    assert not report.ok
    if kind != "header":
        assert report.first_bad_seq == (start + 1 if kind == "checkpoint" else seq)


@given(st.data())
@MANY
def test_e1_any_line_standing_there_twice_is_found(data: st.DataObject) -> None:
    lines = list(EXPORTS[data.draw(EXPORT)])
    index = data.draw(st.integers(0, len(lines) - 1))
    to = data.draw(st.integers(0, len(lines)))
    report = check([*lines[:to], lines[index], *lines[to:]])
    assert not report.ok


@given(st.data())
@MANY
def test_e1_any_two_lines_swapped_are_found(data: st.DataObject) -> None:
    lines = list(EXPORTS[data.draw(EXPORT)])
    first, second = sorted(
        data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True))
    )
    kinds = {json.loads(lines[index])["type"] for index in (first, second)}
    seq = place(lines, first)
    lines[first], lines[second] = lines[second], lines[first]
    report = check(lines)
    assert not report.ok
    if kinds <= {"event", "omitted"}:
        assert report.first_bad_seq == seq


@given(st.data())
@MANY
def test_e1_any_truncation_names_the_missing_tail(data: st.DataObject) -> None:
    lines = list(EXPORTS[data.draw(EXPORT)])
    keep = data.draw(st.integers(0, len(lines) - 1))
    last = max((json.loads(line).get("seq", 0) for line in lines[:keep]), default=0)
    start = json.loads(lines[0])["start_seq"]
    report = check(lines[:keep])
    assert not report.ok
    if keep > (1 if start else 0):
        assert report.first_bad_seq == last + 1
        assert any(problem.code == "cut_off" for problem in report.problems)


@given(st.data())
@MANY
def test_e1_any_cut_within_a_line_is_found(data: st.DataObject) -> None:
    whole = b"".join(as_bytes(EXPORTS[data.draw(EXPORT)]))
    keep = data.draw(st.integers(0, len(whole) - 2))  # without its last newline a file is still whole
    assert not verify(whole[:keep].splitlines(keepends=True), KEYS).ok


@given(seq=st.integers(1, N), kept=st.sampled_from([8, 16, 24]))
@settings(max_examples=60, deadline=None)
def test_e1_a_rewritten_suffix_is_found_by_any_later_checkpoint(seq: int, kept: int) -> None:
    """Every hash, the end line and all other checkpoints are made to fit the changed event."""
    bodies = [body(n) for n in range(1, N + 1)]
    bodies[seq - 1]["kind"] = "invented"
    honest = EXPORTS[0]
    lines = []
    for line, true in zip(export(N, EVERY, bodies=bodies), honest, strict=True):
        record = json.loads(line)
        if record["type"] == "checkpoint" and record["seq"] >= seq:
            if record["seq"] == kept:
                lines.append(true)
        else:
            lines.append(line)
    report = check(lines)
    if kept < seq:
        signed = (seq - 1) // EVERY * EVERY
        assert (report.ok, report.signed_through) == (signed > 0, signed or None)
        assert not verify(as_bytes(lines), KEYS, checkpoint(N, N)).ok
        return
    assert not report.ok
    assert report.first_bad_seq == (seq - 1) // EVERY * EVERY + 1
    assert report.first_bad_seq <= seq <= kept


@given(seq=st.integers(1, N))
@settings(max_examples=24, deadline=None)
def test_e1_a_rewritten_and_newly_signed_suffix_is_found(seq: int) -> None:
    bodies = [body(n) for n in range(1, N + 1)]
    bodies[seq - 1]["kind"] = "invented"
    forged = export(N, EVERY, bodies=bodies, signer=FORGER)
    lines = [
        true if "seq" in json.loads(true) and json.loads(true)["seq"] < seq else line
        for line, true in zip(forged, EXPORTS[0], strict=True)
    ]
    report = check(lines)
    assert not report.ok
    assert report.first_bad_seq == -(-seq // EVERY) * EVERY  # the first forged checkpoint


@given(st.data())
@MANY
def test_e1_an_invented_event_is_found_wherever_it_is_put(data: st.DataObject) -> None:
    lines = list(EXPORTS[data.draw(EXPORT)])
    index = data.draw(st.integers(1, len(lines) - 1))
    seq = data.draw(st.integers(1, 2 * N))
    invented = {"type": "event", "seq": seq, "hash": "ab" * 32, "body": body(seq) | {"kind": "invented"}}
    assert not check([*lines[:index], json.dumps(invented), *lines[index:]]).ok
