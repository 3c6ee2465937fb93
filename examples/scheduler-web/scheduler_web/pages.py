"""The files of the pages, read once when the service starts."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent / "pages"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INVITATION = re.compile(r"/invitation/[\w-]{20,1000}")


@dataclass(frozen=True)
class Page:
    """A file as it is sent."""

    content_type: str
    body: bytes
    etag: str


class Pages:
    """The pages and assets by their address."""

    def __init__(self, root: Path = ROOT) -> None:
        self._found = {
            f"/{path.relative_to(root).as_posix()}": _page(path)
            for path in root.rglob("*")
            if path.suffix in TYPES
        }

    def find(self, path: str) -> tuple[str, Page] | None:
        """How the log names an address, and its file."""
        if path == "/":
            return "/", self._found["/day.html"]
        if _INVITATION.fullmatch(path):
            return "/invitation/…", self._found["/invitation.html"]
        found = self._found.get(path) if path.startswith("/assets/") else None
        return None if found is None else (path, found)


def _page(path: Path) -> Page:
    body = path.read_bytes()
    return Page(TYPES[path.suffix], body, f'"{hashlib.sha256(body).hexdigest()[:20]}"')
