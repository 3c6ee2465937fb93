"""Lines that are not of the format, checkpoints and key documents that cannot be used (A1, A3)."""

import json

import pytest

from envforge_protocol.audit import export_format
from envforge_protocol.audit.checkpoints import BadKeys, BadSignature, Checkpoint, load_keys
from envforge_protocol.audit.verify import verify
from tests.protocol.exports import ACME, FORGER, KEYS, SIGNER, as_bytes, check, checkpoint, codes, export

N, EVERY = 30, 10


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"type":"event","seq":31,"seq":31,"hash":"","body":{}}', 'field "seq": stands there twice'),
        ('{"type":"event","seq":31,"hash":"%s","body":{"a":{"b":1,"\\u0062":2}}}' % ("0" * 64), "twice"),
        ('{"type":"event","seq":31,"hash":"%s","body":{}}' % ("AB" * 32), "lower-case"),
        ('{"type":"event","seq":31,"hash":" %s","body":{}}' % ("ab" * 32), "lower-case"),
        ('{"type":"event","seq":31,"hash":"%s","body":{"n":1.0}}' % ("ab" * 32), "integers"),
        ('{"type":"event","seq":31,"hash":"%s","body":{"n":NaN}}' % ("ab" * 32), "integers"),
        ('{"type":"event","seq":31,"hash":"","body":{"n":%s}}' % ("9" * 5000), "JSON"),
        ('{"type":"event","seq":true,"hash":"%s","body":{}}' % ("ab" * 32), 'field "seq"'),
        ('{"type":"event","seq":31,"hash":"%s"}' % ("ab" * 32), 'field "body": is missing'),
        ('{"type":"omitted","seq":31,"digest":"%s","why":1}' % ("ab" * 32), 'field "why": does not belong'),
        ('{"type":"note"}', "is not one of"),
        ('{"type":["event"]}', "is not one of"),
        ("{}", 'field "type": is missing'),
        ("[]", "not a JSON object"),
        ("", "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('"' + "x" * 1024 * 1024 + '"', "longer than 1 MiB"),
        ('{"type":"header"}', "is missing"),
        ('\ufeff{"type":"end"}', "is not JSON"),
        ('{"\x1b[31m":1,"type":"end"}', "is not JSON"),
        ('{"\\u001b[31m":1,"type":"end","last_seq":1,"last_hash":"","events":1,"omitted":1}', "\\x1b[31m"),
    ],
)
def test_a_malformed_line_is_named_with_its_number_and_field(line: str, words: str) -> None:
    lines = export(N, EVERY)
    index = len(lines) - 1
    report = check([*lines[:index], line, *lines[index:]])
    assert codes(report) == ["malformed"]
    assert report.problems[0].text.startswith(f"line {index + 1}")
    assert words in report.problems[0].text
    assert report.problems[0].text.isprintable()
    assert report.first_bad_seq == N + 1


def test_bytes_that_are_not_utf8_are_named() -> None:
    lines = as_bytes(export(N, EVERY))
    lines[3] = lines[3].replace(b"Alice", b"\xff")
    report = verify(lines, KEYS)
    assert report.problems[0].text.startswith("line 4: is not UTF-8")
    utf16 = [line.decode().encode("utf-16") for line in as_bytes(export(N, EVERY))]
    assert codes(verify(utf16, KEYS))[0] == "malformed"


def test_an_endless_line_is_read_no_further_than_needed() -> None:
    class Endless:
        taken = 0

        def readline(self, size: int) -> bytes:
            self.taken += size
            return b"x" * size

    endless = Endless()
    report = verify(export_format.bounded_lines(endless), KEYS)  # type: ignore[arg-type]
    assert "longer than 1 MiB" in report.problems[0].text
    assert endless.taken < 2 * export_format.MAX_LINE_BYTES


def test_checkpoints_survive_json_and_refuse_another_key() -> None:
    kept = checkpoint(7, 10)
    assert Checkpoint.from_json(json.loads(json.dumps(kept.to_json()))) == kept
    kept.verify(SIGNER.key.public_key())
    with pytest.raises(BadSignature):
        kept.verify(FORGER.key.public_key())


def test_golden_checkpoint_bytes() -> None:
    kept = Checkpoint(ACME, 7, bytes(range(32)), "2026-01-31T09:00:00.000001Z", "k", b"")
    assert kept.signed_bytes() == (
        b"envforge.audit.checkpoint.v1\n"
        b'{"at":"2026-01-31T09:00:00.000001Z","chain":"11111111-1111-4111-8111-111111111111",'
        b'"hash":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","key_id":"k","seq":7}'
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "{",
        "{}",
        '{"keys": []}',
        '{"keys": [1]}',
        '{"keys": [{"key_id": "a", "pem": "x"}]}',
        json.dumps({"keys": [{"key_id": "a", "pem": SIGNER.pem}] * 2}),
    ],
)
def test_key_documents_that_cannot_be_used_are_refused(text: str) -> None:
    with pytest.raises(BadKeys):
        load_keys(text)


def test_one_pem_serves_any_key_id() -> None:
    assert verify(as_bytes(export(N, EVERY)), load_keys(SIGNER.pem)).ok
