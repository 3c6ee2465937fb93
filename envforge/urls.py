"""Every address of the control plane; this module alone composes the apps."""

from django.urls import include, path

from audit import console as audit_console
from devlinks.console import entering as dev_hosts
from devlinks.console import pages as devlinks
from devlinks.console import people as persons_links
from envforge import health, metrics
from hosts import console as hosts_console
from orgs.console import account, closing, invitations, members, organizations, roles, sign_in, tokens
from projects.console import forge_apps, projects, repositories, reviews, sources
from secrets_ref import console as secrets_console
from secrets_ref import role_console
from timeline import console as timeline_console
from workspaces.console import commands as workspace_commands
from workspaces.console import data as workspace_data
from workspaces.console import pages as workspaces_console
from workspaces.console import shells as workspace_shells
from workspaces.console import usage as usage_console

REPOSITORY = "o/<slug:slug>/projects/<slug:project>/repositories/<slug:repository>"
WORKSPACE = "o/<slug:slug>/workspaces/<uuid:workspace_id>"

urlpatterns = [
    path("", organizations.home, name="home"),
    path("sign-in", sign_in.page, name="sign-in"),
    path("auth/start", sign_in.start, name="auth-start"),
    path("auth/callback", sign_in.callback, name="auth-callback"),
    path("auth/sign-out", sign_in.sign_out, name="sign-out"),
    path("account", account.account, name="account"),
    path("account/sessions/<uuid:session_id>/end", account.end_session, name="session-end"),
    path("account/sessions/end-others", account.end_other_sessions, name="sessions-end-others"),
    path("organizations/new", organizations.new, name="organization-new"),
    path("o/<slug:slug>/", organizations.overview, name="organization"),
    path("o/<slug:slug>/settings", organizations.settings, name="organization-settings"),
    path("o/<slug:slug>/timeline", timeline_console.timeline, name="timeline"),
    path("o/<slug:slug>/timeline/arrived", timeline_console.arrived, name="timeline-arrived"),
    path("o/<slug:slug>/timeline/export", timeline_console.export, name="timeline-export"),
    path("account/exports/<slug:name>", timeline_console.export_progress, name="export-progress"),
    path("api/v1/", include("envforge.api_urls")),
    path("o/<slug:slug>/workspaces", workspaces_console.workspaces, name="workspaces"),
    path("o/<slug:slug>/workspaces/<uuid:workspace_id>", workspaces_console.workspace, name="workspace"),
    path("o/<slug:slug>/workspaces/<uuid:workspace_id>/wake", workspaces_console.wake, name="workspace-wake"),
    path(
        "o/<slug:slug>/workspaces/<uuid:workspace_id>/sleep", workspaces_console.sleep, name="workspace-sleep"
    ),
    path(
        "o/<slug:slug>/workspaces/<uuid:workspace_id>/change",
        workspaces_console.change,
        name="workspace-change",
    ),
    path(
        "o/<slug:slug>/workspaces/<uuid:workspace_id>/close", workspaces_console.close, name="workspace-close"
    ),
    path(
        "o/<slug:slug>/workspaces/<uuid:workspace_id>/restore",
        workspaces_console.restore,
        name="workspace-restore",
    ),
    path(
        "o/<slug:slug>/workspaces/<uuid:workspace_id>/wakes/<int:epoch>",
        workspaces_console.receipt,
        name="wake-receipt",
    ),
    path(
        f"{WORKSPACE}/resources/<slug:repository>/<slug:resource>/data",
        workspace_data.data,
        name="workspace-data",
    ),
    path(f"{WORKSPACE}/runs", workspace_commands.runs, name="runs"),
    path(f"{WORKSPACE}/runs/<uuid:run_id>", workspace_commands.run, name="run"),
    path(f"{WORKSPACE}/runs/<uuid:run_id>/output", workspace_commands.output, name="run-output"),
    path(f"{WORKSPACE}/runs/<uuid:run_id>/cancel", workspace_commands.cancel, name="run-cancel"),
    path(f"{WORKSPACE}/shell", workspace_shells.shell, name="workspace-shell"),
    path(f"{WORKSPACE}/shell/sessions/<uuid:session_id>/end", workspace_shells.end, name="shell-session-end"),
    path("o/<slug:slug>/hosts", hosts_console.hosts, name="hosts"),
    path("o/<slug:slug>/usage", usage_console.usage, name="usage"),
    path("o/<slug:slug>/usage/export", usage_console.export, name="usage-export"),
    path("o/<slug:slug>/hosts/export", hosts_console.export, name="placements-export"),
    path("o/<slug:slug>/members", members.members, name="members"),
    path("o/<slug:slug>/members/<uuid:person_id>", members.member, name="member"),
    path("o/<slug:slug>/members/<uuid:person_id>/roles/give", members.give_role, name="member-role-give"),
    path("o/<slug:slug>/members/<uuid:person_id>/roles/take", members.take_role, name="member-role-take"),
    path("o/<slug:slug>/members/<uuid:person_id>/suspend", closing.suspend, name="member-suspend"),
    path("o/<slug:slug>/members/<uuid:person_id>/restore", closing.restore, name="member-restore"),
    path("o/<slug:slug>/members/<uuid:person_id>/remove", closing.remove, name="member-remove"),
    path("o/<slug:slug>/receipts/<uuid:event_id>", closing.receipt, name="receipt"),
    path(
        "o/<slug:slug>/invitations/<uuid:invitation_id>/take-back",
        invitations.take_back,
        name="invitation-take-back",
    ),
    path("invitations/<str:signed>", invitations.invitation, name="invitation"),
    path("o/<slug:slug>/roles", roles.roles, name="roles"),
    path("o/<slug:slug>/tokens", tokens.accounts, name="tokens"),
    path("o/<slug:slug>/tokens/<uuid:account_id>", tokens.account, name="service-account"),
    path("o/<slug:slug>/tokens/<uuid:account_id>/remove", tokens.remove, name="service-account-remove"),
    path("o/<slug:slug>/tokens/<uuid:account_id>/<uuid:token_id>/revoke", tokens.revoke, name="token-revoke"),
    path("o/<slug:slug>/secrets", secrets_console.secrets, name="secrets"),
    path("o/<slug:slug>/secrets/import", secrets_console.take_up, name="secret-import"),
    path("o/<slug:slug>/secrets/roles", role_console.roles, name="customer-roles"),
    path("o/<slug:slug>/secrets/roles/<uuid:role_id>/check", role_console.check, name="customer-role-check"),
    path(
        "o/<slug:slug>/secrets/roles/<uuid:role_id>/remove", role_console.remove, name="customer-role-remove"
    ),
    path(
        "o/<slug:slug>/secrets/roles/<uuid:role_id>/import", role_console.take_up, name="customer-role-import"
    ),
    path("o/<slug:slug>/secrets/<uuid:secret_id>", secrets_console.secret, name="secret"),
    path("o/<slug:slug>/secrets/<uuid:secret_id>/delete", secrets_console.delete, name="secret-delete"),
    path("o/<slug:slug>/forge-apps", forge_apps.forge_apps, name="forge-apps"),
    path("o/<slug:slug>/forge-apps/<slug:name>/check", forge_apps.check, name="forge-app-check"),
    path("o/<slug:slug>/forge-apps/<slug:name>/remove", forge_apps.remove, name="forge-app-remove"),
    path("o/<slug:slug>/projects", projects.projects, name="projects"),
    path("o/<slug:slug>/projects/<slug:project>", projects.project, name="project"),
    path("o/<slug:slug>/projects/<slug:project>/archive", projects.archive, name="project-archive"),
    path(
        "o/<slug:slug>/projects/<slug:project>/proposals/<uuid:proposal_id>",
        reviews.proposal,
        name="proposal",
    ),
    path(REPOSITORY, repositories.repository, name="repository"),
    path(f"{REPOSITORY}/remove", repositories.remove, name="repository-remove"),
    path(f"{REPOSITORY}/inputs/<slug:name>", sources.binding, name="binding"),
    path(f"{REPOSITORY}/resources/<slug:name>", sources.resource, name="resource"),
    path("o/<slug:slug>/links", devlinks.links, name="dev-links"),
    path("o/<slug:slug>/links/policy", devlinks.policy, name="dev-link-policy"),
    path("o/<slug:slug>/links/<uuid:link_id>", devlinks.link, name="dev-link"),
    path("o/<slug:slug>/links/<uuid:link_id>/revoke", devlinks.revoke, name="dev-link-revoke"),
    path("o/<slug:slug>/links/<uuid:link_id>/rotate", devlinks.rotate, name="dev-link-rotate"),
    path("o/<slug:slug>/links/<uuid:link_id>/allow", devlinks.allow, name="dev-link-allow"),
    path("o/<slug:slug>/links/<uuid:link_id>/extend", devlinks.extend, name="dev-link-extend"),
    path("o/<slug:slug>/members/<uuid:person_id>/links", persons_links.links, name="member-links"),
    path(
        "o/<slug:slug>/members/<uuid:person_id>/links/revoke",
        persons_links.revoke,
        name="member-links-revoke",
    ),
    path(
        "o/<slug:slug>/members/<uuid:person_id>/links/hand-over",
        persons_links.hand_over,
        name="member-links-hand-over",
    ),
    path("o/<slug:slug>/workspaces/<uuid:workspace_id>/links/new", devlinks.issue, name="dev-link-new"),
    path(
        "o/<slug:slug>/workspaces/<uuid:workspace_id>/links/revoke",
        devlinks.revoke_all,
        name="dev-links-revoke",
    ),
    path("dev/enter", dev_hosts.enter, name="dev-enter"),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("metrics", metrics.metrics, name="metrics"),
    path(".well-known/envforge-audit-keys.json", audit_console.signing_keys, name="audit-keys"),
]

handler400 = "envforge.problems.bad_request"
handler403 = "envforge.problems.permission_denied"
handler404 = "envforge.problems.not_found"
handler500 = "envforge.problems.server_error"
