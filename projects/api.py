"""Projects over the API: what the pages show and do, by the names that people use."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from envforge.api.bodies import key_parameter, read_after, read_body, read_key
from envforge.api.schema import REFUSALS, WRITES
from envforge.api.views import OrgAPIView
from envforge.errors import Invalid
from orgs.selectors import organization
from projects import operations, selectors, wire
from projects.choices import Cleanup, Decision, Mode, Source
from projects.operations.resources import Given
from projects.selectors import OneProject, OneRepository

KEY = key_parameter("")
DECISION = OpenApiParameter("decision", enum=Decision.values, description="Only these; else all")
AFTER = OpenApiParameter("after", UUID, description="`next` of the page before")


class ProjectView(OrgAPIView):
    """What addresses of projects have in common."""

    def one(self, slug: str, project: str) -> OneProject:
        return selectors.project(actor=self.actor, slug=slug, project=project)

    def part(self, slug: str, project: str, repository: str) -> OneRepository:
        return selectors.repository(actor=self.actor, slug=slug, project=project, name=repository)

    def answer(self, slug: str, project: str, repository: str) -> Response:
        """The repository as it is after a change."""
        return Response(wire.RepositoryOut(self.part(slug, project, repository).repository).data)


class Projects(ProjectView):
    @extend_schema(
        operation_id="list_projects",
        summary="The projects you may see",
        responses={200: wire.ProjectsOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        seen = selectors.projects(actor=self.actor, slug=slug)
        return Response(wire.ProjectsOut(seen).data)

    @extend_schema(
        operation_id="create_project",
        summary="Create a project",
        parameters=[KEY],
        request=wire.NewProject,
        responses={200: wire.OneProjectOut, **WRITES},
    )
    def post(self, request: Request, slug: str) -> Response:
        given = read_body(wire.NewProject, request.data)
        org_id = organization(actor=self.actor, slug=slug).id
        made = operations.create_project(
            actor=self.actor, org_id=org_id, slug=given["slug"], name=given["name"], key=read_key(request)
        )
        shown: dict[str, Any] = {
            "slug": made.slug,
            "name": made.name,
            "archived_at": made.archived_at,
            "repositories": [],
        }
        return Response(wire.OneProjectOut(shown).data)


class Project(ProjectView):
    @extend_schema(
        operation_id="get_project",
        summary="One project with its repositories, inputs and what is missing",
        responses={200: wire.OneProjectOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, project: str) -> Response:
        seen = self.one(slug, project)
        shown = {
            "slug": seen.project.slug,
            "name": seen.project.name,
            "archived_at": seen.project.archived_at,
            "repositories": seen.repositories,
        }
        return Response(wire.OneProjectOut(shown).data)


class Archive(ProjectView):
    @extend_schema(
        operation_id="archive_project",
        summary="Archive a project; again, it changes nothing",
        request=None,
        responses={200: wire.ArchivedOut, **WRITES},
    )
    def post(self, request: Request, slug: str, project: str) -> Response:
        seen = self.one(slug, project)
        operations.archive_project(actor=self.actor, org_id=seen.organization.id, project_id=seen.project.id)
        return Response(wire.ArchivedOut({"archived": True}).data)


class Repositories(ProjectView):
    @extend_schema(
        operation_id="add_repository",
        summary="Add a repository to a project",
        parameters=[KEY],
        request=wire.NewRepository,
        responses={200: wire.RepositoryOut, **WRITES},
    )
    def post(self, request: Request, slug: str, project: str) -> Response:
        given = read_body(wire.NewRepository, request.data)
        seen = self.one(slug, project)
        made = operations.add_repository(
            actor=self.actor,
            org_id=seen.organization.id,
            project_id=seen.project.id,
            name=given["name"],
            url=given["url"],
            default_branch=given["default_branch"],
            access_id=given["access"],
            app=given["app"],
            key=read_key(request),
        )
        return self.answer(slug, project, made.name)


class Repository(ProjectView):
    @extend_schema(
        operation_id="get_repository",
        summary="One repository with its contracts, inputs and what is missing",
        responses={200: wire.RepositoryOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, project: str, repository: str) -> Response:
        return self.answer(slug, project, repository)

    @extend_schema(
        operation_id="change_repository",
        summary="Give a repository another address, default branch or access",
        request=wire.RepositoryIn,
        responses={200: wire.RepositoryOut, **WRITES},
    )
    def put(self, request: Request, slug: str, project: str, repository: str) -> Response:
        given = read_body(wire.RepositoryIn, request.data)
        seen = self.part(slug, project, repository)
        operations.change_repository(
            actor=self.actor,
            org_id=seen.organization.id,
            repository_id=seen.repository.id,
            url=given["url"],
            default_branch=given["default_branch"],
            access_id=given["access"],
            app=given["app"],
        )
        return self.answer(slug, project, repository)

    @extend_schema(
        operation_id="remove_repository",
        summary="Take a repository out of its project",
        responses={200: wire.GoneOut, **WRITES},
    )
    def delete(self, request: Request, slug: str, project: str, repository: str) -> Response:
        seen = self.part(slug, project, repository)
        operations.remove_repository(
            actor=self.actor, org_id=seen.organization.id, repository_id=seen.repository.id
        )
        return Response(wire.GoneOut({"removed": True}).data)


class Binding(ProjectView):
    @extend_schema(
        operation_id="bind_input",
        summary="Say where an input comes from",
        request=wire.BindingIn,
        responses={200: wire.RepositoryOut, **WRITES},
    )
    def put(self, request: Request, slug: str, project: str, repository: str, name: str) -> Response:
        given = read_body(wire.BindingIn, request.data)
        seen = self.part(slug, project, repository)
        operations.bind_input(
            actor=self.actor,
            org_id=seen.organization.id,
            repository_id=seen.repository.id,
            name=name,
            source=Source(given["source"]),
            secret_id=given["secret"],
            literal=given["literal"],
            route_to_id=next((one.id for one in seen.others if one.name == given["route_to"]), None),
            resource=given["resource"],
        )
        return self.answer(slug, project, repository)

    @extend_schema(
        operation_id="unbind_input",
        summary="Forget where an input comes from",
        responses={200: wire.RepositoryOut, **WRITES},
    )
    def delete(self, request: Request, slug: str, project: str, repository: str, name: str) -> Response:
        seen = self.part(slug, project, repository)
        operations.unbind_input(
            actor=self.actor, org_id=seen.organization.id, repository_id=seen.repository.id, name=name
        )
        return self.answer(slug, project, repository)


class Resource(ProjectView):
    @extend_schema(
        operation_id="set_resource_mode",
        summary="Say how a resource is provided",
        request=wire.ResourceIn,
        responses={200: wire.RepositoryOut, **WRITES},
    )
    def put(self, request: Request, slug: str, project: str, repository: str, name: str) -> Response:
        given = read_body(wire.ResourceIn, request.data)
        seen = self.part(slug, project, repository)
        operations.set_resource_mode(
            actor=self.actor,
            org_id=seen.organization.id,
            repository_id=seen.repository.id,
            resource=name,
            mode=Mode(given["mode"]),
            owner=given["owner"],
            ready_within_s=given["ready_within_s"],
            cleanup=Cleanup(given["cleanup"]),
            request=given["request"],
            values={
                field: Given(value["secret"], value["literal"]) for field, value in given["values"].items()
            },
        )
        return self.answer(slug, project, repository)


class Proposals(ProjectView):
    takes = frozenset({"decision", "after"})

    @extend_schema(
        operation_id="list_proposals",
        summary="Contracts that repositories of a project proposed, the newest first",
        parameters=[DECISION, AFTER],
        responses={200: wire.ProposalsOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, project: str) -> Response:
        decision = request.query_params.get("decision", "")
        if decision and decision not in Decision.values:
            words = f"Use one of: {', '.join(Decision.values)}."
            raise Invalid("This parameter cannot be used.", {"decision": words})
        seen = selectors.proposals(
            actor=self.actor, slug=slug, project=project, decision=decision, after=read_after(request)
        )
        return Response(wire.ProposalsOut({"proposals": seen.proposals, "next": seen.next_after}).data)


class Proposal(ProjectView):
    @extend_schema(
        operation_id="get_proposal",
        summary="A proposal, with what approving it would change",
        responses={200: wire.ReviewOut, **REFUSALS},
    )
    def get(self, request: Request, slug: str, project: str, proposal_id: UUID) -> Response:
        seen = selectors.review(actor=self.actor, slug=slug, proposal_id=proposal_id, project=project)
        return Response(wire.ReviewOut(seen).data)


class Approve(ProjectView):
    @extend_schema(
        operation_id="approve_proposal",
        summary="Approve a contract for all branches of its repository; again, it changes nothing",
        request=None,
        responses={200: wire.DecidedOut, **WRITES},
    )
    def post(self, request: Request, slug: str, project: str, proposal_id: UUID) -> Response:
        seen = selectors.review(actor=self.actor, slug=slug, proposal_id=proposal_id, project=project)
        operations.approve_contract(actor=self.actor, org_id=seen.organization.id, proposal_id=proposal_id)
        return Response(wire.DecidedOut({"decision": Decision.APPROVED.value}).data)


class Reject(ProjectView):
    @extend_schema(
        operation_id="reject_proposal",
        summary="Reject a proposal; again, it changes nothing",
        request=None,
        responses={200: wire.DecidedOut, **WRITES},
    )
    def post(self, request: Request, slug: str, project: str, proposal_id: UUID) -> Response:
        seen = selectors.review(actor=self.actor, slug=slug, proposal_id=proposal_id, project=project)
        operations.reject_contract(actor=self.actor, org_id=seen.organization.id, proposal_id=proposal_id)
        return Response(wire.DecidedOut({"decision": Decision.REJECTED.value}).data)
