"""What the issuer remembers, in one SQLite file that only its owner can read.

Codes, tokens, sessions and sign-in forms are stored as SHA-256 digests: the file can be lost without their being usable.
All times are Unix seconds.
"""

import hashlib
import os
import secrets
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

CODE_LIFETIME_S = 60
ACCESS_TOKEN_LIFETIME_S = 600
SESSION_LIFETIME_S = 7 * 24 * 3600
FORM_LIFETIME_S = 1800

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    kid TEXT PRIMARY KEY, place TEXT NOT NULL CHECK (place IN ('next', 'current', 'retired')),
    private_pem BLOB, public_pem BLOB NOT NULL, retired_at INTEGER);
CREATE UNIQUE INDEX IF NOT EXISTS keys_one_in_use ON keys (place) WHERE place <> 'retired';
CREATE TABLE IF NOT EXISTS forms (
    digest TEXT PRIMARY KEY, browser_digest TEXT NOT NULL, purpose TEXT NOT NULL, request TEXT NOT NULL,
    expires_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
    digest TEXT PRIMARY KEY, sid TEXT NOT NULL UNIQUE, sub TEXT NOT NULL, auth_time INTEGER NOT NULL,
    expires_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS codes (
    digest TEXT PRIMARY KEY, client_id TEXT NOT NULL, redirect_uri TEXT NOT NULL, code_challenge TEXT NOT NULL,
    nonce TEXT, scope TEXT NOT NULL, organization TEXT, sub TEXT NOT NULL, sid TEXT NOT NULL,
    auth_time INTEGER NOT NULL, expires_at INTEGER NOT NULL, used INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS access_tokens (
    digest TEXT PRIMARY KEY, code_digest TEXT NOT NULL, sid TEXT NOT NULL, sub TEXT NOT NULL, scope TEXT NOT NULL,
    organization TEXT, expires_at INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's sign-in at the issuer; `sid` is its public name, in ID tokens."""

    sid: str
    sub: str
    auth_time: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code stands for: who signed in, for which client, under which conditions."""

    client_id: str
    redirect_uri: str
    code_challenge: str
    nonce: str | None
    scope: str
    organization: str | None
    sub: str
    sid: str
    auth_time: int


@dataclass(frozen=True, slots=True)
class Access:
    """What a living access token opens."""

    sub: str
    scope: str
    organization: str | None


def digest_of(secret_text: str) -> str:
    return hashlib.sha256(secret_text.encode()).hexdigest()


def new_secret_text() -> str:
    """256 random bits, safe in addresses, cookies and headers."""
    return secrets.token_urlsafe(32)


class Store:
    """The issuer's memory. Every method is one transaction: a kill at any moment leaves a whole state."""

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = state_dir / "issuer.sqlite3"
        # SQLite gives its side files the mode of the main file, so the main file comes first and closed.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        self.db = sqlite3.connect(path)
        self.db.execute("PRAGMA secure_delete = ON")
        self.db.executescript(_SCHEMA)

    def close(self) -> None:
        self.db.close()

    @staticmethod
    def now() -> int:
        return int(time.time())

    def forget_expired(self) -> None:
        """Drop what nobody can use any more. A used code stays while its access token could live (RFC 6749, 4.1.2)."""
        now = self.now()
        with self.db:
            self.db.execute("DELETE FROM forms WHERE expires_at <= ?", (now,))
            self.db.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))
            self.db.execute("DELETE FROM access_tokens WHERE expires_at <= ?", (now,))
            self.db.execute("DELETE FROM codes WHERE expires_at <= ?", (now - ACCESS_TOKEN_LIFETIME_S,))

    def put_form(self, *, browser: str, purpose: str, request: str) -> str:
        """Remember what a form shown to `browser` is about; the returned text goes into the form."""
        self.forget_expired()
        form = new_secret_text()
        with self.db:
            self.db.execute(
                "INSERT INTO forms VALUES (?, ?, ?, ?, ?)",
                (digest_of(form), digest_of(browser), purpose, request, self.now() + FORM_LIFETIME_S),
            )
        return form

    def take_form(self, form: str, *, browser: str, purpose: str) -> str | None:
        """The request behind a form, once, and only for the browser it was shown to."""
        with self.db:
            row = self.db.execute(
                "DELETE FROM forms WHERE digest = ? AND browser_digest = ? AND purpose = ? AND expires_at > ?"
                " RETURNING request",
                (digest_of(form), digest_of(browser), purpose, self.now()),
            ).fetchone()
        return None if row is None else str(row[0])

    def open_session(self, sub: str, *, replacing: str | None) -> tuple[str, Session]:
        """Begin a session and return its cookie value with it; the one the browser had before ends."""
        cookie, session = new_secret_text(), Session(sid=new_secret_text(), sub=sub, auth_time=self.now())
        with self.db:
            if replacing is not None:
                self.db.execute("DELETE FROM sessions WHERE digest = ?", (digest_of(replacing),))
            self.db.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
                (
                    digest_of(cookie),
                    session.sid,
                    sub,
                    session.auth_time,
                    session.auth_time + SESSION_LIFETIME_S,
                ),
            )
        return cookie, session

    def session(self, cookie: str | None) -> Session | None:
        if cookie is None:
            return None
        row = self.db.execute(
            "SELECT sid, sub, auth_time FROM sessions WHERE digest = ? AND expires_at > ?",
            (digest_of(cookie), self.now()),
        ).fetchone()
        return None if row is None else Session(*row)

    def end_session(self, sid: str) -> None:
        """End a session, with the codes and access tokens that came from it."""
        with self.db:
            for table in ("sessions", "codes", "access_tokens"):
                self.db.execute(f"DELETE FROM {table} WHERE sid = ?", (sid,))  # noqa: S608 - names from the line above

    def put_code(self, grant: Grant) -> str:
        self.forget_expired()
        code = new_secret_text()
        with self.db:
            self.db.execute(
                "INSERT INTO codes (digest, client_id, redirect_uri, code_challenge, nonce, scope, organization, sub,"
                " sid, auth_time, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(
                        digest_of(code),
                        grant.client_id,
                        grant.redirect_uri,
                        grant.code_challenge,
                        grant.nonce,
                    ),
                    *(grant.scope, grant.organization, grant.sub, grant.sid, grant.auth_time),
                    self.now() + CODE_LIFETIME_S,
                ),
            )
        return code

    def grant(self, code: str) -> Grant | None:
        """What an unexpired, unused code stands for. A used one costs its access token its life (RFC 6749, 4.1.2)."""
        digest = digest_of(code)
        row = self.db.execute(
            "SELECT used, expires_at, client_id, redirect_uri, code_challenge, nonce, scope, organization, sub, sid,"
            " auth_time FROM codes WHERE digest = ?",
            (digest,),
        ).fetchone()
        if row is None:
            return None
        used, expires_at, *facts = row
        if used:
            with self.db:
                self.db.execute("DELETE FROM access_tokens WHERE code_digest = ?", (digest,))
            return None
        return Grant(*facts) if expires_at > self.now() else None

    def redeem(self, code: str, grant: Grant) -> str | None:
        """Use up a code and return its access token; None if somebody else was quicker."""
        token, digest = new_secret_text(), digest_of(code)
        with self.db:
            changed = self.db.execute("UPDATE codes SET used = 1 WHERE digest = ? AND used = 0", (digest,))
            if changed.rowcount != 1:
                return None
            self.db.execute(
                "INSERT INTO access_tokens VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(digest_of(token), digest, grant.sid, grant.sub, grant.scope, grant.organization),
                    self.now() + ACCESS_TOKEN_LIFETIME_S,
                ),
            )
        return token

    def access(self, token: str) -> Access | None:
        row = self.db.execute(
            "SELECT sub, scope, organization FROM access_tokens WHERE digest = ? AND expires_at > ?",
            (digest_of(token), self.now()),
        ).fetchone()
        return None if row is None else Access(*row)
