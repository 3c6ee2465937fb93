"""Paths before anything is decided about them: decoded where that changes nothing, dot segments resolved (THREATS G3)."""

import re

from envforge_gateway.errors import BadRequest

RESERVED = b"/.envforge"
# Without two ways to match one path: the time it takes must not grow faster than the path.
PLAIN = (
    rb"/(?:[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*"
    rb"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)*/?)?"
)
_PLAIN = re.compile(PLAIN).fullmatch
_ALLOWED = re.compile(rb"[\x21\x24-\x7e]*").fullmatch
_TRIPLET = re.compile(rb"%([0-9A-Fa-f]{2})?")
_DOUBTFUL = re.compile(rb"%(?:2[fF]|5[cC]|00|25[0-9A-Fa-f]{2})|[;\\]")
_ANY_TRIPLET = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def split(target: bytes) -> tuple[bytes, bytes]:
    """The normalized path of an origin-form target, and its query with the question mark.

    Raises:
        BadRequest: the target is no path, climbs above its root, or is not spelled as one.
    """
    path, mark, query = target.partition(b"?")
    if _PLAIN(path):
        if mark and (b"#" in query or not query.isascii()):
            raise BadRequest(400, "target")
        return path, mark + query
    # `"` and `#` are outside; `"` is no character of a URL.
    if path[:1] != b"/" or not _ALLOWED(path) or b"#" in query or not query.isascii():
        raise BadRequest(400, "target")
    return _without_dots(_TRIPLET.sub(_decoded, path)), mark + query


def _decoded(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        raise BadRequest(400, "encoding")
    byte = int(found[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else found[0].upper()


def _without_dots(path: bytes) -> bytes:
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for position, segment in enumerate(segments):
        last = position == len(segments) - 1
        if segment == b"..":
            if not kept:
                raise BadRequest(400, "path")
            kept.pop()
        elif segment != b".":
            kept.append(segment)
            continue
        if last:
            kept.append(b"")
    return b"/" + b"/".join(kept)


def is_doubtful(path: bytes) -> bool:
    """Whether services may read the path in more than one way; refused where a rule looks at paths."""
    return _DOUBTFUL.search(path) is not None


def collapsed(path: bytes) -> bytes:
    """Without empty segments, which many services pass over."""
    while b"//" in path:
        path = path.replace(b"//", b"/")
    return path


def decoded(path: bytes) -> bytes:
    """What rules look at."""
    return _ANY_TRIPLET.sub(lambda found: bytes((int(found[1], 16),)), path) if b"%" in path else path


def is_reserved(path: bytes) -> bool:
    """Whether the path is the gateway's own, however it is spelled: a service never sees it."""
    if path[:2] not in {b"/.", b"//"} and b"%" not in path[:4]:
        return False
    seen = collapsed(decoded(path)).lower()
    return seen == RESERVED or seen.startswith((RESERVED + b"/", RESERVED + b";", RESERVED + b"\\"))


def is_local(path: str) -> bool:
    """Whether a browser that is sent there stays at the host it is at."""
    return (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and path.isascii()
        and path.isprintable()
        and " " not in path
        and "\\" not in path
    )
