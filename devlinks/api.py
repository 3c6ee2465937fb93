"""Dev links over the API: issue, look, rotate, extend, change what they open, revoke; and the organization's policy."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.views.decorators.debug import sensitive_variables
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from devlinks import rules, selectors
from devlinks.operations import links as operations
from devlinks.operations.links import Issued
from devlinks.operations.policy import set_link_policy
from devlinks.operations.shells import issue_shell_ticket
from envforge.api.bodies import read_after, read_body, uuid_parameter
from envforge.api.schema import REFUSALS, WRITES
from envforge.api.views import OrgAPIView
from orgs.selectors import organization

AFTER = OpenApiParameter("after", OpenApiTypes.UUID, description="`next` of the page before")
WORKSPACE = OpenApiParameter("workspace", OpenApiTypes.UUID, description="links of this workspace alone")
ADDRESS = "Opens the link, for whoever has it. Answered this once; EnvForge does not keep it."
SURFACES = [(one, one) for one in rules.SURFACES]


def _surfaces(**how: Any) -> "serializers.MultipleChoiceField":
    return serializers.MultipleChoiceField(choices=SURFACES, **how)


class LinkOut(serializers.Serializer[Any]):
    """A link; `visitors` are sessions that work now."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    note = serializers.CharField()
    workspace = serializers.UUIDField(source="workspace_id")
    service = serializers.CharField()
    surfaces = serializers.ListField(child=serializers.ChoiceField(choices=SURFACES))
    state = serializers.ChoiceField(choices=["open", "expired", "revoked"])
    issued_by = serializers.CharField()
    issued_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    first_used_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    wakes_spent = serializers.IntegerField()
    wakes_budget = serializers.IntegerField()
    awake_budget_s = serializers.IntegerField()
    visitors = serializers.IntegerField()


class LinksOut(serializers.Serializer[Any]):
    """A page of links, the newest first."""

    links = LinkOut(many=True)
    next = serializers.UUIDField(allow_null=True)


class AppliedOut(serializers.Serializer[Any]):
    """What one gateway did: `at` is null where it has not said so, `silent_since` where it fell silent before."""

    gateway = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    cut = serializers.IntegerField()
    emptied = serializers.BooleanField()
    silent_since = serializers.DateTimeField(allow_null=True)


class ReceiptOut(serializers.Serializer[Any]):
    """A revocation or rotation, as gateways applied it."""

    at = serializers.DateTimeField()
    reason = serializers.CharField()
    cut = serializers.IntegerField()
    waits_for = serializers.IntegerField()
    applied = AppliedOut(many=True)


class OneLinkOut(serializers.Serializer[Any]):
    link = LinkOut()
    host = serializers.CharField()
    receipts = ReceiptOut(many=True)
    awake_s = serializers.IntegerField(help_text="For how long its wakes have lasted together.")


class IssuedLinkOut(serializers.Serializer[Any]):
    """A link with its address."""

    link = LinkOut()
    address = serializers.CharField(help_text=ADDRESS)


class PolicyOut(serializers.Serializer[Any]):
    """What the organization allows of links."""

    longest_s = serializers.IntegerField()
    issuers = serializers.ChoiceField(choices=["workspace", "operators", "admins"])
    surfaces = serializers.ListField(child=serializers.ChoiceField(choices=SURFACES))
    wakes_budget = serializers.IntegerField()
    awake_budget_s = serializers.IntegerField()
    workspace_wakes = serializers.IntegerField()
    workspace_awake_s = serializers.IntegerField()


class RevokedOut(serializers.Serializer[Any]):
    """How many links were open and are revoked now."""

    revoked = serializers.IntegerField()


class HandedOverOut(serializers.Serializer[Any]):
    """How many open links another member answers for now."""

    handed_over = serializers.IntegerField()


class HandOverIn(serializers.Serializer[Any]):
    to = serializers.UUIDField(help_text="The member who answers for them from now on.")


class TicketOut(serializers.Serializer[Any]):
    """The bearer token for one WebSocket (`envforge-ssh.v1`) at `address`, good once and for a minute."""

    ticket = serializers.CharField()
    address = serializers.CharField()
    expires_at = serializers.DateTimeField()


class IssueIn(serializers.Serializer[Any]):
    workspace = serializers.UUIDField()
    service = serializers.CharField(max_length=63)
    lifetime_s = serializers.IntegerField(min_value=rules.SHORTEST_S, max_value=rules.LONGEST_EVER_S)
    surfaces = _surfaces(required=False, default=())
    name = serializers.CharField(max_length=80, required=False, allow_blank=True, default="")
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    wakes_budget = serializers.IntegerField(required=False, allow_null=True, default=None)
    awake_budget_s = serializers.IntegerField(required=False, allow_null=True, default=None)


class AllowIn(serializers.Serializer[Any]):
    surfaces = _surfaces()


class ExtendIn(serializers.Serializer[Any]):
    expires_at = serializers.DateTimeField()


class PolicyIn(serializers.Serializer[Any]):
    """Fields that are left out stay as they are."""

    longest_s = serializers.IntegerField(required=False)
    issuers = serializers.ChoiceField(choices=["workspace", "operators", "admins"], required=False)
    surfaces = _surfaces(required=False)
    wakes_budget = serializers.IntegerField(required=False)
    awake_budget_s = serializers.IntegerField(required=False)
    workspace_wakes = serializers.IntegerField(required=False)
    workspace_awake_s = serializers.IntegerField(required=False)


class Links(OrgAPIView):
    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"after", "workspace"}) if self.request.method == "GET" else frozenset()

    @extend_schema(
        operation_id="list_dev_links",
        summary="Dev links, the newest first",
        parameters=[AFTER, WORKSPACE],
        responses={200: LinksOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        seen = selectors.links(
            actor=self.actor,
            slug=slug,
            after=read_after(request),
            workspace_id=uuid_parameter(
                "workspace", request.query_params.get("workspace"), words="Use a workspace's id."
            ),
        )
        return Response(LinksOut({"links": seen.links, "next": seen.next_after}).data)

    @extend_schema(
        operation_id="issue_dev_link",
        summary="Issue a link to one service of a workspace",
        request=IssueIn,
        responses={200: OpenApiResponse(IssuedLinkOut), **WRITES},
    )
    @sensitive_variables("issued")
    def post(self, request: Request, slug: str) -> Response:
        given = read_body(IssueIn, request.data)
        issued = operations.issue_dev_link(
            actor=self.actor,
            org_id=organization(actor=self.actor, slug=slug).id,
            workspace_id=given["workspace"],
            service=given["service"],
            lifetime=timedelta(seconds=given["lifetime_s"]),
            surfaces=given["surfaces"],
            name=given["name"],
            note=given["note"],
            wakes_budget=given["wakes_budget"],
            awake_budget_s=given["awake_budget_s"],
        )
        return _shown_once(self, slug, issued)


class OneLink(OrgAPIView):
    @extend_schema(
        operation_id="get_dev_link",
        summary="One link, and what gateways did when it was revoked",
        responses={200: OneLinkOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, link_id: UUID) -> Response:
        return Response(OneLinkOut(selectors.link(actor=self.actor, slug=slug, link_id=link_id)).data)

    @extend_schema(
        operation_id="revoke_dev_link",
        summary="Revoke a link; whoever came by it is out within a second",
        responses={200: OneLinkOut, **WRITES},
    )
    def delete(self, request: Request, slug: str, link_id: UUID) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        operations.revoke_dev_link(actor=self.actor, org_id=org_id, link_id=link_id)
        return Response(OneLinkOut(selectors.link(actor=self.actor, slug=slug, link_id=link_id)).data)


class Rotate(OrgAPIView):
    @extend_schema(
        operation_id="rotate_dev_link",
        summary="Give a link another address; the earlier one ends at once",
        request=None,
        responses={200: IssuedLinkOut, **WRITES},
    )
    @sensitive_variables("issued")
    def post(self, request: Request, slug: str, link_id: UUID) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        issued = operations.rotate_dev_link(actor=self.actor, org_id=org_id, link_id=link_id)
        return _shown_once(self, slug, issued)


class Extend(OrgAPIView):
    @extend_schema(
        operation_id="extend_dev_link",
        summary="Let a link live longer, never beyond the policy",
        request=ExtendIn,
        responses={200: IssuedLinkOut, **WRITES},
    )
    @sensitive_variables("issued")
    def post(self, request: Request, slug: str, link_id: UUID) -> Response:
        given = read_body(ExtendIn, request.data)
        org_id = organization(actor=self.actor, slug=slug).id
        issued = operations.extend_dev_link(
            actor=self.actor, org_id=org_id, link_id=link_id, expires_at=given["expires_at"]
        )
        return _shown_once(self, slug, issued)


class Allow(OrgAPIView):
    @extend_schema(
        operation_id="change_dev_link_allowlist",
        summary="Change what a link opens",
        request=AllowIn,
        responses={200: OneLinkOut, **WRITES},
    )
    def post(self, request: Request, slug: str, link_id: UUID) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        given = read_body(AllowIn, request.data)
        operations.change_allowlist(
            actor=self.actor, org_id=org_id, link_id=link_id, surfaces=given["surfaces"]
        )
        return Response(OneLinkOut(selectors.link(actor=self.actor, slug=slug, link_id=link_id)).data)


class RevokeOfWorkspace(OrgAPIView):
    @extend_schema(
        operation_id="revoke_dev_links_of_workspace",
        summary="Revoke every open link of a workspace",
        request=None,
        responses={200: RevokedOut, **WRITES},
    )
    def post(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        revoked = operations.revoke_links_of_workspace(
            actor=self.actor, org_id=org_id, workspace_id=workspace_id
        )
        return Response(RevokedOut({"revoked": revoked}).data)


class RevokeOfPerson(OrgAPIView):
    @extend_schema(
        operation_id="revoke_dev_links_of_member",
        summary="Revoke every open link that a member answers for",
        request=None,
        responses={200: RevokedOut, **WRITES},
    )
    def post(self, request: Request, slug: str, person_id: UUID) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        revoked = operations.revoke_links_of_person(actor=self.actor, org_id=org_id, person_id=person_id)
        return Response(RevokedOut({"revoked": revoked}).data)


class HandOver(OrgAPIView):
    @extend_schema(
        operation_id="hand_over_dev_links",
        summary="Let another member answer for a member's open links; they stay as they are",
        request=HandOverIn,
        responses={200: HandedOverOut, **WRITES},
    )
    def post(self, request: Request, slug: str, person_id: UUID) -> Response:
        given = read_body(HandOverIn, request.data)
        org_id = organization(actor=self.actor, slug=slug).id
        count = operations.hand_over_links(
            actor=self.actor, org_id=org_id, person_id=person_id, to=given["to"]
        )
        return Response(HandedOverOut({"handed_over": count}).data)


class LinkPolicy(OrgAPIView):
    @extend_schema(
        operation_id="get_link_policy",
        summary="What the organization allows of links",
        responses={200: PolicyOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(PolicyOut(selectors.link_rules(actor=self.actor, slug=slug).rules).data)

    @extend_schema(
        operation_id="set_link_policy",
        summary="Change what the organization allows of links",
        request=PolicyIn,
        responses={200: PolicyOut, **WRITES},
    )
    def post(self, request: Request, slug: str) -> Response:
        given = read_body(PolicyIn, request.data)
        if "surfaces" in given:
            given["surfaces"] = tuple(given["surfaces"])
        org_id = organization(actor=self.actor, slug=slug).id
        return Response(PolicyOut(set_link_policy(actor=self.actor, org_id=org_id, **given)).data)


class ShellTickets(OrgAPIView):
    @extend_schema(
        operation_id="issue_shell_ticket",
        summary="A ticket for one SSH connection through the gateway",
        request=None,
        responses={201: TicketOut, **WRITES},
    )
    @sensitive_variables("issued")
    def post(self, request: Request, slug: str, workspace_id: UUID) -> Response:
        org_id = organization(actor=self.actor, slug=slug).id
        issued = issue_shell_ticket(actor=self.actor, org_id=org_id, workspace_id=workspace_id)
        shown = {
            "ticket": issued.ticket.reveal_text(),
            "address": issued.address,
            "expires_at": issued.expires_at,
        }
        answer = Response(TicketOut(shown).data, status=201)
        answer["Cache-Control"] = "no-store"
        return answer


def _shown_once(view: OrgAPIView, slug: str, issued: Issued) -> Response:
    seen = selectors.link(actor=view.actor, slug=slug, link_id=issued.link.id)
    answer = Response(IssuedLinkOut({"link": seen.link, "address": issued.address.reveal_text()}).data)
    answer["Cache-Control"] = "no-store"
    return answer
