"""Organizations over the API."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.schema import REFUSALS
from envforge.api.views import ActorAPIView, OrgAPIView
from orgs import selectors


class OrganizationOut(serializers.Serializer[Any]):
    """An organization, as each of its members sees it."""

    slug = serializers.CharField()
    name = serializers.CharField()


class OrganizationsOut(serializers.Serializer[Any]):
    organizations = OrganizationOut(many=True)


class Organizations(ActorAPIView):
    @extend_schema(
        operation_id="list_organizations",
        summary="The organizations you are in, by name",
        responses={200: OrganizationsOut, **REFUSALS},
    )
    def get(self, request: Request) -> Response:
        return Response(OrganizationsOut({"organizations": selectors.organizations(actor=self.actor)}).data)


class OneOrganization(OrgAPIView):
    @extend_schema(
        operation_id="get_organization",
        summary="One organization",
        responses={200: OrganizationOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(OrganizationOut(selectors.organization(actor=self.actor, slug=slug)).data)
