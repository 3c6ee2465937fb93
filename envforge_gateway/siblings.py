"""Whether a request may come from where it says it comes from (THREATS G4)."""

from envforge_gateway.requests import Request

_OWN = frozenset({b"same-origin", b"none"})


def may_come(request: Request, origin: bytes) -> bool:
    """Hosts below one domain are one site to browsers; only top-level GET navigations may cross between them."""
    site = request.site
    given = request.origin
    if site is None or site in _OWN:
        # Browsers without fetch metadata name the origin of what could do harm; programs name none.
        return given is None or given == origin or (given == b"null" and site == b"same-origin")
    return (
        request.method in {b"GET", b"HEAD"}
        and request.mode == b"navigate"
        and request.dest == b"document"
        and not request.is_websocket
    )
