"""Secrets over the API: names and versions; a value goes in and never comes out."""

from typing import Any
from uuid import UUID

from django.views.decorators.debug import sensitive_variables
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.bodies import key_parameter, read_after, read_body, read_key
from envforge.api.schema import REFUSALS, WRITES
from envforge.api.views import OrgAPIView
from envforge.reports import forget_body
from envforge.secret_value import SecretValue
from orgs.selectors import organization
from secrets_ref import operations, selectors

KEY = key_parameter("Of the value, nothing is kept.")
AFTER = OpenApiParameter("after", OpenApiTypes.UUID, description="`next` of the page before")
VALUE = "Text of at most 8,192 bytes. It is never answered, logged or stored by EnvForge."

STATES = [state.value for state in selectors.State]


class SecretOut(serializers.Serializer[Any]):
    """A secret without its value; `running` services read it and run, `behind` of them with an old version.

    `role` is what reads it in your own account; empty for what EnvForge keeps.
    """

    id = serializers.UUIDField()
    name = serializers.CharField()
    path = serializers.CharField()
    project = serializers.UUIDField(source="project_id", allow_null=True)
    workspace = serializers.UUIDField(source="workspace_id", allow_null=True)
    version = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=STATES)
    changed_by = serializers.CharField()
    changed_at = serializers.DateTimeField()
    running = serializers.IntegerField()
    behind = serializers.IntegerField()
    role = serializers.CharField(allow_blank=True)


class UseOut(serializers.Serializer[Any]):
    """A service that runs with a version of a secret, or did."""

    secret = serializers.CharField()
    workspace = serializers.UUIDField(source="workspace_id")
    service = serializers.CharField()
    version = serializers.IntegerField()
    running = serializers.BooleanField()
    behind = serializers.BooleanField()
    consumed_at = serializers.DateTimeField()


class VersionOut(serializers.Serializer[Any]):
    """One version, or an attempt of which nothing came (without a version)."""

    version = serializers.IntegerField(allow_null=True)
    cause = serializers.CharField()
    outcome = serializers.CharField()
    asked_by = serializers.CharField()
    asked_at = serializers.DateTimeField()


class SecretsOut(serializers.Serializer[Any]):
    """A page of secrets by name; `behind` are services that run an old version, the first 50 by secret, whatever the page."""

    secrets = SecretOut(many=True)
    next = serializers.UUIDField(allow_null=True)
    behind = UseOut(many=True)


class OneSecretOut(serializers.Serializer[Any]):
    secret = SecretOut()
    versions = VersionOut(many=True)
    uses = UseOut(many=True)


class ChangedOut(serializers.Serializer[Any]):
    """What a change came to."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.IntegerField(allow_null=True)


class DeletedOut(serializers.Serializer[Any]):
    deleted = serializers.BooleanField()


class SetIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=500)
    value = serializers.CharField(write_only=True, trim_whitespace=False, help_text=VALUE)
    project = serializers.UUIDField(required=False, allow_null=True, default=None)
    workspace = serializers.UUIDField(required=False, allow_null=True, default=None)


class RotateIn(serializers.Serializer[Any]):
    value = serializers.CharField(write_only=True, trim_whitespace=False, help_text=VALUE)


class ImportIn(serializers.Serializer[Any]):
    path = serializers.CharField(max_length=500)


class Secrets(OrgAPIView):
    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"after"}) if self.request.method == "GET" else frozenset()

    @extend_schema(
        operation_id="list_secrets",
        summary="Secrets by name, without values",
        parameters=[AFTER],
        responses={200: SecretsOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        after = read_after(request)
        seen = selectors.secrets(actor=self.actor, slug=slug, after=after)
        shown = {"secrets": seen.secrets, "next": seen.next_after, "behind": seen.behind}
        return Response(SecretsOut(shown).data)

    @extend_schema(
        operation_id="set_secret",
        summary="Store the first value of a new secret",
        parameters=[KEY],
        request=SetIn,
        responses={200: OpenApiResponse(ChangedOut), **WRITES},
    )
    @sensitive_variables()
    def post(self, request: Request, slug: str) -> Response:
        given, value = _taken(SetIn, request)
        made = operations.set_secret(
            actor=self.actor,
            org_id=organization(actor=self.actor, slug=slug).id,
            name=given["name"],
            value=value,
            project_id=given["project"],
            workspace_id=given["workspace"],
            key=read_key(request),
        )
        return Response(ChangedOut(made).data)


class OneSecret(OrgAPIView):
    @extend_schema(
        operation_id="get_secret",
        summary="One secret with its versions and readers",
        responses={200: OneSecretOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, secret_id: UUID) -> Response:
        seen = selectors.secret(actor=self.actor, slug=slug, secret_id=secret_id)
        return Response(OneSecretOut(seen).data)

    @extend_schema(
        operation_id="delete_secret",
        summary="Delete a secret and its value",
        responses={200: DeletedOut, **WRITES},
    )
    def delete(self, request: Request, slug: str, secret_id: UUID) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        operations.delete_secret(actor=self.actor, org_id=org_id, secret_id=secret_id)
        return Response(DeletedOut({"deleted": True}).data)


class Rotate(OrgAPIView):
    @extend_schema(
        operation_id="rotate_secret",
        summary="Store a new value of a secret",
        parameters=[KEY],
        request=RotateIn,
        responses={200: ChangedOut, **WRITES},
    )
    @sensitive_variables()
    def post(self, request: Request, slug: str, secret_id: UUID) -> Response:
        _, value = _taken(RotateIn, request)
        changed = operations.rotate_secret(
            actor=self.actor,
            org_id=organization(actor=self.actor, slug=slug).id,
            secret_id=secret_id,
            value=value,
            key=read_key(request),
        )
        return Response(ChangedOut(changed).data)


class Import(OrgAPIView):
    @extend_schema(
        operation_id="import_secret",
        summary="Take up a parameter that lies below the organization's own prefix",
        request=ImportIn,
        responses={200: ChangedOut, **WRITES},
    )
    def post(self, request: Request, slug: str) -> Response:
        given = read_body(ImportIn, request.data)
        org_id = organization(actor=self.actor, slug=slug).id
        made = operations.import_secret(actor=self.actor, org_id=org_id, path=given["path"])
        return Response(ChangedOut(made).data)


@sensitive_variables()
def _taken(form: type[serializers.Serializer[Any]], request: Request) -> tuple[dict[str, Any], SecretValue]:
    """What was sent, with the value apart; the request keeps none of it (K3)."""
    given = read_body(form, request.data)
    value = SecretValue(given.pop("value"))
    request.data.clear()
    forget_body(request._request)  # noqa: SLF001 - its body is Django's
    return given, value
