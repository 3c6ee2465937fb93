"""The format stays what `docs/audit-format.md` says: a second verifier, written from that page alone, agrees.

`golden.jsonl` is an export of the first version of the format. It must verify for ever.
"""

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from envforge_protocol.audit.checkpoints import load_keys
from envforge_protocol.audit.verify import verify
from tests.protocol.exports import SIGNER, as_bytes, export

GOLDEN = Path(__file__).with_name("golden.jsonl").read_bytes().splitlines(keepends=True)
GOLDEN_PEM = Path(__file__).with_name("golden.pem").read_text()


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def jcs(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def verified_by_the_page(lines: list[bytes], pem: str) -> int:
    """Follow the page's steps on an honest file from genesis; returns how many checkpoints verified."""
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    header, *records = map(json.loads, lines)
    assert (header["type"], header["format"], header["start_seq"]) == ("header", "envforge-audit/1", 0)
    seq, last, checkpoints = 0, sha256(b"envforge.audit.genesis.v1\n", header["chain"].encode()), 0
    counts = {"event": 0, "omitted": 0}
    for record in records[:-1]:
        if record["type"] == "checkpoint":
            assert (record["seq"], record["hash"], record["chain"]) == (seq, last.hex(), header["chain"])
            signed = {name: record[name] for name in ("chain", "seq", "hash", "at", "key_id")}
            signature = base64.b64decode(record["signature"])
            key.verify(signature, b"envforge.audit.checkpoint.v1\n" + jcs(signed), ec.ECDSA(SHA256()))
            checkpoints += 1
            continue
        seq += 1
        counts[record["type"]] += 1
        assert record["seq"] == seq
        if record["type"] == "event":
            digest = sha256(b"envforge.audit.event.v1\n", jcs(record["body"]))
        else:
            digest = bytes.fromhex(record["digest"])
        last = sha256(b"envforge.audit.link.v1\n", last, seq.to_bytes(8, "big"), digest)
        assert record["type"] == "omitted" or record["hash"] == last.hex()
    assert records[-1] == {
        "type": "end",
        "last_seq": seq,
        "last_hash": last.hex(),
        "events": counts["event"],
        "omitted": counts["omitted"],
    }
    return checkpoints


def test_the_golden_export_verifies() -> None:
    report = verify(GOLDEN, load_keys(GOLDEN_PEM))
    assert report.ok, report.problems
    assert (report.events, report.omitted, report.checkpoints_verified, report.signed_through) == (4, 2, 2, 6)


def test_the_golden_export_verifies_by_the_page_alone() -> None:
    assert verified_by_the_page(GOLDEN, GOLDEN_PEM) == 2


def test_what_is_written_today_verifies_by_the_page_alone() -> None:
    lines = as_bytes(export(30, 10, omit=frozenset({1, 9, 10, 30})))
    assert verified_by_the_page(lines, SIGNER.pem) == 3
