"""Values that must be nowhere but in the store, and every place to look for them; for tests of secrets (S1, K3)."""

import base64
import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import quote

import psycopg
import redis
from django.conf import settings

LOOK_EVERY_S = 0.03
LOOK_AT_ALL_EVERY_S = 1.0
# So long after its start a process may still become another program.
YOUNG_S = 2.0
LARGEST_FILE = 64 << 20


@cache
def forms(value: str) -> frozenset[bytes]:
    """The value, and what could be made of it: encodings, and fingerprints by which it could be found out."""
    raw = value.encode()
    digests = [hashlib.new(name, raw) for name in ("md5", "sha1", "sha256", "sha512", "blake2b")]
    texts = {
        value,
        value[:24],
        quote(value, safe=""),
        json.dumps(value)[1:-1],
        raw.hex(),
        base64.b64encode(raw).decode().rstrip("="),
        *(one.hexdigest() for one in digests),
        *(base64.b64encode(one.digest()).decode().rstrip("=") for one in digests),
    }
    return frozenset(text.encode() for text in texts)


def found_in(text: str | bytes, canaries: Iterable[str]) -> bool:
    """Whether any form of one of the values stands in it."""
    raw = text.encode(errors="surrogateescape") if isinstance(text, str) else text
    return any(one in raw for value in canaries for one in forms(value))


def database(admin: psycopg.Connection) -> Iterator[tuple[str, str]]:
    """Every row of every table, as text; bytes are hexadecimal digits there."""
    tables = admin.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    for (table,) in tables:
        for (row,) in admin.execute(f"SELECT row_to_json(one)::text FROM {table} one"):
            yield table, row


def valkey() -> Iterator[tuple[str, str]]:
    """Every key of broker and cache with what it holds."""
    for url in (settings.CELERY_BROKER_URL, settings.CACHES["default"]["LOCATION"]):
        client = redis.Redis.from_url(url)
        for key in client.scan_iter(count=1000):
            held: Any = b""
            match client.type(key):
                case b"string":
                    held = client.get(key)
                case b"list":
                    # A message's body is in base64.
                    held = [_opened(one) for one in cast("list[bytes]", client.lrange(key, 0, -1))]
                case b"hash":
                    held = client.hgetall(key)
                case b"set":
                    held = client.smembers(key)
                case b"zset":
                    held = client.zrange(key, 0, -1)
            yield str(key), repr(held)
        client.close()


def _opened(message: bytes) -> bytes:
    try:
        return message + base64.b64decode(json.loads(message)["body"])
    except (ValueError, KeyError, TypeError):
        return message


def files(*roots: Path, since: float = 0.0) -> Iterator[tuple[Path, bytes]]:
    """Every regular file below these that was written since then, with its content; ones that vanish meanwhile are left out."""
    for root in roots:
        for directory, _, names in os.walk(root):
            for name in names:
                path = Path(directory) / name
                try:
                    found = path.lstat()
                    is_meant = found.st_mtime >= since and found.st_size <= LARGEST_FILE
                    if stat.S_ISREG(found.st_mode) and is_meant:
                        yield path, path.read_bytes()
                except OSError:
                    continue


class Process(NamedTuple):
    """What others may read of a process: whose it is, its arguments, its environment."""

    uid: int
    arguments: bytes
    environment: bytes

    @property
    def said(self) -> str:
        return f"{self.uid}: {self.arguments.decode(errors='replace')[:200]}"


class Watch(threading.Thread):
    """Looks at every process of this machine while a block runs, often at those that are new."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[Process] = set()
        self._ended = threading.Event()

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        young: dict[int, float] = {}
        all_at = 0.0
        while not self._ended.wait(LOOK_EVERY_S):
            now = time.monotonic()
            there = {int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()}
            young = {pid: young.get(pid, now) for pid in there}
            every = now >= all_at
            for pid, since in young.items():
                if every or now - since < YOUNG_S:
                    self._look(pid)
            if every:
                all_at = now + LOOK_AT_ALL_EVERY_S

    def _look(self, pid: int) -> None:
        place = Path(f"/proc/{pid}")
        try:
            before = (place / "cmdline").read_bytes()
            seen = Process(place.stat().st_uid, before, (place / "environ").read_bytes())
            if (place / "cmdline").read_bytes() == before:
                self.seen.add(seen)
        except OSError:
            return  # it ended
