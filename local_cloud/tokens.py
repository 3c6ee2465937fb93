"""The product's design tokens, as the local cloud's own pages serve them: one file, the console's."""

from pathlib import Path

ADDRESS = "/tokens.css"
_FILE = Path(__file__).resolve().parents[1] / "static" / "css" / "tokens.css"


def tokens() -> bytes:
    """The style sheet."""
    return _FILE.read_bytes()
