"""Placement over the API: the VMs, the history by pages, and all of it as a file."""

from typing import Any

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.schema import REFUSALS
from envforge.api.views import OrgAPIView
from envforge.cursors import write_cursor
from hosts import selectors
from hosts.asked import NAMES, read_form, read_period, read_place
from hosts.history import Form

PERIOD = [
    OpenApiParameter("since", OpenApiTypes.DATETIME, description="Whoever was there at or after this moment"),
    OpenApiParameter("until", OpenApiTypes.DATETIME, description="Whoever was there before this moment"),
    OpenApiParameter("vm", OpenApiTypes.UUID, description="On this VM alone"),
]
BEFORE = OpenApiParameter("before", description="`next` of the page before; empty for the newest")
FORM = OpenApiParameter("format", required=True, enum=[form.value for form in Form])


class StayOut(serializers.Serializer[Any]):
    """One workspace on one VM; `ended_at` is null while it is there. `generation` counts a VM's replacements."""

    vm = serializers.UUIDField()
    vm_name = serializers.CharField()
    role = serializers.CharField()
    size = serializers.CharField()
    generation = serializers.IntegerField()
    workspace = serializers.UUIDField()
    workspace_name = serializers.CharField()
    began_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class StaysOut(serializers.Serializer[Any]):
    """A page of the history, the newest first; `next` is null on the last one."""

    placements = StayOut(many=True)
    next = serializers.CharField(allow_null=True)


class Placements(OrgAPIView):
    takes = frozenset({*NAMES, "before"})

    @extend_schema(
        operation_id="list_placements",
        summary="Which workspaces were on which VM, the newest first",
        parameters=[*PERIOD, BEFORE],
        responses={200: StaysOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        given = request.query_params.dict()
        period = read_period(given).required()
        before = read_place(given.get("before", ""))
        past = selectors.placements(actor=self.actor, slug=slug, period=period, before=before)
        following = write_cursor(past.older) if past.older else None
        return Response(StaysOut({"placements": past.stays, "next": following}).data)


class ExportPlacements(OrgAPIView):
    throttle_scope = "export"
    takes = frozenset({*NAMES, "format"})

    @extend_schema(
        operation_id="export_placements",
        summary="The whole placement history of a period, as one file",
        parameters=[*PERIOD, FORM],
        responses={
            (200, "application/jsonl"): OpenApiResponse(OpenApiTypes.STR),
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR),
            **REFUSALS,
        },
    )
    def get(self, request: Request, slug: str) -> FileResponse:
        given = request.query_params.dict()
        period = read_period(given).required()
        form = read_form(given.get("format", ""))
        made = selectors.export_placements(actor=self.actor, slug=slug, form=form, period=period)
        return FileResponse(
            made.file, as_attachment=True, filename=form.file_name(slug), content_type=form.content_type
        )
