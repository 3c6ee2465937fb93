"""Workspaces over the API: open, look, wake, put to sleep, archive, delete."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.bodies import read_after, read_body, read_limit
from envforge.api.schema import REFUSALS, WRITES
from envforge.api.views import OrgAPIView
from envforge.errors import Invalid
from hosts.choices import Size
from orgs.selectors import organization
from workspaces.causes import WakeCause
from workspaces.operations import runtimes
from workspaces.operations import workspaces as lifecycle
from workspaces.selectors import listed, one
from workspaces.selectors.one import OneWorkspace
from workspaces.states import ShellNow, State

AFTER = OpenApiParameter("after", OpenApiTypes.UUID, description="`next` of the page before")
SHOW = OpenApiParameter("show", OpenApiTypes.STR, enum=["archived"], description="`archived` for those")
LIMIT = OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 200; 50 without")
SIZE_WORDS = "What it was given; without one, the largest that its contracts ask for counts."
MOST = 200

STATES = [state.value for state in State]


class WorkspaceOut(serializers.Serializer[Any]):
    """A workspace in a list; `awake_s` and `wakes` are of this calendar month (UTC)."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    branch = serializers.CharField()
    project = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES, source="now.state")
    shell = serializers.ChoiceField(choices=[state.value for state in ShellNow], source="now.shell")
    awake_since = serializers.DateTimeField(source="now.awake_since", allow_null=True)
    sleeps_at = serializers.DateTimeField(source="now.sleeps_at", allow_null=True)
    awake_s = serializers.IntegerField(source="month.seconds")
    wakes = serializers.IntegerField(source="month.wakes")
    opened_by = serializers.CharField()
    opened_at = serializers.DateTimeField()


class WorkspacesOut(serializers.Serializer[Any]):
    """A page of workspaces, the newest first."""

    workspaces = WorkspaceOut(many=True)
    next = serializers.UUIDField(allow_null=True)


class ServiceOut(serializers.Serializer[Any]):
    """A service of the present wake."""

    name = serializers.CharField()
    kind = serializers.CharField()
    health = serializers.CharField()
    since = serializers.DateTimeField()
    restarts = serializers.IntegerField()


class CheckoutOut(serializers.Serializer[Any]):
    """A repository as it lies in the working tree; `problem` says why it does not."""

    repository = serializers.CharField()
    branch = serializers.CharField()
    commit = serializers.CharField()
    dirty = serializers.BooleanField()
    problem = serializers.CharField()


class WakeOut(serializers.Serializer[Any]):
    """A wake with its readiness receipt; `number` counts the workspace's wakes."""

    number = serializers.IntegerField(source="epoch")
    cause = serializers.CharField()
    asked_by = serializers.CharField()
    detail = serializers.CharField()
    asked_at = serializers.DateTimeField()
    ready_at = serializers.DateTimeField(allow_null=True)
    ready_ms = serializers.IntegerField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    end_cause = serializers.CharField()
    size = serializers.CharField()
    services = serializers.JSONField()
    blockers = serializers.JSONField()


class OneWorkspaceOut(serializers.Serializer[Any]):
    """A workspace with its states; `cause` is why it is awake, `trouble` what keeps it from being so."""

    id = serializers.UUIDField(source="workspace.id")
    slug = serializers.CharField(source="workspace.slug")
    branch = serializers.CharField(source="workspace.branch")
    project = serializers.CharField(source="workspace.project.slug")
    state = serializers.ChoiceField(choices=STATES, source="now.state")
    shell = serializers.ChoiceField(choices=[state.value for state in ShellNow], source="now.shell")
    awake_since = serializers.DateTimeField(source="now.awake_since", allow_null=True)
    sleeps_at = serializers.DateTimeField(source="now.sleeps_at", allow_null=True)
    cause = serializers.CharField(source="runtime.active_cause")
    trouble = serializers.CharField(source="runtime.trouble")
    size = serializers.CharField(source="workspace.size", help_text=SIZE_WORDS)
    idle_timeout_s = serializers.IntegerField(
        source="workspace.idle_timeout_s", allow_null=True, help_text=SIZE_WORDS
    )
    dev_links = serializers.IntegerField(source="links.open")
    awake_s = serializers.IntegerField(source="month.seconds")
    services = ServiceOut(many=True)
    checkouts = CheckoutOut(many=True)
    wakes = WakeOut(many=True)


class OpenedOut(serializers.Serializer[Any]):
    """What was opened, or was there already."""

    id = serializers.UUIDField()
    slug = serializers.CharField()


class OpenIn(serializers.Serializer[Any]):
    project = serializers.UUIDField()
    branch = serializers.CharField(max_length=200)


class ChangeIn(serializers.Serializer[Any]):
    size = serializers.ChoiceField(choices=Size.choices, required=False, allow_null=True)
    idle_timeout_s = serializers.IntegerField(required=False, allow_null=True)


class Workspaces(OrgAPIView):
    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"after", "show", "limit"}) if self.request.method == "GET" else frozenset()

    @extend_schema(
        operation_id="list_workspaces",
        summary="Workspaces that one may see",
        parameters=[AFTER, SHOW, LIMIT],
        responses={200: WorkspacesOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        asked = request.query_params
        if asked.get("show", "archived") != "archived":
            raise Invalid("This parameter cannot be used.", {"show": "Use `archived`, or leave it out."})
        seen = listed.workspaces(
            actor=self.actor,
            slug=slug,
            after=read_after(request),
            archived="show" in asked,
            size=read_limit(request, usual=listed.PAGE_SIZE, most=MOST),
        )
        return Response(WorkspacesOut({"workspaces": seen.workspaces, "next": seen.next_after}).data)

    @extend_schema(
        operation_id="open_workspace",
        summary="Open the workspace of a branch, or find it",
        request=OpenIn,
        responses={200: OpenApiResponse(OpenedOut), **WRITES},
    )
    def post(self, request: Request, slug: str) -> Response:
        given = read_body(OpenIn, request.data)
        opened = lifecycle.open_workspace(
            actor=self.actor,
            org_id=organization(actor=self.actor, slug=slug).id,
            project_id=given["project"],
            branch=given["branch"],
        )
        return Response(OpenedOut(opened).data)


class OneOf(OrgAPIView):
    """One workspace, and what every act upon it answers."""

    def seen(self, workspace_id: UUID) -> Response:
        return Response(OneWorkspaceOut(self._read(workspace_id)).data)

    def accepted(self, workspace_id: UUID) -> Response:
        """What was asked for is on its way."""
        return Response(OneWorkspaceOut(self._read(workspace_id)).data, status=202)

    def of(self, workspace_id: UUID) -> dict[str, Any]:
        """The first arguments of every operation."""
        org_id = organization(actor=self.actor, slug=self.slug).id
        return {"actor": self.actor, "org_id": org_id, "workspace_id": workspace_id}

    def _read(self, workspace_id: UUID) -> OneWorkspace:
        return one.workspace(actor=self.actor, slug=self.slug, workspace_id=workspace_id)


class OneWorkspaceView(OneOf):
    @extend_schema(
        operation_id="get_workspace",
        summary="One workspace: its states, services and latest wakes",
        responses={200: OneWorkspaceOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        return self.seen(workspace_id)

    @extend_schema(
        operation_id="change_workspace",
        summary="Choose its size, and after how long unused it sleeps",
        request=ChangeIn,
        responses={200: OneWorkspaceOut, **WRITES},
    )
    def patch(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        given = read_body(ChangeIn, request.data)
        if "size" in given:
            size = Size(given["size"]) if given["size"] else None
            lifecycle.choose_size(**self.of(workspace_id), size=size)
        if "idle_timeout_s" in given:
            lifecycle.choose_idle_timeout(**self.of(workspace_id), seconds=given["idle_timeout_s"])
        return self.seen(workspace_id)

    @extend_schema(
        operation_id="delete_workspace",
        summary="Delete a workspace, its files and its managed data",
        responses={202: OneWorkspaceOut, **WRITES},
    )
    def delete(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        lifecycle.delete_workspace(**self.of(workspace_id))
        return self.accepted(workspace_id)


class Wake(OneOf):
    @extend_schema(
        operation_id="wake_workspace",
        summary="Ask for its runtime to be awake; asking again changes nothing",
        request=None,
        responses={202: OneWorkspaceOut, **WRITES},
    )
    def post(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        runtimes.wake_runtime(**self.of(workspace_id), cause=WakeCause.API)
        return self.accepted(workspace_id)


class Sleep(OneOf):
    @extend_schema(
        operation_id="sleep_workspace",
        summary="Ask for its runtime to be asleep",
        request=None,
        responses={202: OneWorkspaceOut, **WRITES},
    )
    def post(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        runtimes.sleep_runtime(**self.of(workspace_id))
        return self.accepted(workspace_id)


class Archive(OneOf):
    @extend_schema(
        operation_id="archive_workspace",
        summary="Archive a workspace; its files are kept for a while",
        request=None,
        responses={202: OneWorkspaceOut, **WRITES},
    )
    def post(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        lifecycle.archive_workspace(**self.of(workspace_id))
        return self.accepted(workspace_id)


class Restore(OneOf):
    @extend_schema(
        operation_id="restore_workspace",
        summary="Take an archived workspace up again",
        request=None,
        responses={202: OneWorkspaceOut, **WRITES},
    )
    def post(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        lifecycle.restore_workspace(**self.of(workspace_id))
        return self.accepted(workspace_id)
