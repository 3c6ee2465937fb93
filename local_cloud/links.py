"""Finds relative links in the documents that lead nowhere. Run: python -m local_cloud.links"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from local_cloud.home import REPOSITORY

LINK = re.compile(
    r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE
)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:|^//", re.IGNORECASE)


def documents(root: Path) -> list[Path]:
    """The documents whose links are checked."""
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("deploy/**/*.md")])


def dead_links(root: Path) -> Iterator[str]:
    """One line for each relative link or anchor that leads nowhere: file, line, target."""
    for document in documents(root):
        text = document.read_text()
        # Blanked, not removed, so that line numbers stay right.
        prose = CODE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)
        for link in LINK.finditer(prose):
            target = link.group(1) or link.group(2)
            if ELSEWHERE.match(target):
                continue
            path, _, fragment = unquote(target).partition("#")
            place = (
                (root / path.lstrip("/") if path.startswith("/") else document.parent / path)
                if path
                else document
            )
            where = f"{document.relative_to(root)}:{prose.count(chr(10), 0, link.start()) + 1}"
            if not place.exists():
                yield f"{where}: {target} does not exist"
            elif fragment and place.suffix == ".md" and fragment not in anchors(place.read_text()):
                yield f"{where}: {target} has no such heading"


def anchors(text: str) -> set[str]:
    """The fragments a document offers: its headings as GitHub spells them, and explicit anchors."""
    found = set(ANCHOR.findall(text))
    outside_code = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    for heading in HEADING.findall(outside_code):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = base = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = 0
        while slug in found:
            number += 1
            slug = f"{base}-{number}"
        found.add(slug)
    return found


def main() -> int:
    """Print every dead link; 1 if there is one."""
    dead = list(dead_links(REPOSITORY))
    print("\n".join(dead) if dead else f"{len(documents(REPOSITORY))} documents, no dead links")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
