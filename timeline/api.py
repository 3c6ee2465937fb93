"""The timeline over the API: the same filters, pages and exports as in the console."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.kinds import BY_NAME
from audit.selectors import PAGE_SIZE
from audit.sentences import sentence
from envforge.api.schema import REFUSALS
from envforge.api.views import OrgAPIView
from envforge.cursors import write_cursor
from envforge.errors import Invalid
from timeline import selectors
from timeline.asked import READERS, Unreadable, read_filter, read_place
from timeline.deliveries import Order, delivers, timeline_order
from timeline.rows import Form

MOST_EVENTS = 200

FILTERS = [
    OpenApiParameter("kind", description="One kind of event, such as member.joined", enum=sorted(BY_NAME)),
    OpenApiParameter("actor", description="Who did it, by id"),
    OpenApiParameter("target", description="What it was done to, by id"),
    OpenApiParameter("workspace", OpenApiTypes.UUID, description="The workspace it belongs to"),
    OpenApiParameter("request", description="The request that caused it, such as an error's request_id"),
    OpenApiParameter(
        "since", OpenApiTypes.DATETIME, description="From this moment on; a date means midnight UTC"
    ),
    OpenApiParameter("until", OpenApiTypes.DATETIME, description="Before this moment"),
]
CURSOR = OpenApiParameter("cursor", description="`next` of the page before; empty for the newest events")
LIMIT = OpenApiParameter("limit", OpenApiTypes.INT, description=f"Events a page, 1 to {MOST_EVENTS}; else 50")
FORM = OpenApiParameter(
    "format",
    required=True,
    enum=[form.value for form in Form],
    description="jsonl verifies; csv is for reading",
)


class NamedOut(serializers.Serializer[Any]):
    """Who acted, or what was acted upon, as they were called then."""

    kind = serializers.CharField()
    id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field of ours, where theirs is a string


class EventOut(serializers.Serializer[Any]):
    """Something that happened; `sequence` is null for the seconds before it is sealed."""

    id = serializers.UUIDField()
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    sentence = serializers.SerializerMethodField()
    actor = serializers.SerializerMethodField()
    target = serializers.SerializerMethodField()
    workspace = serializers.UUIDField(source="workspace_id", allow_null=True)
    request_id = serializers.CharField()
    facts = serializers.DictField()
    sequence = serializers.IntegerField(source="seq", allow_null=True)

    def get_sentence(self, event: Any) -> str:
        return "".join(piece.text for piece in sentence(event))

    @extend_schema(responses=NamedOut)
    def get_actor(self, event: Any) -> dict[str, str]:
        return {"kind": event.actor_kind, "id": event.actor_id, "label": event.actor_label}

    @extend_schema(responses=NamedOut)
    def get_target(self, event: Any) -> dict[str, str]:
        return {"kind": event.target_kind, "id": event.target_id, "label": event.target_label}


class EventsOut(serializers.Serializer[Any]):
    """A page of events, the newest first; `next` is null on the last one."""

    events = EventOut(many=True)
    next = serializers.CharField(allow_null=True)


class CheckpointOut(serializers.Serializer[Any]):
    """The control plane's signed statement of one hash (docs/audit-format.md); keep it to tell a later rewriting."""

    chain = serializers.UUIDField()
    seq = serializers.IntegerField()
    hash = serializers.CharField()
    at = serializers.CharField()
    key_id = serializers.CharField()
    signature = serializers.CharField()


class ChainOut(serializers.Serializer[Any]):
    """How far the chain is sealed and signed, and how many events wait."""

    sealed_seq = serializers.IntegerField()
    signed_seq = serializers.IntegerField()
    signed_at = serializers.DateTimeField(allow_null=True)
    unsealed = serializers.IntegerField()
    checkpoint = CheckpointOut(allow_null=True)


class Events(OrgAPIView):
    takes = frozenset({*READERS, "cursor", "limit"})

    @extend_schema(
        operation_id="list_events",
        summary="What happened, the newest first",
        parameters=[*FILTERS, CURSOR, LIMIT],
        responses={200: EventsOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        given = request.query_params.dict()
        asked = read_filter(given)
        wrong = dict(asked.wrong)
        before, size = None, PAGE_SIZE
        try:
            before = read_place(given.get("cursor", ""))
        except Unreadable as unreadable:
            wrong["cursor"] = str(unreadable)
        if "limit" in given:
            size = _size(given["limit"])
            if not size:
                wrong["limit"] = f"Use a whole number from 1 to {MOST_EVENTS}."
        if wrong:
            raise Invalid("These parameters cannot be used.", wrong)
        page = selectors.events(actor=self.actor, slug=slug, wanted=asked.wanted, before=before, size=size)
        following = write_cursor(page.older) if page.older else None
        return Response(EventsOut({"events": page.events, "next": following}).data)


class Chain(OrgAPIView):
    @extend_schema(
        operation_id="get_chain",
        summary="How far the record is sealed and signed",
        responses={200: ChainOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        seen = selectors.chain(actor=self.actor, slug=slug)
        return Response(ChainOut(seen.as_json()).data)


class Export(OrgAPIView):
    throttle_scope = "export"
    takes = frozenset({*READERS, "format"})

    @extend_schema(
        operation_id="export_events",
        summary="All sealed events that the filters want, as one file",
        parameters=[*FILTERS, FORM],
        responses={
            (200, "application/jsonl"): OpenApiResponse(OpenApiTypes.STR, "See docs/audit-format.md"),
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "For reading; cannot be verified"),
            **REFUSALS,
        },
    )
    def get(self, request: Request, slug: str) -> Order:
        given = request.query_params.dict()
        asked = read_filter(given)
        wrong = dict(asked.wrong)
        form = given.get("format", "")
        if form not in list(Form):
            wrong["format"] = "Choose jsonl or csv."
        if wrong:
            raise Invalid("These parameters cannot be used.", wrong)
        return timeline_order(actor=self.actor, slug=slug, wanted=asked.wanted, form=Form(form))


_ordered = Export.as_view()
export = delivers(_ordered)
export.csrf_exempt = True  # type: ignore[attr-defined]  # the authenticator asks


def _size(text: str) -> int:
    """How many events a page; 0 for what is no such number."""
    size = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_EVENTS)) else 0
    return size if size <= MOST_EVENTS else 0
