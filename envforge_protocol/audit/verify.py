"""Checks an audit export with nothing but the file and public keys: no server, constant memory (A1, E1)."""

from collections.abc import Iterable

from envforge_protocol.audit.canonical import NotCanonical, digest, genesis, link
from envforge_protocol.audit.checkpoints import BadSignature, Checkpoint, Keys
from envforge_protocol.audit.export_format import (
    CheckpointLine,
    End,
    Event,
    FormatError,
    Header,
    Omitted,
    Record,
    printable,
    read,
)
from envforge_protocol.audit.report import Problem, Report

__all__ = ["Problem", "Report", "verify"]


def verify(
    lines: Iterable[bytes],
    keys: Keys | None,
    expect: Checkpoint | None = None,
    *,
    allow_unsigned: bool = False,
) -> Report:
    """Check an export line by line; the report says what is wrong, and never raises for what a file holds.

    Args:
        lines: the file's lines; give `export_format.bounded_lines(file)` to keep memory bounded.
        keys: the control plane's public keys. None is for `allow_unsigned` alone: no signature is checked.
        expect: a checkpoint kept elsewhere. The file must reach it and agree with it.
        allow_unsigned: whether a file with no verified checkpoint may be ok.
    """
    verifier = _Verifier(keys, expect)
    try:
        for record in read(lines):
            if not verifier.take(record):
                break
    except FormatError as error:
        verifier.malformed(error)
    return verifier.finish(allow_unsigned=allow_unsigned)


class _Verifier:
    """The state of one verification.

    `_tips` are the hashes the chain may have after `_last`: one while all is well, none where missing events
    leave it open, two after a contradiction, when either side of it may be the true one. The next line
    decides between them, so that one changed event is one problem and not one for every event after it.
    """

    def __init__(self, keys: Keys | None, expect: Checkpoint | None) -> None:
        self.report = Report()
        self._add = self.report.add
        self._keys = keys
        self._expect = expect
        self._compared = expect is None
        self._header: Header | None = None
        self._end: End | None = None
        self._stopped = False
        self._start = 0
        self._last = 0
        self._tips: list[bytes] = []
        self._needs_start = False
        # The last sequence number whose hash the file itself or a signature confirms.
        self._confirmed = 0
        # Since here the events follow from one another: what a checkpoint contradicts lies no earlier.
        self._linked_from = 0
        self._said_chain = False
        self._last_checkpoint: Checkpoint | None = None
        self._expect_signed = False
        # The last sequence number at which a genuine checkpoint and the chain agree.
        self._agreed = -1

    def take(self, record: Record) -> bool:
        """Check the next record; False when the rest cannot be checked."""
        if self._end is not None:
            self._add(None, record.line, "after_end", f"line {record.line} stands after the end line")
            return self._stop()
        if self._header is None:
            if isinstance(record, Header):
                self._take_header(record)
                return True
            self._add(None, record.line, "no_header", "the first line is not a header")
            return self._stop()
        if self._needs_start:
            self._take_start(record)
        elif isinstance(record, CheckpointLine):
            self._take_checkpoint(record)
        if isinstance(record, Event | Omitted):
            self._take_event(record)
        elif isinstance(record, End):
            self._take_end(record)
        elif isinstance(record, Header):
            self._add(self._last + 1, record.line, "second_header", f"line {record.line} is a second header")
        return True

    def malformed(self, error: FormatError) -> None:
        """Note a line that cannot be read. What follows it is not checked."""
        # A checkpoint stands beside its event, every other line in the place of the next.
        seq = self._last if error.seq == self._last else self._last + 1
        known = self._header is not None and self._end is None
        self._add(
            seq if known else None, error.line, "malformed", f"{error}; the rest of the file was not checked"
        )
        self._stop()

    def finish(self, *, allow_unsigned: bool) -> Report:
        """The report, once there are no more lines."""
        report = self.report
        if self._header is None and not self._stopped:
            self._add(None, None, "empty", "the file is empty")
            self._stop()
        elif self._end is None and not self._stopped:
            self._add(
                self._last + 1,
                None,
                "cut_off",
                f"the file has no end line: it was cut off after event {self._last}, and what followed is missing",
            )
        self._finish_expected()
        covered = self._agreed >= (report.first_seq or 0)
        if not covered and not allow_unsigned and not self._stopped:
            words = "nothing is signed: no checkpoint that could be verified covers an event of this file"
            self._add(None, None, "unsigned", words)
        report.ok = not report.problems
        return report

    def _take_header(self, header: Header) -> None:
        report = self.report
        self._header = header
        self._start = self._last = self._confirmed = header.start_seq
        report.chain, report.name = header.chain, printable(header.name)
        expect = self._expect
        if expect is not None:
            self._expect_signed = self._check_signature(expect, None)
            if expect.chain != header.chain:
                self._compared = True
                self._add(
                    None,
                    header.line,
                    "other_chain",
                    f"the file is of chain {header.chain}, the kept checkpoint of {expect.chain}",
                )
        if header.start_seq == 0:
            self._tips = [genesis(header.chain)]
            self._compare_expected()
        else:
            self._needs_start = True

    def _take_start(self, record: Record) -> None:
        self._needs_start = False
        if isinstance(record, CheckpointLine) and record.checkpoint.seq == self._start:
            self._tips = [record.checkpoint.hash]
            self._take_checkpoint(record)
        else:
            self._add(
                self._start + 1,
                record.line,
                "no_start",
                f"the file starts after event {self._start}, but line {record.line} is not the checkpoint of that event",
            )
        self._compare_expected()

    def _take_event(self, record: Event | Omitted) -> None:
        report, expected = self.report, self._last + 1
        if record.seq < expected:
            self._add(
                expected,
                record.line,
                "out_of_order",
                f"line {record.line} is event {record.seq}, where event {expected} should be",
            )
            return
        if record.seq > expected:
            self._add(expected, record.line, "missing", f"{_span(expected, record.seq - 1)} missing")
            self._tips = []
            self._confirmed = record.seq - 1
            self._linked_from = record.seq
        if report.first_seq is None:
            report.first_seq = record.seq
        self._last = report.last_seq = record.seq
        self._last_checkpoint = None
        if isinstance(record, Event):
            report.events += 1
            self._chain_event(record)
        else:
            report.omitted += 1
            self._chain_omitted(record)
        self._compare_expected()

    def _chain_omitted(self, record: Omitted) -> None:
        self._tips = [link(tip, record.seq, record.digest) for tip in self._tips]
        if self._header is not None and not self._header.filters:
            self._add(
                record.seq,
                record.line,
                "omitted_without_filter",
                f"event {record.seq} is left out, though the header names no filter",
            )

    def _chain_event(self, record: Event) -> None:
        self._check_body_chain(record)
        try:
            body = digest(record.body)
        except NotCanonical as error:
            where = printable(str(error))
            self._add(
                record.seq, record.line, "not_canonical", f"event {record.seq} has no canonical form: {where}"
            )
            self._tips, self._confirmed, self._linked_from = [record.hash], record.seq, record.seq
            return
        tips = [link(tip, record.seq, body) for tip in self._tips]
        if not tips or record.hash in tips:
            self._tips = [record.hash]
        else:
            self._add(self._confirmed + 1, record.line, "hash", self._hash_words(record))
            self._tips, self._linked_from = [record.hash, tips[0]], record.seq
        self._confirmed = record.seq

    def _hash_words(self, record: Event) -> str:
        kind, at = (printable(str(record.body.get(name, "?")), 60) for name in ("kind", "at"))
        first, last = self._confirmed + 1, record.seq - 1
        others = f"the digest of {_range(first, last)}, left out here, was, " if first <= last else ""
        return (
            f"event {record.seq} ({kind}, {at}) does not follow from the events before it: "
            f"it was changed, or {others}or an earlier one was and its hash made to fit"
        )

    def _check_body_chain(self, record: Event) -> None:
        if self.report.chain == record.body.get("chain") or self._said_chain:
            return
        self._said_chain = True  # once: a replaced header would repeat it for every event
        self._add(
            record.seq,
            record.line,
            "other_chain",
            f"event {record.seq} is not of this file's chain; later ones like it are not listed",
        )

    def _take_checkpoint(self, record: CheckpointLine) -> None:
        checkpoint = record.checkpoint
        if checkpoint.seq != self._last:
            self._add(
                self._last + 1,
                record.line,
                "checkpoint_place",
                f"the checkpoint of event {checkpoint.seq} stands after event {self._last}",
            )
            return
        if checkpoint == self._last_checkpoint:
            self._add(
                self._last,
                record.line,
                "checkpoint_twice",
                f"the checkpoint of event {checkpoint.seq} stands there twice",
            )
            return
        self._last_checkpoint = checkpoint
        signed = self._check_signature(checkpoint, record.line)
        if checkpoint.chain != self.report.chain:
            self._add(
                self._last,
                record.line,
                "other_chain",
                f"the checkpoint of event {checkpoint.seq} is of another chain, {checkpoint.chain}",
            )
            return
        if signed or self._keys is None:
            # What nobody vouches for is no evidence against the events either.
            self._anchor(checkpoint, record.line, signed=signed)

    def _check_signature(self, checkpoint: Checkpoint, line: int | None) -> bool:
        """Whether a checkpoint's signature is verified; says so if not, unless no keys were given at all."""
        if self._keys is None:
            return False
        which = f"the checkpoint of event {checkpoint.seq}" if line else "the kept checkpoint"
        seq = self._last if line else None
        key = self._keys.get(checkpoint.key_id)
        if key is None:
            name = printable(checkpoint.key_id)
            self._add(
                seq,
                line,
                "unknown_key",
                f"{which} is signed with the key {name}, which is not among the keys given",
            )
            return False
        try:
            checkpoint.verify(key)
        except BadSignature:
            self._add(seq, line, "signature", f"{which} is not genuine: its signature does not verify")
            return False
        return True

    def _compare_expected(self) -> None:
        if self._expect is not None and not self._compared and self._expect.seq == self._last:
            self._compared = True
            self._anchor(self._expect, None, signed=self._expect_signed)

    def _anchor(self, checkpoint: Checkpoint, line: int | None, *, signed: bool) -> None:
        """Hold the chain against a checkpoint of its last sequence number."""
        report, seq = self.report, checkpoint.seq
        if self._tips and checkpoint.hash not in self._tips:
            first = max(self._start + 1, self._agreed + 1, self._linked_from)
            which = "checkpoint" if line else "checkpoint kept elsewhere"
            doubt = f"one of the {_range(first, seq)} was changed and the hashes after it rewritten"
            words = doubt if first <= seq else "the file starts from another hash"
            self._add(
                min(first, seq),
                line,
                "checkpoint_hash",
                f"the chain does not agree with the {which} of event {seq}: {words}",
            )
            if signed:
                self._tips = [self._tips[0], checkpoint.hash]
            return
        if not signed:
            return
        self._tips, self._confirmed, self._agreed = [checkpoint.hash], seq, seq
        if line is not None:
            report.checkpoints_verified += 1
        if checkpoint.key_id not in report.key_ids:
            report.key_ids.append(checkpoint.key_id)
        if report.first_bad_seq is None or report.first_bad_seq > seq:
            report.signed_through = seq

    def _take_end(self, end: End) -> None:
        report = self.report
        self._end = end
        if end.last_seq > self._last:
            words = f"{_span(self._last + 1, end.last_seq)} missing: the end line says {end.last_seq}"
            self._add(self._last + 1, end.line, "missing_tail", words)
            return
        if end.last_seq < self._last:
            words = f"the end line says that event {end.last_seq} is the last, but {self._last} is"
            self._add(end.last_seq + 1, end.line, "surplus_tail", words)
            return
        if self._tips and end.last_hash not in self._tips:
            seq = self._confirmed + 1 if self._confirmed < self._last else None
            self._add(
                seq, end.line, "end_hash", f"the end line's hash is not the chain's after event {self._last}"
            )
        for what, said, found in (
            ("events", end.events, report.events),
            ("omitted", end.omitted, report.omitted),
        ):
            if said != found:
                words = f'the end line counts {said} under "{what}", but the file has {found}'
                self._add(None, end.line, "end_count", words)

    def _finish_expected(self) -> None:
        expect = self._expect
        if self._compared or expect is None or self._header is None or self._stopped:
            return
        if expect.seq > self._last:
            words = f"{_span(self._last + 1, expect.seq)} missing: the kept checkpoint says {expect.seq}"
            self._add(self._last + 1, None, "missing_tail", words)
        elif expect.seq < self._start:
            words = f"the file starts after event {self._start} and cannot be held against the kept checkpoint of {expect.seq}"
            self._add(None, None, "kept_before_start", f"{words}; export from {expect.seq} or earlier")

    def _stop(self) -> bool:
        self._stopped = True
        return False


def _range(first: int, last: int) -> str:
    return f"event {first}" if first == last else f"events {first} to {last}"


def _span(first: int, last: int) -> str:
    return f"{_range(first, last)} {'is' if first == last else 'are'}"
