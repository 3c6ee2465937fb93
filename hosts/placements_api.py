"""The placement history over the API; what VMs themselves speak to is `hosts.api`."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.schema import REFUSALS
from envforge.api.views import OrgAPIView
from envforge.cursors import write_cursor
from envforge.errors import Invalid
from hosts import exports, selectors
from hosts.history import Period
from orgs.console.forms import uuid_or_none
from timeline.asked import Unreadable, read_filter, read_place
from timeline.deliveries import Order, delivers
from timeline.rows import Form

MOST_PLACEMENTS = 200

PERIOD = [
    OpenApiParameter("vm", OpenApiTypes.UUID, description="One VM, by the id that placements name"),
    OpenApiParameter(
        "since",
        OpenApiTypes.DATETIME,
        description="Of whoever was there after this moment; a date means midnight UTC",
    ),
    OpenApiParameter("until", OpenApiTypes.DATETIME, description="Of whoever was there before this moment"),
]
PAGES = [
    OpenApiParameter("cursor", description="`next` of the page before; empty for the newest placements"),
    OpenApiParameter(
        "limit", OpenApiTypes.INT, description=f"Placements a page, 1 to {MOST_PLACEMENTS}; else 50"
    ),
]
FORM = OpenApiParameter("format", required=True, enum=[form.value for form in Form])


class PlacementOut(serializers.Serializer[Any]):
    """A workspace was on a VM of this organization; `until` is null while it still is."""

    workspace = serializers.UUIDField(source="workspace_id")
    workspace_name = serializers.CharField(source="workspace")
    vm = serializers.UUIDField(source="host_id")
    vm_name = serializers.CharField(source="host")
    role = serializers.CharField()
    until = serializers.DateTimeField(source="ended_at", allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's.
        return super().get_fields() | {"from": serializers.DateTimeField(source="began_at")}


class PlacementsOut(serializers.Serializer[Any]):
    """A page of placements, the newest first; `next` is null on the last one."""

    placements = PlacementOut(many=True)
    next = serializers.CharField(allow_null=True)


class Placements(OrgAPIView):
    takes = frozenset({"vm", "since", "until", "cursor", "limit"})

    @extend_schema(
        operation_id="list_placements",
        summary="Which workspaces were on which VM, the newest first",
        parameters=[*PERIOD, *PAGES],
        responses={200: PlacementsOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        given = request.query_params.dict()
        period, wrong = _period(given)
        before, size = None, selectors.PAGE_SIZE
        try:
            before = read_place(given.get("cursor", ""))
        except Unreadable:
            wrong["cursor"] = "This is the `next` of no page; begin without it."
        if "limit" in given:
            size = _size(given["limit"])
            if not size:
                wrong["limit"] = f"Use a whole number from 1 to {MOST_PLACEMENTS}."
        _require_readable(wrong)
        seen = selectors.placements(actor=self.actor, slug=slug, period=period, before=before, size=size)
        following = write_cursor(seen.older) if seen.older else None
        return Response(PlacementsOut({"placements": seen.placements, "next": following}).data)


class Export(OrgAPIView):
    throttle_scope = "export"
    takes = frozenset({"vm", "since", "until", "format"})

    @extend_schema(
        operation_id="export_placements",
        summary="The placement history as one file",
        parameters=[*PERIOD, FORM],
        responses={
            (200, "application/jsonl"): OpenApiResponse(OpenApiTypes.STR, "One placement a line"),
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "The same, for a spreadsheet"),
            **REFUSALS,
        },
    )
    def get(self, request: Request, slug: str) -> Order:
        given = request.query_params.dict()
        period, wrong = _period(given)
        form = given.get("format", "")
        if form not in list(Form):
            wrong["format"] = "Choose jsonl or csv."
        _require_readable(wrong)
        return exports.order(actor=self.actor, slug=slug, form=Form(form), period=period)


_ordered = Export.as_view()
export = delivers(_ordered)
export.csrf_exempt = True  # type: ignore[attr-defined]  # the authenticator asks


def _period(given: dict[str, str]) -> tuple[Period, dict[str, str]]:
    """What could be read of the period, and what is wrong with the rest, by parameter."""
    asked = read_filter({name: given.get(name, "") for name in ("since", "until")})
    wrong = dict(asked.wrong)
    vm = uuid_or_none(given["vm"]) if "vm" in given else None
    if "vm" in given and vm is None:
        wrong["vm"] = "This is no VM's id."
    return Period(asked.wanted.since, asked.wanted.until, vm), wrong


def _require_readable(wrong: dict[str, str]) -> None:
    if wrong:
        raise Invalid("These parameters cannot be used.", wrong)


def _size(text: str) -> int:
    """How many placements a page; 0 for what is no such number."""
    size = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_PLACEMENTS)) else 0
    return size if size <= MOST_PLACEMENTS else 0
