"""What stands at the side of support's pages."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from orgs.admin.site import site


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The lists; and while support is in an organization, that organization's pages."""
    groups = [
        _group(
            "EnvForge",
            ("Overview", "admin:index"),
            ("Enter an organization", "admin:enter"),
            # Those of the apps above are there, too.
            *((one.title, f"admin:{one.name}") for one in site._registry.values()),  # noqa: SLF001 - Django's
        )
    ]
    visit = request.visit  # type: ignore[attr-defined]
    if visit is not None:
        inside = (
            ("Overview", "admin:overview"),
            ("Members", "admin:members"),
            ("Timeline", "admin:timeline"),
        )
        groups.insert(0, _group("Inside", *inside, arguments=(visit.org_id,)))
    return [
        group | {"items": [item | {"active": item["link"] == request.path} for item in group["items"]]}
        for group in groups
    ]


def _group(title: str, *items: tuple[str, str], arguments: tuple[object, ...] = ()) -> dict[str, Any]:
    links = [{"title": name, "link": reverse(address, args=arguments)} for name, address in items]
    return {"title": title, "separator": False, "items": links}
