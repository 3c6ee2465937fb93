"""Usage, caps and job leases over the API."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.bodies import read_body, read_limit, uuid_parameter
from envforge.api.schema import REFUSALS, WRITES
from envforge.api.views import OrgAPIView
from envforge.cursors import write_cursor
from envforge.errors import Invalid
from orgs.selectors import organization
from timeline.asked import Unreadable, read_place
from timeline.deliveries import Order, delivers
from timeline.rows import Form
from workspaces import usage_files
from workspaces.cap_modes import CapMode
from workspaces.months import Month
from workspaces.operations.caps import set_cap
from workspaces.operations.leases import hold_awake, release_lease
from workspaces.prices import Money
from workspaces.selectors import usage as selectors
from workspaces.selectors import windows as receipts
from workspaces.selectors.leases import leases

MONTH = OpenApiParameter("month", description="Such as `2026-11`, in UTC; the present one without")
WORKSPACE = OpenApiParameter("workspace", OpenApiTypes.UUID, description="Of this workspace alone")
FORM = OpenApiParameter(
    "format", required=True, enum=["jsonl", "csv"], description="One receipt a line, or for a spreadsheet"
)
CURSOR = OpenApiParameter("cursor", description="`next` of the page before; empty for the newest")
LIMIT = OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 200; 50 without")
MOST = 200
NO_WORKSPACE = "This is no workspace's id."


@extend_schema_field(OpenApiTypes.STR)
class CostField(serializers.Field):  # type: ignore[type-arg]
    """An amount as decimal text, rounded to hundredths; null for whoever may not see money, or where nothing has a price."""

    def to_representation(self, value: Money) -> str:
        return str(value.rounded)


class PartOut(serializers.Serializer[Any]):
    """Seconds awake; `charged_s` are those without the disputed ones."""

    awake_s = serializers.IntegerField(source="seconds")
    disputed_s = serializers.IntegerField()
    charged_s = serializers.IntegerField()


class _WithPart(serializers.Serializer[Any]):
    awake_s = serializers.IntegerField(source="part.seconds")
    disputed_s = serializers.IntegerField(source="part.disputed_s")
    charged_s = serializers.IntegerField(source="part.charged_s")
    sizes = serializers.DictField(child=PartOut())
    wakes = serializers.IntegerField(source="windows")
    cost = CostField(allow_null=True)


class DayOut(_WithPart):
    """A day (UTC)."""

    day = serializers.DateField()


class WorkspaceUsageOut(_WithPart):
    """A workspace's receipt of the month."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    project = serializers.CharField()


class PriceOut(serializers.Serializer[Any]):
    """What an awake hour costs by size from a day (UTC) on."""

    since = serializers.DateField()
    hour = serializers.DictField(child=serializers.CharField())


class CapOut(serializers.Serializer[Any]):
    """A cap of awake hours per calendar month (UTC), as it stands now; without `workspace` the organization's."""

    workspace = serializers.UUIDField(source="workspace_id", allow_null=True)
    mode = serializers.ChoiceField(choices=CapMode.choices)
    hours = serializers.IntegerField()
    used_s = serializers.IntegerField()
    percent = serializers.IntegerField()
    reached = serializers.BooleanField()
    changed_by = serializers.CharField()
    changed_at = serializers.DateTimeField()


class UsageOut(serializers.Serializer[Any]):
    """A month's usage."""

    month = serializers.CharField()
    awake_s = serializers.IntegerField(source="part.seconds")
    disputed_s = serializers.IntegerField(source="part.disputed_s")
    charged_s = serializers.IntegerField(source="part.charged_s")
    wakes = serializers.IntegerField(source="windows_in_all")
    currency = serializers.CharField(source="cost.currency", default=None, allow_null=True)
    cost = CostField(allow_null=True)
    prices = PriceOut(many=True, allow_null=True)
    days = DayOut(many=True)
    workspaces = WorkspaceUsageOut(many=True)
    billed_by_your_cloud = serializers.ListField(child=serializers.CharField(), source="elsewhere")


class WindowOut(serializers.Serializer[Any]):
    """The receipt of one wake; seconds and cost are of the part that lies in the month."""

    id = serializers.UUIDField()
    workspace = serializers.UUIDField(source="workspace_id")
    workspace_name = serializers.CharField(source="workspace")
    project = serializers.CharField()
    wake = serializers.IntegerField(source="number")
    size = serializers.CharField()
    cause = serializers.CharField()
    end_cause = serializers.CharField()
    cap = serializers.CharField(source="cap_mode")
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    awake_s = serializers.IntegerField(source="within.seconds")
    disputed_s = serializers.IntegerField(source="within.disputed_s")
    charged_s = serializers.IntegerField(source="within.charged_s")
    cost = CostField(allow_null=True)


class WindowsOut(serializers.Serializer[Any]):
    """A page of receipts, the newest first; `next` is null on the last one."""

    windows = WindowOut(many=True)
    next = serializers.CharField(allow_null=True)


class CapsOut(serializers.Serializer[Any]):
    caps = CapOut(many=True)


class CapIn(serializers.Serializer[Any]):
    workspace = serializers.UUIDField(required=False, allow_null=True, default=None)
    mode = serializers.ChoiceField(choices=CapMode.choices)
    hours = serializers.IntegerField(required=False, allow_null=True, default=None)


class LeaseOut(serializers.Serializer[Any]):
    """A job that keeps the runtime awake; `sleeps_at` is when it sleeps if nothing more happens."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    held_by = serializers.CharField()
    began_at = serializers.DateTimeField()
    until = serializers.DateTimeField()
    sleeps_at = serializers.DateTimeField(source="sleep_at", allow_null=True)


class LeasesOut(serializers.Serializer[Any]):
    leases = LeaseOut(many=True)


class LeaseIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    for_s = serializers.IntegerField(help_text="From now on: 60 to 43,200 seconds")


class ReleasedOut(serializers.Serializer[Any]):
    released = serializers.BooleanField()


class Usage(OrgAPIView):
    takes = frozenset({"month", "workspace"})

    @extend_schema(
        operation_id="get_usage",
        summary="A month's awake time by day and workspace; money for those who see billing",
        parameters=[MONTH, WORKSPACE],
        responses={200: UsageOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        asked = request.query_params
        seen = selectors.usage(
            actor=self.actor,
            slug=slug,
            month=_month(asked.get("month")),
            workspace_id=uuid_parameter("workspace", asked.get("workspace"), words=NO_WORKSPACE),
            size=1,
            most=None,
        )
        return Response(UsageOut(seen).data)


class Windows(OrgAPIView):
    takes = frozenset({"month", "workspace", "cursor", "limit"})

    @extend_schema(
        operation_id="list_usage_windows",
        summary="The receipt of every wake of a month, the newest first",
        parameters=[MONTH, WORKSPACE, CURSOR, LIMIT],
        responses={200: WindowsOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        asked = request.query_params
        try:
            before = read_place(asked.get("cursor", ""))
        except Unreadable:
            words = "This is the `next` of no page; begin without it."
            raise Invalid("This parameter cannot be used.", {"cursor": words}) from None
        seen = receipts.windows(
            actor=self.actor,
            slug=slug,
            month=_month(asked.get("month")),
            workspace_id=uuid_parameter("workspace", asked.get("workspace"), words=NO_WORKSPACE),
            before=before,
            size=read_limit(request, usual=receipts.PAGE_SIZE, most=MOST),
        )
        following = write_cursor(seen.older) if seen.older else None
        return Response(WindowsOut({"windows": seen.windows, "next": following}).data)


class Export(OrgAPIView):
    throttle_scope = "export"
    takes = frozenset({"month", "workspace", "format"})

    @extend_schema(
        operation_id="export_usage",
        summary="The receipt of every wake of a month as one file",
        parameters=[MONTH, WORKSPACE, FORM],
        responses={
            (200, "application/jsonl"): OpenApiResponse(OpenApiTypes.STR, "One receipt a line"),
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "The same, for a spreadsheet"),
            **REFUSALS,
        },
    )
    def get(self, request: Request, slug: str) -> Order:
        asked = request.query_params
        if asked.get("format", "") not in list(Form):
            raise Invalid("This parameter cannot be used.", {"format": "Choose jsonl or csv."})
        return usage_files.order(
            actor=self.actor,
            slug=slug,
            form=Form(asked["format"]),
            month=_month(asked.get("month")),
            workspace_id=uuid_parameter("workspace", asked.get("workspace"), words=NO_WORKSPACE),
        )


_ordered = Export.as_view()
export = delivers(_ordered)


class Caps(OrgAPIView):
    @extend_schema(
        operation_id="list_caps",
        summary="Usage caps, and how they stand this month",
        responses={200: CapsOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        return self._all(slug)

    @extend_schema(
        operation_id="set_cap",
        summary="Cap the awake hours of a calendar month: of the organization, or of one workspace",
        request=CapIn,
        responses={200: OpenApiResponse(CapsOut), **WRITES},
    )
    def post(self, request: Request, slug: str) -> Response:
        given = read_body(CapIn, request.data)
        set_cap(
            actor=self.actor,
            org_id=organization(actor=self.actor, slug=slug).id,
            mode=CapMode(given["mode"]),
            hours=given["hours"],
            workspace_id=given["workspace"],
        )
        return self._all(slug)

    def _all(self, slug: str) -> Response:
        return Response(CapsOut({"caps": selectors.caps(actor=self.actor, slug=slug)}).data)


class Leases(OrgAPIView):
    @extend_schema(
        operation_id="list_leases",
        summary="The jobs that keep a workspace's runtime awake",
        responses={200: LeasesOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        held = leases(actor=self.actor, slug=slug, workspace_id=workspace_id)
        return Response(LeasesOut({"leases": held}).data)

    @extend_schema(
        operation_id="hold_lease",
        summary="Keep the runtime awake for a job, waking it if it sleeps; the same name again extends it",
        request=LeaseIn,
        responses={200: OpenApiResponse(LeaseOut), **WRITES},
    )
    def post(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        given = read_body(LeaseIn, request.data)
        held = hold_awake(
            actor=self.actor,
            org_id=organization(actor=self.actor, slug=slug).id,
            workspace_id=workspace_id,
            name=given["name"],
            for_s=given["for_s"],
        )
        return Response(LeaseOut(held).data)


class OneLease(OrgAPIView):
    @extend_schema(
        operation_id="release_lease",
        summary="Say that the job has ended",
        responses={200: OpenApiResponse(ReleasedOut), **WRITES},
    )
    def delete(self, request: Request, slug: str, workspace_id: UUID, lease_id: UUID) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        release_lease(actor=self.actor, org_id=org_id, workspace_id=workspace_id, lease_id=lease_id)
        return Response(ReleasedOut({"released": True}).data)


def _month(text: str | None) -> Month | None:
    if text is None:
        return None
    try:
        return Month.named(text)
    except ValueError:
        raise Invalid(
            "This parameter cannot be used.", {"month": "Use a year and a month, such as 2026-11."}
        ) from None
