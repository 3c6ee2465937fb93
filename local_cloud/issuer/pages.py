"""The pages people see. They load nothing but their own style sheet and mark, and run no script."""

from collections.abc import Iterable
from importlib.resources import files
from urllib.parse import urlsplit

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from local_cloud import tokens

_ASSETS = {
    "/issuer.css": "text/css; charset=utf-8",
    "/issuer.svg": "image/svg+xml",
    tokens.ADDRESS: "text/css; charset=utf-8",
}
_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("local_cloud.issuer", "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    template: str, *, status_code: int = 200, leads_to: Iterable[str] = (), **context: object
) -> HTMLResponse:
    """Render a page under a strict content security policy.

    `leads_to` are the addresses a form on the page may end at: browsers hold `form-action` against the redirects that
    follow a form, too.
    """
    origins = sorted({_origin(address) for address in leads_to})
    policy = "; ".join(
        (
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self'",
            " ".join(("form-action 'self'", *origins)),
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
    html = _templates.get_template(template).render(context)
    return HTMLResponse(html, status_code, headers={"Content-Security-Policy": policy})


def message(*, title: str, text: str, next_step: str = "", status_code: int = 200) -> HTMLResponse:
    """A page that says one thing; with a status of 400 and above, what was wrong and what to do next."""
    return page("message.html", status_code=status_code, title=title, text=text, next_step=next_step)


async def asset(request: Request) -> Response:
    path = request.url.path
    own = files("local_cloud.issuer").joinpath("pages", path.removeprefix("/"))
    body = tokens.tokens() if path == tokens.ADDRESS else own.read_bytes()
    return Response(body, media_type=_ASSETS[path], headers={"Cache-Control": "no-cache"})


ASSET_PATHS = tuple(_ASSETS)


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
