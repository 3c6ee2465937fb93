"""Every address of the API, below /api/v1/; composes the apps as `envforge.urls` does."""

from django.urls import path

from devlinks import api as devlinks
from envforge.api import schema
from hosts import placements_api as placements
from orgs import api as orgs
from projects import api as projects
from projects import api_forge_apps as forge_apps
from secrets_ref import api as secrets
from secrets_ref import role_api as customer_roles
from timeline import api as timeline
from workspaces import api as workspaces
from workspaces import resources_api as resources
from workspaces import runs_api as runs
from workspaces import shells_api as shells
from workspaces import usage_api as usage

ROLES = "orgs/<slug:slug>/customer-roles"
PROJECT = "orgs/<slug:slug>/projects/<slug:project>"
REPOSITORY = f"{PROJECT}/repositories/<slug:repository>"
PROPOSAL = f"{PROJECT}/proposals/<uuid:proposal_id>"
WORKSPACE = "orgs/<slug:slug>/workspaces/<uuid:workspace_id>"
RUN = f"{WORKSPACE}/runs/<uuid:run_id>"

urlpatterns = [
    path("orgs", orgs.Organizations.as_view(), name="api-organizations"),
    path("orgs/<slug:slug>", orgs.OneOrganization.as_view(), name="api-organization"),
    path("orgs/<slug:slug>/events", timeline.Events.as_view(), name="api-events"),
    path("orgs/<slug:slug>/events/export", timeline.export, name="api-events-export"),
    path("orgs/<slug:slug>/chain", timeline.Chain.as_view(), name="api-chain"),
    path("orgs/<slug:slug>/secrets", secrets.Secrets.as_view(), name="api-secrets"),
    path("orgs/<slug:slug>/secrets/import", secrets.Import.as_view(), name="api-secret-import"),
    path(ROLES, customer_roles.CustomerRoles.as_view(), name="api-customer-roles"),
    path(f"{ROLES}/<uuid:role_id>", customer_roles.CustomerRole.as_view(), name="api-customer-role"),
    path(f"{ROLES}/<uuid:role_id>/check", customer_roles.Check.as_view(), name="api-customer-role-check"),
    path(f"{ROLES}/<uuid:role_id>/import", customer_roles.Import.as_view(), name="api-customer-role-import"),
    path("orgs/<slug:slug>/secrets/<uuid:secret_id>", secrets.OneSecret.as_view(), name="api-secret"),
    path(
        "orgs/<slug:slug>/secrets/<uuid:secret_id>/rotate", secrets.Rotate.as_view(), name="api-secret-rotate"
    ),
    path("orgs/<slug:slug>/placements", placements.Placements.as_view(), name="api-placements"),
    path("orgs/<slug:slug>/placements/export", placements.export, name="api-placements-export"),
    path("orgs/<slug:slug>/workspaces", workspaces.Workspaces.as_view(), name="api-workspaces"),
    path(
        "orgs/<slug:slug>/workspaces/<uuid:workspace_id>",
        workspaces.OneWorkspaceView.as_view(),
        name="api-workspace",
    ),
    path(
        "orgs/<slug:slug>/workspaces/<uuid:workspace_id>/wake",
        workspaces.Wake.as_view(),
        name="api-workspace-wake",
    ),
    path(
        "orgs/<slug:slug>/workspaces/<uuid:workspace_id>/sleep",
        workspaces.Sleep.as_view(),
        name="api-workspace-sleep",
    ),
    path(
        "orgs/<slug:slug>/workspaces/<uuid:workspace_id>/archive",
        workspaces.Archive.as_view(),
        name="api-workspace-archive",
    ),
    path(
        "orgs/<slug:slug>/workspaces/<uuid:workspace_id>/restore",
        workspaces.Restore.as_view(),
        name="api-workspace-restore",
    ),
    path(
        "orgs/<slug:slug>/workspaces/<uuid:workspace_id>/leases",
        usage.Leases.as_view(),
        name="api-leases",
    ),
    path(
        "orgs/<slug:slug>/workspaces/<uuid:workspace_id>/leases/<uuid:lease_id>",
        usage.OneLease.as_view(),
        name="api-lease",
    ),
    path("orgs/<slug:slug>/usage", usage.Usage.as_view(), name="api-usage"),
    path("orgs/<slug:slug>/usage/windows", usage.Windows.as_view(), name="api-usage-windows"),
    path("orgs/<slug:slug>/usage/export", usage.export, name="api-usage-export"),
    path("orgs/<slug:slug>/caps", usage.Caps.as_view(), name="api-caps"),
    path(f"{WORKSPACE}/resources", resources.Resources.as_view(), name="api-resources"),
    path(
        f"{WORKSPACE}/resources/<slug:repository>/<slug:resource>/data",
        resources.Data.as_view(),
        name="api-resource-data",
    ),
    path(f"{WORKSPACE}/runs", runs.Runs.as_view(), name="api-runs"),
    path(RUN, runs.OneRun.as_view(), name="api-run"),
    path(f"{RUN}/output", runs.RunOutput.as_view(), name="api-run-output"),
    path(f"{RUN}/cancel", runs.CancelRun.as_view(), name="api-run-cancel"),
    path(f"{WORKSPACE}/shell/tickets", devlinks.ShellTickets.as_view(), name="api-shell-tickets"),
    path(f"{WORKSPACE}/shell", shells.ShellAccess.as_view(), name="api-shell"),
    path(f"{WORKSPACE}/shell/certificates", shells.Certificates.as_view(), name="api-certificates"),
    path(
        f"{WORKSPACE}/shell/sessions/<uuid:session_id>/end",
        shells.EndSession.as_view(),
        name="api-shell-session-end",
    ),
    path("orgs/<slug:slug>/forge-apps", forge_apps.ForgeApps.as_view(), name="api-forge-apps"),
    path("orgs/<slug:slug>/forge-apps/<slug:name>", forge_apps.ForgeApp.as_view(), name="api-forge-app"),
    path(
        "orgs/<slug:slug>/forge-apps/<slug:name>/check",
        forge_apps.Check.as_view(),
        name="api-forge-app-check",
    ),
    path("orgs/<slug:slug>/projects", projects.Projects.as_view(), name="api-projects"),
    path(PROJECT, projects.Project.as_view(), name="api-project"),
    path(f"{PROJECT}/archive", projects.Archive.as_view(), name="api-project-archive"),
    path(f"{PROJECT}/repositories", projects.Repositories.as_view(), name="api-repositories"),
    path(REPOSITORY, projects.Repository.as_view(), name="api-repository"),
    path(f"{REPOSITORY}/bindings/<slug:name>", projects.Binding.as_view(), name="api-binding"),
    path(f"{REPOSITORY}/resources/<slug:name>", projects.Resource.as_view(), name="api-resource"),
    path(f"{PROJECT}/proposals", projects.Proposals.as_view(), name="api-proposals"),
    path(PROPOSAL, projects.Proposal.as_view(), name="api-proposal"),
    path(f"{PROPOSAL}/approve", projects.Approve.as_view(), name="api-proposal-approve"),
    path(f"{PROPOSAL}/reject", projects.Reject.as_view(), name="api-proposal-reject"),
    path("orgs/<slug:slug>/links", devlinks.Links.as_view(), name="api-links"),
    path("orgs/<slug:slug>/links/<uuid:link_id>", devlinks.OneLink.as_view(), name="api-link"),
    path("orgs/<slug:slug>/links/<uuid:link_id>/rotate", devlinks.Rotate.as_view(), name="api-link-rotate"),
    path("orgs/<slug:slug>/links/<uuid:link_id>/extend", devlinks.Extend.as_view(), name="api-link-extend"),
    path("orgs/<slug:slug>/links/<uuid:link_id>/allow", devlinks.Allow.as_view(), name="api-link-allow"),
    path(
        f"{WORKSPACE}/links/revoke",
        devlinks.RevokeOfWorkspace.as_view(),
        name="api-workspace-links-revoke",
    ),
    path(
        "orgs/<slug:slug>/members/<uuid:person_id>/links/revoke",
        devlinks.RevokeOfPerson.as_view(),
        name="api-member-links-revoke",
    ),
    path(
        "orgs/<slug:slug>/members/<uuid:person_id>/links/hand-over",
        devlinks.HandOver.as_view(),
        name="api-member-links-hand-over",
    ),
    path("orgs/<slug:slug>/link-policy", devlinks.LinkPolicy.as_view(), name="api-link-policy"),
    path("schema", schema.schema, name="api-schema"),
    path("docs", schema.docs, name="api-docs"),
]
