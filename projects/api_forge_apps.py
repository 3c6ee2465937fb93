"""Forge apps over the API: register, try, remove."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.bodies import key_parameter, read_body, read_key
from envforge.api.schema import REFUSALS, WRITES
from envforge.api.views import OrgAPIView
from orgs.selectors import organization
from projects import operations, selectors


class ForgeAppIn(serializers.Serializer[Any]):
    """`git_url` is the owner below whom the repositories are, `key_arn` the app's RSA key in KMS."""

    name = serializers.CharField(max_length=200)
    api_url = serializers.CharField(max_length=500)
    git_url = serializers.CharField(max_length=500)
    client_id = serializers.CharField(max_length=200)
    installation = serializers.CharField(max_length=200)
    key_arn = serializers.CharField(max_length=500)


class ForgeAppOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    api_url = serializers.CharField()
    git_url = serializers.CharField()
    client_id = serializers.CharField()
    installation = serializers.CharField()
    key_arn = serializers.CharField()
    created_at = serializers.DateTimeField()
    reads = serializers.ListField(child=serializers.CharField())


class ForgeAppsOut(serializers.Serializer[Any]):
    """The apps by name; `key_policy` is the statement that lets EnvForge sign with a key for this organization alone."""

    apps = ForgeAppOut(many=True)
    key_policy = serializers.CharField()


class CheckOut(serializers.Serializer[Any]):
    """What is wrong, in words; empty where all works."""

    wrong = serializers.ListField(child=serializers.CharField())


class ForgeAppGoneOut(serializers.Serializer[Any]):
    removed = serializers.BooleanField()


class ForgeApps(OrgAPIView):
    @extend_schema(
        operation_id="list_forge_apps",
        summary="The apps that mint credentials for repositories",
        responses={200: ForgeAppsOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        seen = selectors.forge_apps(actor=self.actor, slug=slug)
        return Response(ForgeAppsOut({"apps": seen.apps, "key_policy": seen.policy}).data)

    @extend_schema(
        operation_id="register_forge_app",
        summary="Register an app; one that does not work is refused, in words",
        parameters=[key_parameter("")],
        request=ForgeAppIn,
        responses={200: ForgeAppsOut, **WRITES},
    )
    def post(self, request: Request, slug: str) -> Response:
        given = read_body(ForgeAppIn, request.data)
        org_id = organization(actor=self.actor, slug=slug).id
        operations.register_forge_app(actor=self.actor, org_id=org_id, **given, key=read_key(request))
        return self.get(request, slug)


class ForgeApp(OrgAPIView):
    @extend_schema(
        operation_id="remove_forge_app",
        summary="Forget an app that no repository is read with",
        responses={200: ForgeAppGoneOut, **WRITES},
    )
    def delete(self, request: Request, slug: str, name: str) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        operations.remove_forge_app(actor=self.actor, org_id=org_id, name=name)
        return Response(ForgeAppGoneOut({"removed": True}).data)


class Check(OrgAPIView):
    @extend_schema(
        operation_id="check_forge_app",
        summary="Try an app and the repositories that it reads",
        request=None,
        responses={200: CheckOut, **WRITES},
    )
    def post(self, request: Request, slug: str, name: str) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        wrong = operations.check_forge_app(actor=self.actor, org_id=org_id, name=name)
        return Response(CheckOut({"wrong": wrong}).data)
