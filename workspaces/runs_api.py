"""Commands over the API: run, follow, cancel, and look back."""

import codecs
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.bodies import read_after, read_body
from envforge.api.schema import REFUSALS, WRITES
from envforge.errors import Invalid
from workspaces.api import OneOf
from workspaces.operations import commands as operations
from workspaces.selectors import commands
from workspaces.selectors.commands import ENDS, RunFilter

LARGEST_OFFSET = 1 << 40
TYPES = list(commands.KINDS)
ASKED = [
    OpenApiParameter("after", OpenApiTypes.UUID, description="`next` of the page before"),
    OpenApiParameter("service", OpenApiTypes.STR, description="of this service"),
    OpenApiParameter("type", OpenApiTypes.STR, enum=TYPES),
    OpenApiParameter("who", OpenApiTypes.STR, description="whose name is exactly this"),
    OpenApiParameter("end", OpenApiTypes.STR, enum=list(ENDS), description="`open`: not over yet"),
    OpenApiParameter("since", OpenApiTypes.DATETIME, description="asked for then or later"),
]
OFFSET = OpenApiParameter("offset", OpenApiTypes.INT, description="in bytes; 0 without")

STATES = ["waits", "runs", "ok", "failed"]


class RunOut(serializers.Serializer[Any]):
    """A command's receipt: metadata, safe to paste. `trouble` says why it did not run, or not to its end."""

    id = serializers.UUIDField()
    service = serializers.CharField()
    type = serializers.ChoiceField(choices=TYPES)
    name = serializers.CharField(help_text="The contract's name; of one that somebody wrote, its first word.")
    state = serializers.ChoiceField(choices=STATES)
    asked_by = serializers.CharField()
    asked_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    exit_status = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)
    timed_out = serializers.BooleanField()
    timeout_s = serializers.IntegerField()
    trouble = serializers.CharField()
    output_bytes = serializers.IntegerField()
    truncated = serializers.BooleanField()
    output_gone = serializers.BooleanField()


class RunsOut(serializers.Serializer[Any]):
    """A page of receipts, the newest first."""

    runs = RunOut(many=True)
    next = serializers.UUIDField(allow_null=True)


class OutputOut(serializers.Serializer[Any]):
    """A part of a command's output; `over`: nothing comes after `next_offset`, which is in bytes."""

    text = serializers.CharField()
    offset = serializers.IntegerField()
    next_offset = serializers.IntegerField()
    over = serializers.BooleanField()
    truncated = serializers.BooleanField()
    gone = serializers.BooleanField()


class RunIn(serializers.Serializer[Any]):
    """`name` with `test` and `service`; `argv` with `agent`, and `timeout_s` if need be."""

    service = serializers.CharField(max_length=63)
    type = serializers.ChoiceField(choices=TYPES)
    name = serializers.CharField(max_length=80, required=False)
    argv = serializers.ListField(
        child=serializers.CharField(max_length=20_000, trim_whitespace=False, allow_blank=True),
        required=False,
        max_length=operations.MOST_WORDS,
    )
    timeout_s = serializers.IntegerField(required=False)


class Runs(OneOf):
    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset(one.name for one in ASKED) if self.request.method == "GET" else frozenset()

    @extend_schema(
        operation_id="list_runs",
        summary="Commands that were run in a workspace",
        parameters=ASKED,
        responses={200: RunsOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        asked = request.query_params
        seen = commands.runs(
            actor=self.actor,
            slug=slug,
            workspace_id=workspace_id,
            only=read_filter(asked),
            after=read_after(request),
        )
        return Response(RunsOut({"runs": seen.runs, "next": seen.next_after}).data)

    @extend_schema(
        operation_id="run_command",
        summary="Run a test or command; a sleeping runtime wakes for it",
        request=RunIn,
        responses={202: RunOut, **WRITES},
    )
    def post(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        given = read_body(RunIn, request.data)
        made = operations.run_command(
            **self.of(workspace_id),
            service=given["service"],
            type=given["type"],
            name=given.get("name", ""),
            argv=given.get("argv", ()),
            timeout_s=given.get("timeout_s"),
        )
        return Response(RunOut(commands.view_of(made)).data, status=202)


class OneRun(OneOf):
    @extend_schema(
        operation_id="get_run", summary="One command's receipt", responses={200: RunOut, **REFUSALS}
    )
    def get(self, request: Request, slug: str, workspace_id: UUID, run_id: UUID) -> Response:
        seen = commands.run(actor=self.actor, slug=slug, workspace_id=workspace_id, run_id=run_id)
        return Response(RunOut(seen.run).data)


class RunOutput(OneOf):
    takes = frozenset({"offset"})

    @extend_schema(
        operation_id="get_run_output",
        summary="What a command wrote, from an offset on, while it runs too",
        parameters=[OFFSET],
        responses={200: OutputOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, workspace_id: UUID, run_id: UUID) -> Response:
        part = commands.output(
            actor=self.actor,
            slug=slug,
            workspace_id=workspace_id,
            run_id=run_id,
            offset=_offset(request.query_params.get("offset")),
        )
        text, taken = whole_text(part.data, last=part.over)
        return Response(
            OutputOut(
                {
                    "text": text,
                    "offset": part.offset,
                    "next_offset": part.offset + taken,
                    "over": part.over,
                    "truncated": part.run.truncated,
                    "gone": part.run.output_gone,
                }
            ).data
        )


class CancelRun(OneOf):
    @extend_schema(
        operation_id="cancel_run",
        summary="Cancel a command; one that is over stays as it is",
        request=None,
        responses={202: RunOut, **WRITES},
    )
    def post(self, request: Request, slug: str, workspace_id: UUID, run_id: UUID) -> Response:
        row = operations.cancel_run(**self.of(workspace_id), run_id=run_id)
        return Response(RunOut(commands.view_of(row)).data, status=202)


def read_filter(asked: Any) -> RunFilter:
    """The filter of an address' parameters.

    Raises:
        Invalid: one of them cannot be used.
    """
    kind, end, since = asked.get("type", ""), asked.get("end", ""), asked.get("since", "")
    if kind and kind not in TYPES:
        raise Invalid("This parameter cannot be used.", {"type": f"Use one of {', '.join(TYPES)}."})
    if end and end not in ENDS:
        raise Invalid("This parameter cannot be used.", {"end": f"Use one of {', '.join(ENDS)}."})
    try:
        moment = parse_datetime(since) if since else None
    except ValueError:
        moment = None
    if since and (moment is None or moment.tzinfo is None):
        raise Invalid("This parameter cannot be used.", {"since": "Use a time such as 2026-01-31T12:00:00Z."})
    words = {name: asked.get(name, "")[:200].replace("\0", "") for name in ("service", "who")}
    return RunFilter(**words, type=kind, end=end, since=moment)


def whole_text(data: bytes, *, last: bool) -> tuple[str, int]:
    """The text of whole characters, and how many bytes they took: a character may be cut by the end of a part."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(data, final=last)
    return text, len(data) - len(decoder.getstate()[0])


def _offset(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isascii() or not text.isdigit() or int(text[:15]) > LARGEST_OFFSET:
        raise Invalid("This parameter cannot be used.", {"offset": "Use a number of bytes."})
    return int(text[:15])
