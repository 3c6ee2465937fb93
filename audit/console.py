"""The audit's public door: the keys that checkpoints are signed with."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from audit import selectors


@require_safe
def signing_keys(request: HttpRequest) -> HttpResponse:
    """Every public key that has signed a checkpoint; `envforge audit verify --keys` reads this document."""
    return JsonResponse({"keys": selectors.signing_keys()})
