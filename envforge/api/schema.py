"""The API's description (OpenAPI 3), and a page that reads it out; neither asks any other server for anything."""

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from rest_framework import serializers


class Problem(serializers.Serializer[Any]):
    """Why something was refused (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    request_id = serializers.CharField()
    rule = serializers.CharField(required=False)
    fields_ = serializers.DictField(child=serializers.CharField(), required=False)

    def get_fields(self) -> dict[str, Any]:
        # `fields` is taken by the serializer itself.
        declared = super().get_fields()
        return {name.rstrip("_"): field for name, field in declared.items()}


# What each address may answer besides what it is for.
REFUSALS: dict[Any, Any] = {
    (status, "application/problem+json"): Problem for status in (401, 403, 404, 422, 429, 503)
}


# The same of addresses that change something.
WRITES: dict[Any, Any] = {
    **REFUSALS,
    **{(status, "application/problem+json"): Problem for status in (400, 409, 415)},
}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How programs are known."""

    target_class = "orgs.authenticators.ServiceAccountToken"
    name = "service account token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the console's own pages are known."""

    target_class = "orgs.authenticators.ConsoleSession"
    name = "console session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "__Host-envforge-console"}


@cache
def description() -> dict[str, Any]:
    """The whole description; the code it is made from does not change while this process runs."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """The description, for programs."""
    return JsonResponse(description(), content_type="application/vnd.oai.openapi+json")


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The description, for people."""
    operations = [
        {"path": path, "method": method.upper(), **operation}
        for path, methods in description()["paths"].items()
        for method, operation in methods.items()
    ]
    return render(request, "api/docs.html", {"operations": operations})
