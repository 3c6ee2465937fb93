"""Who gets what at every address: the table, written by hand, and the visitors and things that it speaks of.

A new address needs a row here, or `test_every_url.py` names it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.urls import URLPattern, URLResolver

from envforge import admin_urls, urls

# Everybody in Acme but the stranger, who owns another organization; the program is Acme's, with an admin's role and every
# scope an owner can give; support is Sam, on a visit to Acme.
VISITORS = (
    *("anonymous", "stranger", "owner", "admin", "developer", "viewer", "billing"),
    *("suspended", "support", "program"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """An address, how it is asked, and the status each visitor gets."""

    name: str
    method: str
    address: str
    statuses: dict[str, int]
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.method} {self.name}"


def same(status: int, **others: int) -> dict[str, int]:
    """One status for all but the named."""
    return dict.fromkeys(VISITORS, status) | others


def members(status: int, **others: int) -> dict[str, int]:
    """For every member; nothing for those outside, and the way to sign in for who is not signed in."""
    outside = {"anonymous": 303, "program": 303, "stranger": 404, "suspended": 404, "support": 404}
    return dict.fromkeys(VISITORS, status) | outside | others


def managers(status: int, **others: int) -> dict[str, int]:
    """For owner and admin; a refusal that names its rule for the other members."""
    return members(403) | {"owner": status, "admin": status} | others


def workers(status: int, **others: int) -> dict[str, int]:
    """For owner, admin and developer."""
    return managers(status) | {"developer": status} | others


def lookers(status: int, **others: int) -> dict[str, int]:
    """For every member but billing."""
    return members(status, billing=403) | others


def of_secret(status: int, developer: int | None = None) -> dict[str, int]:
    """For owner, admin and, as told, developer; to others a secret is not there."""
    return members(404, owner=status, admin=status, developer=status if developer is None else developer)


def of_workspace(status: int, *, viewer: int = 403, developer: int | None = None) -> dict[str, int]:
    """For owner, admin, developer and, as told, viewer, who all see workspaces; to billing it is not there."""
    worker = status if developer is None else developer
    return members(404, owner=status, admin=status, developer=worker, viewer=viewer)


def of_project(status: int) -> dict[str, int]:
    """For every member but billing, to whom a project is not there."""
    return members(status, billing=404)


def maintainers(status: int) -> dict[str, int]:
    """For owner and admin; the project's other viewers are told the rule."""
    return members(403, owner=status, admin=status, billing=404)


def people(status: int, **others: int) -> dict[str, int]:
    """For whoever is signed in, in whatever organization."""
    return same(status) | {"anonymous": 303, "program": 303} | others


def api(status: int, **others: int) -> dict[str, int]:
    """For every member and the program; others are told to sign in, or that there is nothing."""
    return members(status) | {"anonymous": 401, "program": status} | others


def api_managers(status: int) -> dict[str, int]:
    return api(403, owner=status, admin=status, program=status)


def api_workers(status: int) -> dict[str, int]:
    return api_managers(status) | {"developer": status}


def api_of_secret(status: int, developer: int | None = None) -> dict[str, int]:
    return of_secret(status, developer) | {"anonymous": 401, "program": status}


def api_of_workspace(status: int, *, viewer: int = 403, developer: int | None = None) -> dict[str, int]:
    return of_workspace(status, viewer=viewer, developer=developer) | {"anonymous": 401, "program": status}


def api_of_project(status: int) -> dict[str, int]:
    return of_project(status) | {"anonymous": 401, "program": status}


def api_maintainers(status: int) -> dict[str, int]:
    return maintainers(status) | {"anonymous": 401, "program": status}


def for_staff(status: int) -> dict[str, int]:
    """At support's host: for staff alone; whoever else signs in there is told the rule."""
    return same(403, anonymous=303, program=303, support=status)


ACME = "/o/{slug}/"
PROJECT = ACME + "projects/{project}"
READY = ACME + "workspaces/{ready}"
API_READY = "/api/v1/orgs/{slug}/workspaces/{ready}"
REPOSITORY = PROJECT + "/repositories/{repository}"
API_PROJECT = "/api/v1/orgs/{slug}/projects/{project}"
API_REPOSITORY = API_PROJECT + "/repositories/{repository}"
PROVIDED = {"mode": "managed_local", "owner": "Alice", "ready_within_s": "60", "cleanup": "keep"}
FORGE_APP = dict.fromkeys(("name", "api_url", "git_url", "client_id", "installation", "key_arn"), "no app")
CONSOLE = (
    Row("home", "GET", "/", people(303, anonymous=200, program=200, suspended=200, support=200)),
    Row("sign-in", "GET", "/sign-in", same(303, anonymous=200, program=200)),
    Row("auth-start", "GET", "/auth/start", same(302)),
    Row("auth-callback", "GET", "/auth/callback", same(303)),
    Row("sign-out", "POST", "/auth/sign-out", same(303)),
    Row("account", "GET", "/account", people(200)),
    Row("session-end", "POST", "/account/sessions/{session}/end", people(303)),
    Row("session-end", "POST", "/account/sessions/{elses_session}/end", people(404)),
    Row("sessions-end-others", "POST", "/account/sessions/end-others", people(303)),
    Row("export-progress", "GET", "/account/exports/0a1b2c3d", people(200)),
    Row("organization-new", "GET", "/organizations/new", people(200)),
    Row("organization-new", "POST", "/organizations/new", people(303), {"name": "New", "slug": "{new_slug}"}),
    Row("organization", "GET", ACME, members(200)),
    Row("organization-settings", "GET", ACME + "settings", members(200)),
    Row("organization-settings", "POST", ACME + "settings", managers(303), {"name": "Acme Works"}),
    Row("timeline", "GET", ACME + "timeline", managers(200)),
    Row("timeline-arrived", "GET", ACME + "timeline/arrived?after=" + "A" * 32, managers(200, anonymous=401, program=401)),
    Row("timeline-export", "POST", ACME + "timeline/export", managers(200), {"form": "csv"}),
    Row("members", "GET", ACME + "members", members(200)),
    Row("members", "POST", ACME + "members", managers(303), {"email": "{new_email}", "role": "viewer"}),
    Row("member", "GET", ACME + "members/{member}", members(200)),
    Row("member", "GET", ACME + "members/{nobody}", members(404)),
    Row("member-role-give", "POST", ACME + "members/{member}/roles/give", managers(303), {"role": "viewer"}),
    Row("member-role-give", "POST", ACME + "members/{member}/roles/give", managers(403, owner=303), {"role": "owner"}),
    Row("member-role-take", "POST", ACME + "members/{member}/roles/take", managers(303), {"role": "viewer", "scope": "organization"}),
    Row("member-suspend", "GET", ACME + "members/{member}/suspend", members(200)),
    Row("member-suspend", "POST", ACME + "members/{member}/suspend", managers(303)),
    Row("member-restore", "POST", ACME + "members/{member}/restore", managers(303)),
    Row("member-remove", "GET", ACME + "members/{member}/remove", members(200)),
    Row("member-remove", "POST", ACME + "members/{member}/remove", managers(303)),
    Row("member-remove", "POST", ACME + "members/{an_owner}/remove", managers(403, owner=303)),
    Row("receipt", "GET", ACME + "receipts/{receipt}", managers(200)),
    Row("receipt", "GET", ACME + "receipts/{nobody}", managers(404)),
    Row("invitation-take-back", "POST", ACME + "invitations/{invitation}/take-back", managers(303)),
    Row("invitation-take-back", "POST", ACME + "invitations/{nobody}/take-back", managers(404)),
    # Their own invitation, to whoever is signed in; a suspended member is restored, and not invited.
    Row("invitation", "GET", "{invitation_to_me}", people(200)),
    Row("invitation", "POST", "{invitation_to_me}", people(303, suspended=409)),
    Row("invitation", "POST", "{invitation_to_another}", people(409)),
    Row("roles", "GET", ACME + "roles", members(200)),
    Row("tokens", "GET", ACME + "tokens", members(200)),
    Row("tokens", "POST", ACME + "tokens", managers(303), {"name": "bot {nobody}", "role": "viewer"}),
    Row("service-account", "GET", ACME + "tokens/{account}", managers(200)),
    Row("service-account", "GET", ACME + "tokens/{nobody}", managers(404)),
    Row("service-account", "POST", ACME + "tokens/{account}", managers(200), {"name": "t", "scopes": "usage.view", "lifetime": "7"}),
    Row("service-account", "POST", ACME + "tokens/{account}", managers(403, owner=200), {"name": "t", "scopes": "organization.archive", "lifetime": "7"}),
    Row("service-account-remove", "GET", ACME + "tokens/{account}/remove", managers(200)),
    Row("service-account-remove", "POST", ACME + "tokens/{account}/remove", managers(303)),
    Row("token-revoke", "POST", ACME + "tokens/{account}/{token}/revoke", managers(303)),
    Row("token-revoke", "POST", ACME + "tokens/{account}/{nobody}/revoke", managers(404)),
    Row("secrets", "GET", ACME + "secrets", workers(200)),
    Row("secrets", "POST", ACME + "secrets", managers(303), {"name": "KEY_{tag}", "value": "v", "request": "{nobody}"}),
    Row("secret-import", "GET", ACME + "secrets/import", workers(200)),
    Row("secret-import", "POST", ACME + "secrets/import", managers(422), {"path": "/envforge/elsewhere"}),
    Row("secret", "GET", ACME + "secrets/{secret}", of_secret(200)),
    Row("secret", "GET", ACME + "secrets/{nobody}", of_secret(404)),
    Row("secret", "POST", ACME + "secrets/{secret}", of_secret(303, developer=403), {"value": "w", "request": "{nobody}"}),
    Row("secret-delete", "GET", ACME + "secrets/{secret}/delete", of_secret(200)),
    Row("secret-delete", "POST", ACME + "secrets/{secret}/delete", of_secret(303, developer=403)),
    Row("customer-roles", "GET", ACME + "secrets/roles", managers(200)),
    Row("customer-roles", "POST", ACME + "secrets/roles", managers(303), {"role_arn": "arn:aws:iam::111122223333:role/envforge-import-{tag}", "region": "eu-central-1"}),
    Row("customer-role-check", "POST", ACME + "secrets/roles/{nobody}/check", managers(404)),
    Row("customer-role-remove", "POST", ACME + "secrets/roles/{nobody}/remove", managers(404)),
    Row("customer-role-import", "GET", ACME + "secrets/roles/{nobody}/import", managers(404)),
    Row("customer-role-import", "POST", ACME + "secrets/roles/{nobody}/import", managers(404), {"path": "/a", "name": "A"}),
    Row("forge-apps", "GET", ACME + "forge-apps", managers(200)),
    Row("forge-apps", "POST", ACME + "forge-apps", managers(422), FORGE_APP),
    Row("forge-app-check", "POST", ACME + "forge-apps/nothing/check", managers(404)),
    Row("forge-app-remove", "POST", ACME + "forge-apps/nothing/remove", managers(404)),
    Row("workspaces", "GET", ACME + "workspaces", lookers(200)),
    Row("workspaces", "POST", ACME + "workspaces", workers(303, viewer=403, billing=404), {"project": "{project_id}", "branch": "main"}),
    Row("workspace", "GET", ACME + "workspaces/{workspace}", of_workspace(200, viewer=200)),
    Row("workspace", "GET", ACME + "workspaces/{nobody}", members(404)),
    Row("workspace-wake", "POST", ACME + "workspaces/{workspace}/wake", of_workspace(303)),
    Row("workspace-sleep", "POST", ACME + "workspaces/{workspace}/sleep", of_workspace(303)),
    Row("workspace-change", "POST", ACME + "workspaces/{workspace}/change", of_workspace(303), {"size": "large", "idle": "900"}),
    Row("workspace-close", "GET", ACME + "workspaces/{workspace}/close", of_workspace(200, viewer=200)),
    Row("workspace-close", "POST", ACME + "workspaces/{workspace}/close", of_workspace(303, developer=403), {"act": "archive"}),
    Row("workspace-close", "POST", ACME + "workspaces/{archived}/close", of_workspace(303, developer=403), {"act": "delete"}),
    Row("workspace-data", "GET", ACME + "workspaces/{workspace}/resources/web/nothing/data", of_workspace(404, viewer=404)),
    Row("workspace-data", "POST", ACME + "workspaces/{workspace}/resources/web/nothing/data", of_workspace(404, viewer=404), {"act": "keep"}),
    Row("workspace-restore", "POST", ACME + "workspaces/{archived}/restore", of_workspace(303, developer=403)),
    Row("wake-receipt", "GET", ACME + "workspaces/{workspace}/wakes/1", of_workspace(404, viewer=404)),
    Row("runs", "GET", READY + "/runs", of_workspace(200, viewer=200)),
    Row("runs", "GET", ACME + "workspaces/{nobody}/runs", members(404)),
    Row("runs", "POST", READY + "/runs", of_workspace(303), {"service": "web", "line": "true"}),
    Row("run", "GET", READY + "/runs/{run}", of_workspace(200, viewer=200)),
    Row("run", "GET", READY + "/runs/{nobody}", of_workspace(404, viewer=404)),
    Row("run-output", "GET", READY + "/runs/{run}/output", of_workspace(200)),
    Row("run-cancel", "POST", READY + "/runs/{run}/cancel", of_workspace(303)),
    Row("workspace-shell", "GET", READY + "/shell", of_workspace(200, viewer=200)),
    # A role in the organization opens no shell.
    Row("workspace-shell", "POST", READY + "/shell", of_workspace(200, developer=403), {"public_key": "{public_key}"}),
    Row("workspace-shell", "POST", READY + "/shell", of_workspace(422, developer=403), {"public_key": "x"}),
    Row("shell-session-end", "POST", READY + "/shell/sessions/{shell_session}/end", of_workspace(303, developer=403)),
    Row("shell-session-end", "POST", READY + "/shell/sessions/{nobody}/end", of_workspace(404, viewer=404)),
    Row("projects", "GET", ACME + "projects", lookers(200)),
    Row("projects", "POST", ACME + "projects", workers(303), {"name": "New", "slug": "{new_slug}"}),
    Row("project", "GET", PROJECT, of_project(200)),
    Row("project", "GET", ACME + "projects/{new_slug}", members(404)),
    Row("project", "POST", PROJECT, maintainers(303), {"name": "docs", "url": "https://git.test/docs.git", "default_branch": "main"}),
    Row("project-archive", "GET", PROJECT + "/archive", of_project(200)),
    Row("project-archive", "POST", PROJECT + "/archive", maintainers(303)),
    Row("repository", "GET", REPOSITORY, of_project(200)),
    Row("repository", "POST", REPOSITORY, maintainers(303), {"url": "https://git.test/b.git", "default_branch": "main"}),
    Row("repository-remove", "GET", REPOSITORY + "/remove", of_project(200)),
    Row("repository-remove", "POST", REPOSITORY + "/remove", maintainers(303)),
    Row("binding", "GET", REPOSITORY + "/inputs/LEVEL", of_project(200)),
    Row("binding", "GET", REPOSITORY + "/inputs/NOTHING", members(404)),
    Row("binding", "POST", REPOSITORY + "/inputs/LEVEL", maintainers(303), {"value": "debug"}),
    Row("resource", "GET", REPOSITORY + "/resources/database", of_project(200)),
    Row("resource", "POST", REPOSITORY + "/resources/database", maintainers(303), PROVIDED),
    Row("proposal", "GET", PROJECT + "/proposals/{proposal}", of_project(200)),
    Row("proposal", "GET", PROJECT + "/proposals/{nobody}", members(404)),
    Row("proposal", "POST", PROJECT + "/proposals/{proposal}", maintainers(303), {"decision": "approve"}),
    Row("proposal", "POST", PROJECT + "/proposals/{proposal}", maintainers(303), {"decision": "reject"}),
    Row("hosts", "GET", ACME + "hosts", lookers(200)),
    Row("usage", "GET", ACME + "usage", members(200)),
    Row("usage", "POST", ACME + "usage", managers(303, billing=303), {"scope": "", "mode": "warn", "hours": "40"}),
    Row("hosts", "POST", ACME + "hosts", managers(303), {"vm_per_workspace": "on"}),
    Row("placements-export", "POST", ACME + "hosts/export", managers(200), {"form": "csv"}),
    Row("dev-links", "GET", ACME + "links", lookers(200)),
    Row("dev-link-policy", "GET", ACME + "links/policy", members(200)),
    Row("dev-link-policy", "POST", ACME + "links/policy", managers(303), {"longest": "3600", "issuers": "workspace", "surfaces": "web", "wakes": "5", "hours": "1", "workspace_wakes": "9", "workspace_hours": "2"}),
    Row("dev-link", "GET", ACME + "links/{link}", of_project(200)),
    Row("dev-link", "GET", ACME + "links/{nobody}", members(404)),
    Row("dev-link-revoke", "POST", ACME + "links/{link}/revoke", maintainers(303)),
    Row("dev-link-rotate", "POST", ACME + "links/{link}/rotate", maintainers(200)),
    Row("dev-link-allow", "POST", ACME + "links/{link}/allow", maintainers(303), {"surfaces": "web"}),
    Row("dev-link-extend", "POST", ACME + "links/{link}/extend", maintainers(200), {"lifetime": "86400"}),
    Row("dev-links-revoke", "POST", ACME + "workspaces/{linkable}/links/revoke", maintainers(303)),
    Row("member-links", "GET", ACME + "members/{member}/links", managers(200)),
    Row("member-links", "GET", ACME + "members/{nobody}/links", members(404)),
    Row("member-links-revoke", "POST", ACME + "members/{member}/links/revoke", managers(303)),
    Row("member-links-hand-over", "POST", ACME + "members/{member}/links/hand-over", managers(422), {"to": ""}),
    Row("dev-link-new", "GET", ACME + "workspaces/{linkable}/links/new", of_project(200)),
    Row("dev-link-new", "POST", ACME + "workspaces/{linkable}/links/new", maintainers(200), {"service": "web", "lifetime": "3600"}),
    Row("dev-enter", "GET", "/dev/enter?host={dev_host}&state=" + "0" * 64, of_project(200)),
    Row("dev-enter", "GET", "/dev/enter?host=nothing.test&state=" + "0" * 64, members(404)),
    Row("health-live", "GET", "/health/live", same(200)),
    Row("health-ready", "GET", "/health/ready", same(200)),
    # For whoever holds the metrics token, which is nobody here.
    Row("metrics", "GET", "/metrics", same(404)),
    Row("audit-keys", "GET", "/.well-known/envforge-audit-keys.json", same(200)),
    Row("api-schema", "GET", "/api/v1/schema", same(200)),
    Row("api-docs", "GET", "/api/v1/docs", same(200)),
    Row("api-organizations", "GET", "/api/v1/orgs", same(200, anonymous=401)),
    Row("api-organization", "GET", "/api/v1/orgs/{slug}", api(200)),
    Row("api-events", "GET", "/api/v1/orgs/{slug}/events", api_managers(200)),
    Row("api-events-export", "GET", "/api/v1/orgs/{slug}/events/export?format=csv", api_managers(200)),
    Row("api-chain", "GET", "/api/v1/orgs/{slug}/chain", api_managers(200)),
    Row("api-secrets", "GET", "/api/v1/orgs/{slug}/secrets", api_workers(200)),
    Row("api-secrets", "POST", "/api/v1/orgs/{slug}/secrets", api_managers(200), {"name": "KEY_{tag}", "value": "v"}),
    Row("api-secret", "DELETE", "/api/v1/orgs/{slug}/secrets/{secret}", api_of_secret(200, developer=403)),
    Row("api-secret-import", "POST", "/api/v1/orgs/{slug}/secrets/import", api_managers(422), {"path": "/envforge/x"}),
    Row("api-secret", "GET", "/api/v1/orgs/{slug}/secrets/{secret}", api_of_secret(200)),
    Row("api-secret-rotate", "POST", "/api/v1/orgs/{slug}/secrets/{secret}/rotate", api_of_secret(200, developer=403), {"value": "w"}),
    Row("api-workspaces", "GET", "/api/v1/orgs/{slug}/workspaces", api(200, billing=403)),
    Row("api-workspaces", "POST", "/api/v1/orgs/{slug}/workspaces", api_workers(200) | {"viewer": 403, "billing": 404}, {"project": "{project_id}", "branch": "main"}),
    Row("api-workspace", "GET", "/api/v1/orgs/{slug}/workspaces/{workspace}", api_of_workspace(200, viewer=200)),
    Row("api-workspace", "PATCH", "/api/v1/orgs/{slug}/workspaces/{workspace}", api_of_workspace(200), {"size": "large"}),
    Row("api-workspace", "DELETE", "/api/v1/orgs/{slug}/workspaces/{workspace}", api_of_workspace(202, developer=403)),
    Row("api-leases", "GET", "/api/v1/orgs/{slug}/workspaces/{workspace}/leases", api_of_workspace(200, viewer=200)),
    Row("api-leases", "POST", "/api/v1/orgs/{slug}/workspaces/{workspace}/leases", api_of_workspace(200), {"name": "nightly", "for_s": "600"}),
    Row("api-lease", "DELETE", "/api/v1/orgs/{slug}/workspaces/{workspace}/leases/{nobody}", api_of_workspace(404)),
    Row("api-usage", "GET", "/api/v1/orgs/{slug}/usage", api(200)),
    Row("api-usage-windows", "GET", "/api/v1/orgs/{slug}/usage/windows", api(200)),
    Row("api-caps", "GET", "/api/v1/orgs/{slug}/caps", api(200)),
    Row("api-caps", "POST", "/api/v1/orgs/{slug}/caps", api_managers(200) | {"billing": 200}, {"mode": "warn", "hours": "40"}),
    Row("api-workspace-wake", "POST", "/api/v1/orgs/{slug}/workspaces/{workspace}/wake", api_of_workspace(202)),
    Row("api-workspace-sleep", "POST", "/api/v1/orgs/{slug}/workspaces/{workspace}/sleep", api_of_workspace(202)),
    Row("api-workspace-archive", "POST", "/api/v1/orgs/{slug}/workspaces/{workspace}/archive", api_of_workspace(202, developer=403)),
    Row("api-resources", "GET", API_READY + "/resources", api_of_workspace(200, viewer=200)),
    Row("api-resource-data", "DELETE", API_READY + "/resources/web/nothing/data", api_of_workspace(404, developer=403)),
    Row("api-resource-data", "PUT", API_READY + "/resources/web/nothing/data", api_of_workspace(404, developer=403)),
    Row("api-runs", "GET", API_READY + "/runs", api_of_workspace(200, viewer=200)),
    Row("api-runs", "POST", API_READY + "/runs", api_of_workspace(202), {"service": "web", "type": "agent", "argv": ["true"]}),
    Row("api-run", "GET", API_READY + "/runs/{run}", api_of_workspace(200, viewer=200)),
    Row("api-run-output", "GET", API_READY + "/runs/{run}/output", api_of_workspace(200)),
    Row("api-run-cancel", "POST", API_READY + "/runs/{run}/cancel", api_of_workspace(202)),
    Row("api-shell", "GET", API_READY + "/shell", api_of_workspace(200, viewer=200)),
    Row("api-shell-tickets", "POST", API_READY + "/shell/tickets", api_of_workspace(201, developer=403)),
    Row("api-certificates", "POST", API_READY + "/shell/certificates", api_of_workspace(201, developer=403), {"public_key": "{public_key}"}),
    Row("api-shell-session-end", "POST", API_READY + "/shell/sessions/{shell_session}/end", api_of_workspace(204, developer=403)),
    Row("api-workspace-restore", "POST", "/api/v1/orgs/{slug}/workspaces/{archived}/restore", api_of_workspace(202, developer=403)),
    Row("api-customer-roles", "GET", "/api/v1/orgs/{slug}/customer-roles", api_managers(200)),
    Row("api-customer-roles", "POST", "/api/v1/orgs/{slug}/customer-roles", api_managers(200), {"role_arn": "arn:aws:iam::111122223333:role/envforge-import-{tag}", "region": "eu-central-1"}),
    Row("api-customer-role", "DELETE", "/api/v1/orgs/{slug}/customer-roles/{nobody}", api_managers(404)),
    Row("api-customer-role-check", "POST", "/api/v1/orgs/{slug}/customer-roles/{nobody}/check", api_managers(404)),
    Row("api-customer-role-import", "POST", "/api/v1/orgs/{slug}/customer-roles/{nobody}/import", api_managers(404), {"path": "/a", "name": "A"}),
    Row("api-forge-apps", "GET", "/api/v1/orgs/{slug}/forge-apps", api_managers(200)),
    Row("api-forge-apps", "POST", "/api/v1/orgs/{slug}/forge-apps", api_managers(422), FORGE_APP),
    Row("api-forge-app", "DELETE", "/api/v1/orgs/{slug}/forge-apps/nothing", api_managers(404)),
    Row("api-forge-app-check", "POST", "/api/v1/orgs/{slug}/forge-apps/nothing/check", api_managers(404)),
    Row("api-projects", "GET", "/api/v1/orgs/{slug}/projects", api(200, billing=403)),
    Row("api-projects", "POST", "/api/v1/orgs/{slug}/projects", api_workers(200), {"name": "New", "slug": "{new_slug}"}),
    Row("api-project", "GET", API_PROJECT, api_of_project(200)),
    Row("api-project-archive", "POST", API_PROJECT + "/archive", api_maintainers(200)),
    Row("api-repositories", "POST", API_PROJECT + "/repositories", api_maintainers(200), {"name": "docs", "url": "https://git.test/d.git"}),
    Row("api-repository", "GET", API_REPOSITORY, api_of_project(200)),
    Row("api-repository", "PUT", API_REPOSITORY, api_maintainers(200), {"url": "https://git.test/c.git"}),
    Row("api-repository", "DELETE", API_REPOSITORY, api_maintainers(200)),
    Row("api-binding", "PUT", API_REPOSITORY + "/bindings/LEVEL", api_maintainers(200), {"source": "literal", "literal": "debug"}),
    Row("api-binding", "DELETE", API_REPOSITORY + "/bindings/LEVEL", api_maintainers(200)),
    Row("api-resource", "PUT", API_REPOSITORY + "/resources/database", api_maintainers(200), PROVIDED),
    Row("api-proposals", "GET", API_PROJECT + "/proposals", api_of_project(200)),
    Row("api-proposal", "GET", API_PROJECT + "/proposals/{proposal}", api_of_project(200)),
    Row("api-proposal", "GET", API_PROJECT + "/proposals/{nobody}", api(404)),
    Row("api-proposal-approve", "POST", API_PROJECT + "/proposals/{proposal}/approve", api_maintainers(200)),
    Row("api-proposal-reject", "POST", API_PROJECT + "/proposals/{proposal}/reject", api_maintainers(200)),
    Row("api-placements", "GET", "/api/v1/orgs/{slug}/placements", api(200, billing=403)),
    Row("api-placements-export", "GET", "/api/v1/orgs/{slug}/placements/export?format=csv", api_managers(200)),
    Row("api-links", "GET", "/api/v1/orgs/{slug}/links", api(200, billing=403)),
    Row("api-links", "POST", "/api/v1/orgs/{slug}/links", maintainers(200) | {"anonymous": 401, "program": 200}, {"workspace": "{linkable}", "service": "web", "lifetime_s": "3600"}),
    Row("api-link", "GET", "/api/v1/orgs/{slug}/links/{link}", api(200, billing=404)),
    Row("api-link", "DELETE", "/api/v1/orgs/{slug}/links/{link}", maintainers(200) | {"anonymous": 401, "program": 200}),
    Row("api-link-rotate", "POST", "/api/v1/orgs/{slug}/links/{link}/rotate", maintainers(200) | {"anonymous": 401, "program": 200}),
    Row("api-link-extend", "POST", "/api/v1/orgs/{slug}/links/{link}/extend", maintainers(200) | {"anonymous": 401, "program": 200}, {"expires_at": "{in_a_day}"}),
    # A list is asked for, of whoever asks.
    Row("api-link-allow", "POST", "/api/v1/orgs/{slug}/links/{link}/allow", api(422), {"surfaces": "web"}),
    Row("api-workspace-links-revoke", "POST", "/api/v1/orgs/{slug}/workspaces/{linkable}/links/revoke", maintainers(200) | {"anonymous": 401, "program": 200}),
    Row("api-member-links-revoke", "POST", "/api/v1/orgs/{slug}/members/{member}/links/revoke", api_managers(200)),
    Row("api-member-links-hand-over", "POST", "/api/v1/orgs/{slug}/members/{member}/links/hand-over", api_managers(422), {"to": "{nobody}"}),
    Row("api-link-policy", "GET", "/api/v1/orgs/{slug}/link-policy", api(200)),
    Row("api-link-policy", "POST", "/api/v1/orgs/{slug}/link-policy", api_managers(200), {"longest_s": "3600"}),
)  # fmt: skip
INSIDE = "/o/{org}/"
SUPPORT = (
    Row("sign-in", "GET", "/sign-in", same(303, anonymous=200, program=200)),
    Row("auth-start", "GET", "/auth/start", same(302)),
    Row("auth-callback", "GET", "/auth/callback", same(303)),
    Row("sign-out", "POST", "/auth/sign-out", same(303)),
    Row("admin:index", "GET", "/", for_staff(200)),
    Row("admin:enter", "GET", "/enter", for_staff(200)),
    # Into the organization that one is in already.
    Row("admin:enter", "POST", "/enter", for_staff(303), {"organization": "{slug}", "reason": "help", "ticket": "T-1"}),
    Row("admin:enter", "POST", "/enter", for_staff(409), {"organization": "{other}", "reason": "help", "ticket": "T-1"}),
    Row("admin:overview", "GET", INSIDE, for_staff(200)),
    Row("admin:overview", "GET", "/o/{other_org}/", for_staff(404)),
    Row("admin:members", "GET", INSIDE + "members", for_staff(200)),
    Row("admin:members", "GET", "/o/{other_org}/members", for_staff(404)),
    Row("admin:timeline", "GET", INSIDE + "timeline", for_staff(200)),
    Row("admin:timeline", "GET", "/o/{other_org}/timeline", for_staff(404)),
    Row("admin:leave", "POST", INSIDE + "leave", for_staff(303)),
    Row("admin:leave", "POST", "/o/{other_org}/leave", for_staff(404)),
    Row("admin:jsi18n", "GET", "/jsi18n/", for_staff(200)),
    Row("admin:orgs_organization_changelist", "GET", "/lists/organizations/", for_staff(200)),
    Row("admin:orgs_supportvisit_changelist", "GET", "/lists/visits/", for_staff(200)),
    Row("admin:orgs_staffgrant_changelist", "GET", "/lists/staff/", for_staff(200)),
    Row("admin:hosts_host_changelist", "GET", "/lists/fleet/", for_staff(200)),
    Row("admin:hosts_orphan_changelist", "GET", "/lists/orphans/", for_staff(200)),
)  # fmt: skip


def named_addresses(patterns: list[Any], namespace: str = "") -> Iterator[str]:
    """The name of every address below these patterns."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from named_addresses(pattern.url_patterns, inner)
        elif isinstance(pattern, URLPattern):
            yield f"{namespace}{pattern.name}" if pattern.name else str(pattern.pattern)


HOSTS: dict[str, tuple[list[Any], tuple[Row, ...]]] = {
    "console": (list(urls.urlpatterns), CONSOLE),
    "support": (list(admin_urls.urlpatterns), SUPPORT),
}
