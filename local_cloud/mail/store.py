"""What the catcher keeps: the newest messages, in one SQLite file that only its owner can read."""

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

KEPT = 1_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, received_at TEXT NOT NULL, sender TEXT NOT NULL,
    recipients TEXT NOT NULL, content BLOB NOT NULL);
"""
_COLUMNS = "number, received_at, sender, recipients, content"


@dataclass(frozen=True, slots=True)
class Caught:
    """One message as it came: the envelope, and the bytes after DATA. `received_at` is RFC 3339 in UTC."""

    number: int
    received_at: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes


class Store:
    """Keeps the newest `kept` messages over restarts; older ones make room."""

    def __init__(self, directory: Path, *, kept: int = KEPT) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "mail.sqlite3"
        # Messages carry links that let their reader in.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._kept = kept
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def add(self, *, sender: str, recipients: Sequence[str], content: bytes) -> int:
        """Keep a message and answer its number; it is on disk when this returns."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            cursor = self._db.execute(
                "INSERT INTO messages (received_at, sender, recipients, content) VALUES (?, ?, ?, ?)",
                (now, sender, json.dumps(list(recipients)), content),
            )
            number = int(cursor.lastrowid or 0)
            self._db.execute("DELETE FROM messages WHERE number <= ?", (number - self._kept,))
        return number

    def newest(self, limit: int, *, recipient: str = "") -> list[Caught]:
        """The newest messages first; with a recipient, those to that address alone."""
        condition = (
            "WHERE EXISTS (SELECT 1 FROM json_each(recipients) WHERE value = ? COLLATE NOCASE)"
            if recipient
            else ""
        )
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM messages {condition} ORDER BY number DESC LIMIT ?",  # noqa: S608 - constants
            (*([recipient] if recipient else []), limit),
        )
        return [_caught(row) for row in rows]

    def one(self, number: int) -> Caught | None:
        row = self._db.execute(f"SELECT {_COLUMNS} FROM messages WHERE number = ?", (number,)).fetchone()  # noqa: S608 - constants
        return _caught(row) if row else None


def _caught(row: tuple[int, str, str, str, bytes]) -> Caught:
    number, received_at, sender, recipients, content = row
    return Caught(number, received_at, sender, tuple(json.loads(recipients)), content)
