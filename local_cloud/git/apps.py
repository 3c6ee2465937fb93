"""Apps that may have credentials minted, as GitHub knows them: each proves itself with a signed token (RS256) that lives for minutes.

    DIR/apps/CLIENT_ID.json   {"owner": whose repositories it reads, "public_key": PEM}

The private half of an app's key is wherever its owner keeps it, for the seeded one in the local KMS.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jwt

from local_cloud.git.names import OWNER

CLIENT_ID = r"[A-Za-z0-9._-]{1,60}"
# As long as GitHub lets an app's token live, and how far clocks may be apart.
LONGEST_S = 600
APART_S = 60


@dataclass(frozen=True)
class App:
    """A registered app; the installation is called as its owner."""

    client_id: str
    owner: str
    public_key: str


class Apps:
    """The apps of one home; one that is registered while the host runs counts at once."""

    def __init__(self, directory: Path, now: Callable[[], float] = time.time) -> None:
        self._directory = directory / "apps"
        self._now = now

    def register(self, app: App) -> None:
        """Let an app in, in place of an earlier one with its client id."""
        if not re.fullmatch(CLIENT_ID, app.client_id) or not re.fullmatch(OWNER, app.owner):
            raise ValueError("A client id is letters, digits and ._-; an owner is one of a repository.")
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{app.client_id}.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps({"owner": app.owner, "public_key": app.public_key}))
        partial.replace(path)

    def of_token(self, token: str) -> App | None:
        """The app that signed this token a moment ago, or None."""
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            app = self._find(str(issuer))
            if app is None:
                return None
            said = jwt.decode(
                token,
                app.public_key,
                algorithms=["RS256"],
                options={"require": ["iat", "exp", "iss"], "verify_exp": False, "verify_iat": False},
            )
            began, ends = int(said["iat"]), int(said["exp"])
        except (jwt.InvalidTokenError, ValueError, TypeError):
            return None
        now = self._now()
        timely = began <= now + APART_S and now < ends <= now + LONGEST_S + APART_S
        return app if timely and ends - began <= LONGEST_S + APART_S else None

    def _find(self, client_id: str) -> App | None:
        if not re.fullmatch(CLIENT_ID, client_id) or client_id.startswith("."):
            return None
        try:
            said = json.loads((self._directory / f"{client_id}.json").read_text())
        except FileNotFoundError:
            return None
        return App(client_id, said["owner"], said["public_key"])
