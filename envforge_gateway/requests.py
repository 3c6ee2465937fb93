"""One request's head as it was understood (`heads` reads it): what is decided by, and the lines its service will see."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

SESSION_COOKIE = "__Host-envforge"
STATE_COOKIE = "__Host-envforge-state"
SHARE_COOKIE = "__Host-envforge-share"
SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Request:
    """A request. All but `path`, `query`, `client`, the cookies and `digest` follow from its method and its other fields alone.

    `fields` ends the request line and holds what the service sees after it, save `cookies` and who asks. `may_come` says that it
    does not come from another site (THREATS G4); `is_act` that somebody meant it: a navigation, or what is not safe to repeat (W7).
    `digest` is the session's.
    """

    # Most requests change few of these.
    length = 0
    chunked = False
    has_body = False
    is_websocket = False
    is_navigation = False
    is_act = False
    may_come = False
    expects = False
    digest: bytes | None = None
    accept = content_type = authorization = websocket_protocol = websocket_key = b""
    origin: bytes | None = None
    site: bytes | None = None
    mode: bytes | None = None
    dest: bytes | None = None
    service_worker = False
    method = path = query = host_header = fields = cookies = b""
    host = ""
    client = ""
    forwarded_for: bytes | None = None
    minor = 1
    keep_alive = True
    other_cookies: Mapping[str, str] = MappingProxyType({})

    @property
    def wants_page(self) -> bool:
        """Whether whoever asked can show a page; everybody else gets JSON."""
        if self.mode is not None and self.mode != b"navigate":
            return False
        return b"text/html" in self.accept

    @property
    def is_by_browser(self) -> bool:
        return self.site is not None or self.mode is not None or self.origin is not None


# What every request has of its own once its head is known: an attribute of the class is found last, and each is asked for often.
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        name: value
        for name, value in vars(Request).items()
        if not name.startswith("_") and not isinstance(value, property)
    }
)
