"""The forge apps of an organization: what they read, registering one, trying it, and taking it out."""

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from envforge.errors import Conflict, EnvForgeError, Invalid
from orgs.console.door import page, see_other, signed_in
from orgs.selectors import Visitor, organization
from projects import operations, selectors
from projects.console.words import MAX_ADDRESS_LENGTH

read_and_write = require_http_methods(["GET", "HEAD", "POST"])
NEW = {
    "name": "",
    "api_url": "https://api.github.com",
    "git_url": "",
    "client_id": "",
    "installation": "",
    "key_arn": "",
}


@read_and_write
@signed_in
def forge_apps(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The apps; a POST registers one, which is tried first."""
    given, wrong, status = NEW, {}, 200
    if request.method == "POST":
        given = {name: request.POST.get(name, "")[:MAX_ADDRESS_LENGTH].strip() for name in given}
        org_id = organization(actor=visitor.actor, slug=slug).id
        try:
            operations.register_forge_app(actor=visitor.actor, org_id=org_id, **given)
        except Invalid as invalid:
            wrong, status = invalid.fields, invalid.status
            # What is refused for its form may be a credential in the wrong field.
            given |= dict.fromkeys(wrong.keys() & {"name", "api_url", "git_url"}, "")
        except Conflict as conflict:
            wrong, status = {"name": conflict.detail}, conflict.status
        else:
            return see_other(reverse("forge-apps", args=[slug]))
    return _shown(request, visitor, slug, given=given, wrong=wrong, status=status)


@require_POST
@signed_in
def check(request: HttpRequest, visitor: Visitor, slug: str, name: str) -> HttpResponse:
    """Try an app, and say what is wrong."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    found = operations.check_forge_app(actor=visitor.actor, org_id=org_id, name=name)
    return _shown(request, visitor, slug, tried=name, found=found)


@require_POST
@signed_in
def remove(request: HttpRequest, visitor: Visitor, slug: str, name: str) -> HttpResponse:
    """Forget an app that nothing is read with."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    refused: EnvForgeError | None = None
    try:
        operations.remove_forge_app(actor=visitor.actor, org_id=org_id, name=name)
    except Conflict as conflict:
        refused = conflict
    else:
        return see_other(reverse("forge-apps", args=[slug]))
    return _shown(request, visitor, slug, tried=name, found=[refused.detail], status=refused.status)


def _shown(
    request: HttpRequest,
    visitor: Visitor,
    slug: str,
    *,
    given: dict[str, str] = NEW,
    wrong: dict[str, str] | None = None,
    tried: str = "",
    found: list[str] | None = None,
    status: int = 200,
) -> HttpResponse:
    seen = selectors.forge_apps(actor=visitor.actor, slug=slug)
    context = {
        "seen": seen,
        "given": given,
        "wrong": wrong or {},
        "tried": tried,
        "found": found or [],
        "here": "projects",
    }
    return page(request, visitor, "projects/forge_apps.html", context, about=seen, status=status)
