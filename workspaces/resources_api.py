"""Resources of a workspace over the API: how each is provided and does, and deleting what lies with one (W3)."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.schema import REFUSALS, WRITES
from workspaces.api import OneOf
from workspaces.operations.data import delete_data, keep_data
from workspaces.selectors.resources import resources


class WorkspaceResourceOut(serializers.Serializer[Any]):
    """One resource of a service's contract. `health` and `since` are of the present wake, as last told; empty while it sleeps.
    `deletion_asked_at`: since when its data is to be deleted, which the next wake does.
    """

    repository = serializers.CharField()
    name = serializers.CharField()
    type = serializers.CharField()
    service = serializers.CharField()
    mode = serializers.CharField(allow_null=True)
    owner = serializers.CharField()
    health = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    has_data = serializers.BooleanField()
    deletion_asked_at = serializers.DateTimeField(source="asked_at", allow_null=True)
    deletion_asked_by = serializers.CharField(source="asked_by")


class WorkspaceResourcesOut(serializers.Serializer[Any]):
    """All of a workspace's."""

    resources = WorkspaceResourceOut(many=True)


class _OfResources(OneOf):
    def answer(self, workspace_id: UUID, status: int = 200) -> Response:
        _, views = resources(actor=self.actor, slug=self.slug, workspace_id=workspace_id)
        return Response(WorkspaceResourcesOut({"resources": views}).data, status=status)


class Resources(_OfResources):
    @extend_schema(
        operation_id="list_resources",
        summary="The resources that a workspace's contracts ask for, and how they do",
        responses={200: WorkspaceResourcesOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        return self.answer(workspace_id)


class Data(_OfResources):
    @extend_schema(
        operation_id="delete_resource_data",
        summary="Have what lies with a managed resource deleted at the next wake",
        responses={202: WorkspaceResourcesOut, **WRITES},
    )
    def delete(
        self, request: Request, slug: str, workspace_id: UUID, repository: str, resource: str
    ) -> Response:
        delete_data(**self.of(workspace_id), repository=repository, resource=resource)
        return self.answer(workspace_id, 202)

    @extend_schema(
        operation_id="keep_resource_data",
        summary="Take back that what lies with a managed resource is to be deleted",
        request=None,
        responses={202: WorkspaceResourcesOut, **WRITES},
    )
    def put(
        self, request: Request, slug: str, workspace_id: UUID, repository: str, resource: str
    ) -> Response:
        keep_data(**self.of(workspace_id), repository=repository, resource=resource)
        return self.answer(workspace_id, 202)
