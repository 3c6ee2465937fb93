"""The pages people see. They load nothing but their own style sheet and mark, and run no script."""

from http import HTTPStatus
from importlib.resources import files

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from local_cloud import tokens

_ASSETS = {
    "/mail.css": "text/css; charset=utf-8",
    "/mail.svg": "image/svg+xml",
    tokens.ADDRESS: "text/css; charset=utf-8",
}
ASSET_PATHS = tuple(_ASSETS)

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# What a sender wrote: its own styles and embedded pictures, nothing else, in an origin of its own.
_LETTER_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("local_cloud.mail", "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, *, status_code: int = HTTPStatus.OK, **context: object) -> HTMLResponse:
    """Render a page under a strict content security policy."""
    html = _templates.get_template(template).render(context)
    return HTMLResponse(html, status_code, headers={**_ALWAYS, "Content-Security-Policy": _PAGE_POLICY})


def letter_html(html: str) -> HTMLResponse:
    """A message's own HTML, for the sandboxed frame alone."""
    return HTMLResponse(html, headers={**_ALWAYS, "Content-Security-Policy": _LETTER_POLICY})


def source(content: bytes) -> PlainTextResponse:
    """A message byte by byte."""
    return PlainTextResponse(content, headers={**_ALWAYS, "Content-Security-Policy": _LETTER_POLICY})


async def asset(request: Request) -> Response:
    path = request.url.path
    own = files("local_cloud.mail").joinpath("pages", path.removeprefix("/"))
    body = tokens.tokens() if path == tokens.ADDRESS else own.read_bytes()
    return Response(body, media_type=_ASSETS[path], headers={**_ALWAYS, "Cache-Control": "no-cache"})
