"""Synthetic audit chains, signed with real keys, and exports of them."""

import json
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from envforge_protocol.audit import export_format
from envforge_protocol.audit.canonical import digest, genesis, link
from envforge_protocol.audit.checkpoints import Checkpoint, Keys, load_keys
from envforge_protocol.audit.verify import Report, verify

ACME = "11111111-1111-4111-8111-111111111111"
MALLET = "22222222-2222-4222-8222-222222222222"
KEY_ID = "audit-2026-01"


@dataclass(frozen=True)
class Signer:
    key: ec.EllipticCurvePrivateKey
    key_id: str = KEY_ID

    def sign(self, chain: str, seq: int, hash_value: bytes) -> Checkpoint:
        at = f"2026-01-01T00:{seq // 60 % 60:02}:{seq % 60:02}.000000Z"
        unsigned = Checkpoint(chain, seq, hash_value, at, self.key_id, b"")
        return replace(unsigned, signature=self.key.sign(unsigned.signed_bytes(), ec.ECDSA(SHA256())))

    @property
    def pem(self) -> str:
        public = self.key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


SIGNER = Signer(ec.generate_private_key(ec.SECP256R1()))
FORGER = Signer(ec.generate_private_key(ec.SECP256R1()))
KEY_DOCUMENT = json.dumps({"keys": [{"key_id": KEY_ID, "pem": SIGNER.pem}]})
KEYS: Keys = load_keys(KEY_DOCUMENT)


def body(seq: int, chain: str = ACME) -> dict[str, object]:
    return {
        "chain": chain,
        "id": f"event-{seq}",
        "at": f"2026-01-01T00:00:{seq % 60:02}.000000Z",
        "kind": "runtime.wake_requested" if seq % 3 else "dev_link.issued",
        "actor": {"kind": "user", "label": "Alice Ö. 🚀"},
        "target": {"kind": "workspace", "label": f"w{seq}"},
        "facts": {"count": seq, "dedicated": seq % 2 == 0, "tags": ["a", None]},
        "request_id": f"request-{seq}",
    }


def hashes(bodies: list[dict[str, object]], chain: str = ACME) -> list[bytes]:
    """The chain's hash after each event, with the hash before the first at index 0."""
    chained = [genesis(chain)]
    for seq, event in enumerate(bodies, start=1):
        chained.append(link(chained[-1], seq, digest(event)))
    return chained


def checkpoint(seq: int, events: int, chain: str = ACME, signer: Signer = SIGNER) -> Checkpoint:
    """The genuine checkpoint of one sequence number of the chain that `export` writes."""
    bodies = [body(n, chain) for n in range(1, events + 1)]
    return signer.sign(chain, seq, hashes(bodies, chain)[seq])


def export(
    events: int,
    every: int,
    *,
    start: int = 0,
    omit: frozenset[int] = frozenset(),
    chain: str = ACME,
    signer: Signer = SIGNER,
    bodies: list[dict[str, object]] | None = None,
) -> list[str]:
    """An export of a chain of `events` events with a checkpoint at each multiple of `every` and at the end."""
    bodies = bodies or [body(n, chain) for n in range(1, events + 1)]
    chained = hashes(bodies, chain)
    exported_at = "2026-02-01T00:00:00.000000Z"
    filters = {"kind": "runtime.*"} if omit else {}
    lines = [
        export_format.header_line(
            chain=chain, name="acme", exported_at=exported_at, start_seq=start, filters=filters
        )
    ]
    if start:
        lines.append(export_format.checkpoint_line(signer.sign(chain, start, chained[start])))
    left_out = 0
    for seq in range(start + 1, events + 1):
        event = bodies[seq - 1]
        if seq in omit:
            left_out += 1
            lines.append(export_format.omitted_line(seq, digest(event)))
        else:
            lines.append(export_format.event_line(seq, chained[seq], event))
        if seq % every == 0 or seq == events:
            lines.append(export_format.checkpoint_line(signer.sign(chain, seq, chained[seq])))
    lines.append(
        export_format.end_line(
            last_seq=events, last_hash=chained[events], events=events - start - left_out, omitted=left_out
        )
    )
    return lines


def as_bytes(lines: list[str]) -> list[bytes]:
    return [line.encode() + b"\n" for line in lines]


def check(lines: list[str], expect: Checkpoint | None = None, *, allow_unsigned: bool = False) -> Report:
    return verify(as_bytes(lines), KEYS, expect, allow_unsigned=allow_unsigned)


def at(lines: list[str], seq: int, kind: str = "event") -> int:
    """The index of the line of that type and sequence number."""
    records = [json.loads(line) for line in lines]
    return next(i for i, record in enumerate(records) if record["type"] == kind and record.get("seq") == seq)


def edit(line: str, **fields: object) -> str:
    return json.dumps({**json.loads(line), **fields})


def codes(report: Report) -> list[str]:
    return [problem.code for problem in report.problems]
