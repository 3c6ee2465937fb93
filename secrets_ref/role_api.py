"""Roles in your own account over the API: register, check, remove, and import secrets through them."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.bodies import key_parameter, read_body, read_key
from envforge.api.schema import REFUSALS, WRITES
from envforge.api.views import OrgAPIView
from orgs.selectors import organization
from secrets_ref import role_operations, role_selectors
from secrets_ref.api import ChangedOut


class CustomerRoleIn(serializers.Serializer[Any]):
    role_arn = serializers.CharField(max_length=500)
    region = serializers.CharField(max_length=100)


class CustomerRoleOut(serializers.Serializer[Any]):
    """A role with the policies to give it; `trouble` says why nothing is read through it, empty where it holds."""

    id = serializers.UUIDField()
    role_arn = serializers.CharField()
    region = serializers.CharField()
    external_id = serializers.CharField()
    trust_policy = serializers.CharField()
    permissions = serializers.CharField()
    trouble = serializers.CharField(allow_blank=True)
    checked_at = serializers.DateTimeField(allow_null=True)
    secrets = serializers.ListField(child=serializers.CharField())


class CustomerRolesOut(serializers.Serializer[Any]):
    roles = CustomerRoleOut(many=True)


class RoleCheckOut(serializers.Serializer[Any]):
    """What is wrong, in words; empty where the role holds."""

    trouble = serializers.CharField(allow_blank=True)


class RoleGoneOut(serializers.Serializer[Any]):
    removed = serializers.BooleanField()


class ThroughRoleIn(serializers.Serializer[Any]):
    """`path` is a parameter's path or ARN, `name` what it is called here."""

    path = serializers.CharField(max_length=500)
    name = serializers.CharField(max_length=500)
    project = serializers.UUIDField(required=False, allow_null=True, default=None)
    workspace = serializers.UUIDField(required=False, allow_null=True, default=None)


class CustomerRoles(OrgAPIView):
    @extend_schema(
        operation_id="list_customer_roles",
        summary="The roles through which secrets of your own account are read",
        responses={200: CustomerRolesOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(CustomerRolesOut(role_selectors.roles(actor=self.actor, slug=slug)).data)

    @extend_schema(
        operation_id="register_customer_role",
        summary="Register a role; the answer has the external id and the policies to give it",
        parameters=[key_parameter("")],
        request=CustomerRoleIn,
        responses={200: CustomerRolesOut, **WRITES},
    )
    def post(self, request: Request, slug: str) -> Response:
        given = read_body(CustomerRoleIn, request.data)
        org_id = organization(actor=self.actor, slug=slug).id
        role_operations.register_customer_role(
            actor=self.actor, org_id=org_id, **given, key=read_key(request)
        )
        return self.get(request, slug)


class CustomerRole(OrgAPIView):
    @extend_schema(
        operation_id="remove_customer_role",
        summary="Forget a role through which nothing is read",
        responses={200: RoleGoneOut, **WRITES},
    )
    def delete(self, request: Request, slug: str, role_id: UUID) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        role_operations.remove_customer_role(actor=self.actor, org_id=org_id, role_id=role_id)
        return Response(RoleGoneOut({"removed": True}).data)


class Check(OrgAPIView):
    @extend_schema(
        operation_id="check_customer_role",
        summary="Try whether a role lets EnvForge in with the external id, and nobody without",
        request=None,
        responses={200: RoleCheckOut, **WRITES},
    )
    def post(self, request: Request, slug: str, role_id: UUID) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        trouble = role_operations.check_customer_role(actor=self.actor, org_id=org_id, role_id=role_id)
        return Response(RoleCheckOut({"trouble": trouble}).data)


class Import(OrgAPIView):
    @extend_schema(
        operation_id="import_secret_through_role",
        summary="Refer to a parameter in your own account; its value stays there",
        request=ThroughRoleIn,
        responses={200: OpenApiResponse(ChangedOut), **WRITES},
    )
    def post(self, request: Request, slug: str, role_id: UUID) -> Response:
        given = read_body(ThroughRoleIn, request.data)
        made = role_operations.import_through_role(
            actor=self.actor,
            org_id=organization(actor=self.actor, slug=slug).id,
            role_id=role_id,
            path=given["path"],
            name=given["name"],
            project_id=given["project"],
            workspace_id=given["workspace"],
        )
        return Response(ChangedOut(made).data)
