"""Offline verification: honest files pass, each attack is found and named (A1, A3, E1)."""

import json
from dataclasses import replace

from envforge_protocol.audit import export_format
from envforge_protocol.audit.verify import verify
from tests.protocol.exports import (
    ACME,
    FORGER,
    MALLET,
    SIGNER,
    as_bytes,
    at,
    body,
    check,
    checkpoint,
    codes,
    edit,
    export,
    hashes,
)

N, EVERY = 30, 10


def test_an_honest_export_verifies() -> None:
    report = check(export(N, EVERY))
    assert report.ok
    assert report.problems == []
    assert (report.chain, report.first_seq, report.last_seq) == (ACME, 1, N)
    assert (report.events, report.omitted, report.checkpoints_verified) == (N, 0, 3)
    assert report.signed_through == N
    assert report.key_ids == [SIGNER.key_id]
    assert report.first_bad_seq is None


def test_a_filtered_export_that_starts_late_verifies() -> None:
    report = check(export(N, EVERY, start=10, omit=frozenset({11, 15, 16, 30})))
    assert report.ok
    assert (report.first_seq, report.events, report.omitted) == (11, 16, 4)


def test_another_spelling_of_the_same_json_verifies() -> None:
    lines = [json.dumps(json.loads(line), indent=None, ensure_ascii=True) + " " for line in export(N, EVERY)]
    assert check(lines).ok


def test_events_after_the_last_checkpoint_are_reported_as_unsigned() -> None:
    lines = export(N, EVERY)
    del lines[at(lines, 30, "checkpoint")]
    report = check(lines)
    assert report.ok
    assert (report.signed_through, report.last_seq) == (20, 30)


def test_e1_a_changed_event_is_one_problem() -> None:
    lines = export(N, EVERY)
    index = at(lines, 13)
    lines[index] = edit(lines[index], body=body(13) | {"kind": "runtime.slept"})
    report = check(lines)
    assert codes(report) == ["hash"]
    assert report.first_bad_seq == 13
    assert report.problems[0].line == index + 1
    assert report.signed_through == 10


def test_e1_a_changed_hash_is_one_problem() -> None:
    lines = export(N, EVERY)
    index = at(lines, 13)
    lines[index] = edit(lines[index], hash="ab" * 32)
    assert codes(check(lines)) == ["hash"]
    assert check(lines).first_bad_seq == 13


def test_e1_a_changed_event_with_its_hash_made_to_fit_is_found_at_the_next_one() -> None:
    bodies = [body(seq) for seq in range(1, N + 1)]
    bodies[12]["kind"] = "invented"
    lines, rewritten = export(N, EVERY), export(N, EVERY, bodies=bodies)
    lines[at(lines, 13)] = rewritten[at(rewritten, 13)]
    report = check(lines)
    assert codes(report) == ["hash"]
    assert report.first_bad_seq == 14
    assert "or an earlier one was and its hash made to fit" in report.problems[0].text
    assert report.signed_through == 10


def test_e1_what_a_gap_cut_loose_is_not_blamed_for_a_later_change() -> None:
    lines = export(N, EVERY)
    index = at(lines, 16)
    lines[index] = edit(lines[index], seq=18)
    assert check(lines).first_bad_seq == 16


def test_e1_a_deleted_event_is_named() -> None:
    lines = export(N, EVERY)
    del lines[at(lines, 13)]
    report = check(lines)
    assert report.first_bad_seq == 13
    assert report.problems[0].text == "event 13 is missing"


def test_e1_deleted_events_are_named() -> None:
    lines = export(N, EVERY)
    del lines[at(lines, 13) : at(lines, 16)]
    report = check(lines)
    assert report.first_bad_seq == 13
    assert report.problems[0].text == "events 13 to 15 are missing"


def test_e1_swapped_events_are_named() -> None:
    lines = export(N, EVERY)
    first, second = at(lines, 13), at(lines, 16)
    lines[first], lines[second] = lines[second], lines[first]
    assert check(lines).first_bad_seq == 13


def test_e1_an_inserted_event_is_named() -> None:
    lines = export(N, EVERY)
    lines.insert(at(lines, 13), export_format.event_line(13, bytes(32), body(13) | {"kind": "invented"}))
    assert check(lines).first_bad_seq == 13


def test_e1_rewriting_everything_after_a_change_is_caught_by_the_next_checkpoint() -> None:
    bodies = [body(seq) for seq in range(1, N + 1)]
    bodies[12]["kind"] = "runtime.slept"
    rewritten, honest = export(N, EVERY, bodies=bodies), export(N, EVERY)
    for seq in (10, 20, 30):
        rewritten[at(rewritten, seq, "checkpoint")] = honest[at(honest, seq, "checkpoint")]
    report = check(rewritten)
    assert codes(report) == ["checkpoint_hash", "checkpoint_hash"]
    assert report.first_bad_seq == 11
    assert "events 11 to 20" in report.problems[0].text
    assert report.signed_through == 10


def test_e1_rewriting_and_signing_with_another_key_is_caught() -> None:
    report = check(export(N, EVERY, signer=FORGER))
    assert report.signed_through is None
    assert codes(report) == ["signature", "signature", "signature", "unsigned"]


def test_e1_a_checkpoint_by_a_key_that_was_not_given_is_named() -> None:
    report = check(export(N, EVERY, signer=replace(FORGER, key_id="forger")))
    assert codes(report)[0] == "unknown_key"
    assert "forger" in report.problems[0].text


def test_e1_without_checkpoints_nothing_is_signed() -> None:
    lines = [line for line in export(N, EVERY) if '"type":"checkpoint"' not in line]
    assert codes(check(lines)) == ["unsigned"]
    assert check(lines, allow_unsigned=True).ok


def test_e1_a_genuine_start_does_not_sign_invented_events() -> None:
    invented = [body(seq) for seq in range(1, 11)] + [
        body(seq) | {"kind": "invented"} for seq in range(11, 16)
    ]
    lines = export(15, 100, start=10, bodies=invented)
    del lines[at(lines, 15, "checkpoint")]
    report = check(lines)
    assert report.signed_through == 10
    assert codes(report) == ["unsigned"]


def test_e1_the_start_checkpoint_is_needed_and_must_be_genuine() -> None:
    lines = export(N, EVERY, start=10)
    assert check(lines[:1] + lines[2:]).first_bad_seq == 11
    forged = edit(lines[1], hash="ab" * 32)
    assert "signature" in codes(check([lines[0], forged, *lines[2:]]))


def test_e1_a_checkpoint_at_another_place_is_named() -> None:
    lines = export(N, EVERY)
    moved = lines.pop(at(lines, 10, "checkpoint"))
    lines.insert(at(lines, 15), moved)
    report = check(lines)
    assert codes(report) == ["checkpoint_place"]
    assert report.first_bad_seq == 15


def test_e1_a_checkpoint_with_another_sequence_number_is_not_genuine() -> None:
    lines = export(N, EVERY)
    moved = lines.pop(at(lines, 10, "checkpoint"))
    lines.insert(at(lines, 15), edit(moved, seq=14))
    assert "signature" in codes(check(lines))


def test_e1_a_checkpoint_of_another_chain_is_named() -> None:
    lines, other = export(N, EVERY), export(N, EVERY, chain=MALLET)
    lines[at(lines, 10, "checkpoint")] = other[at(other, 10, "checkpoint")]
    assert codes(check(lines)) == ["other_chain"]
    assert check(lines).first_bad_seq == 10


def test_e1_a_replaced_header_chain_is_named_once() -> None:
    lines = export(N, EVERY)
    lines[0] = edit(lines[0], chain=MALLET)
    report = check(lines)
    assert not report.ok
    assert report.first_bad_seq == 1
    assert report.signed_through is None
    assert len([p for p in report.problems if "not of this file's chain" in p.text]) == 1


def test_e1_the_file_of_another_organization_is_not_taken_for_ours() -> None:
    report = check(export(N, EVERY, chain=MALLET), expect=checkpoint(20, N))
    assert codes(report) == ["other_chain"]


def test_e1_an_event_of_another_chain_is_named_even_when_linked() -> None:
    bodies = [body(seq) for seq in range(1, N + 1)]
    bodies[4]["chain"] = MALLET
    report = check(export(N, EVERY, bodies=bodies))
    assert codes(report) == ["other_chain"]
    assert report.first_bad_seq == 5


def test_e1_an_event_shown_as_left_out_needs_a_filter() -> None:
    lines = export(N, EVERY, omit=frozenset({13}))
    lines[0] = edit(lines[0], filters={})
    report = check(lines)
    assert codes(report) == ["omitted_without_filter"]
    assert report.first_bad_seq == 13


def test_e1_a_replaced_digest_is_named_with_what_it_may_have_touched() -> None:
    lines = export(N, EVERY, omit=frozenset({13, 14}))
    index = at(lines, 14, "omitted")
    lines[index] = edit(lines[index], digest="ab" * 32)
    report = check(lines)
    assert codes(report) == ["hash"]
    assert report.first_bad_seq == 13
    assert "the digest of events 13 to 14, left out here" in report.problems[0].text


def test_e1_a_cut_off_file_is_named() -> None:
    lines = export(N, EVERY)
    report = check(lines[: at(lines, 26)])
    assert codes(report) == ["cut_off"]
    assert report.first_bad_seq == 26


def test_e1_a_tail_removed_with_its_end_line_rewritten_is_found_by_a_kept_checkpoint() -> None:
    kept = checkpoint(120, 120)
    short = export(90, EVERY)
    assert check(short).ok
    report = check(short, expect=kept)
    assert report.problems[0].text == "events 91 to 120 are missing: the kept checkpoint says 120"
    assert report.first_bad_seq == 91


def test_e1_a_kept_checkpoint_that_agrees_verifies_and_signs() -> None:
    lines = [line for line in export(N, EVERY) if '"type":"checkpoint"' not in line]
    report = check(lines, expect=checkpoint(25, N))
    assert report.ok
    assert report.signed_through == 25


def test_e1_history_rewritten_by_the_signer_is_found_by_a_kept_checkpoint() -> None:
    bodies = [body(seq) for seq in range(1, N + 1)]
    bodies[12]["kind"] = "runtime.slept"
    rewritten = export(N, EVERY, bodies=bodies)
    assert check(rewritten).ok
    report = check(rewritten, expect=checkpoint(25, N))
    assert "kept elsewhere of event 25" in report.problems[0].text
    assert report.signed_through == 20


def test_e1_a_kept_checkpoint_must_be_genuine_and_within_the_file() -> None:
    forged = FORGER.sign(ACME, 20, hashes([body(n) for n in range(1, N + 1)])[20])
    assert codes(check(export(N, EVERY), expect=forged)) == ["signature"]
    assert codes(check(export(N, EVERY, start=10), expect=checkpoint(5, N))) == ["kept_before_start"]
    assert check(export(N, EVERY, start=10), expect=checkpoint(10, N)).ok
    assert codes(check(export(N, EVERY, start=10), expect=SIGNER.sign(ACME, 10, bytes(32)))) == [
        "checkpoint_hash"
    ]


def test_e1_what_the_end_line_says_must_be_so() -> None:
    lines = export(N, EVERY)
    for field, value, bad in (
        ("last_seq", 33, 31),
        ("last_seq", 29, 30),
        ("last_hash", "ab" * 32, None),
        ("events", 29, None),
        ("omitted", 1, None),
    ):
        report = check([*lines[:-1], edit(lines[-1], **{field: value})])
        assert not report.ok
        assert report.first_bad_seq == bad


def test_a_body_without_canonical_form_is_one_problem() -> None:
    lines = export(N, EVERY)
    index = at(lines, 13)
    lines[index] = lines[index].replace("user", "\\ud800")
    assert codes(check(lines)) == ["not_canonical"]
    assert check(lines).first_bad_seq == 13


def test_lines_after_the_end_an_empty_file_and_a_second_header_are_named() -> None:
    lines = export(N, EVERY)
    assert codes(check([*lines, lines[-1]])) == ["after_end"]
    assert codes(check([*lines, ""])) == ["malformed"]
    assert codes(check([])) == ["empty"]
    assert codes(check(lines[1:])) == ["no_header"]
    assert codes(check([lines[0], *lines])) == ["second_header"]


def test_problems_are_capped_and_counted() -> None:
    lines = export(60, EVERY)
    for seq in range(1, 61):
        lines[at(lines, seq)] = edit(lines[at(lines, seq)], body=body(seq) | {"kind": "changed"})
    report = check(lines)
    assert len(report.problems) == 20
    assert report.problems_not_listed == 40
    assert report.first_bad_seq == 1


def test_an_unsigned_check_without_keys_still_compares_hashes() -> None:
    lines = export(N, EVERY)
    assert not verify(as_bytes(lines), None).ok
    report = verify(as_bytes(lines), None, allow_unsigned=True)
    assert report.ok
    assert report.signed_through is None
    lines[at(lines, 10, "checkpoint")] = edit(lines[at(lines, 10, "checkpoint")], hash="ab" * 32)
    assert codes(verify(as_bytes(lines), None, allow_unsigned=True)) == ["checkpoint_hash"]


def test_a_chain_without_events_is_verified_by_a_checkpoint_of_its_beginning() -> None:
    lines = [
        export(1, 1)[0],
        export_format.checkpoint_line(checkpoint(0, 1)),
        export_format.end_line(last_seq=0, last_hash=hashes([])[0], events=0, omitted=0),
    ]
    assert check(lines).ok
    assert codes(check([lines[0], lines[2]])) == ["unsigned"]
