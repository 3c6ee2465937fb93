"""Every kind of event: its wire name, the facts it may carry, and its sentence for people.

A name is what stands in exports and filters for ever; a kind is added, never renamed. `{actor}`, `{target}` and the
facts can stand in a sentence.
"""

from enum import Enum
from typing import Any

from audit.choices import (
    CAP,
    COMMAND,
    FILE,
    HELD,
    HOST_ROLE,
    PRIVATE_MODE,
    RESOURCE_MODE,
    ROLE,
    ROOT_MODE,
    SCOPE,
    SIZE,
    SURFACES,
)
from audit.declarations import kind
from audit.facts import (
    COUNT,
    DIGEST,
    FLAG,
    ID,
    NAME,
    SECONDS,
    SLUG,
    TIME,
    VERSION,
    WORD,
    Choice,
    FactValue,
)


class EventKind(Enum):
    """The kinds of events, by subject."""

    # Organizations and people
    ORGANIZATION_CREATED = kind(
        "organization.created", "{actor} created the organization {target}", slug=SLUG
    )
    ORGANIZATION_RENAMED = kind(
        "organization.renamed", "{actor} renamed the organization to {target}", previous=NAME
    )
    ORGANIZATION_SETTING_CHANGED = kind(
        "organization.setting_changed", "{actor} changed the setting {setting}", setting=WORD
    )
    ORGANIZATION_ARCHIVED = kind("organization.archived", "{actor} archived the organization {target}")
    MEMBER_INVITED = kind("member.invited", "{actor} invited {target} as {role}", role=ROLE, expires_at=TIME)
    MEMBER_INVITATION_REVOKED = kind(
        "member.invitation_revoked", "{actor} took back the invitation of {target}", cause=WORD
    )
    MEMBER_INVITATION_EXPIRED = kind("member.invitation_expired", "The invitation of {target} expired")
    MEMBER_JOINED = kind("member.joined", "{target} joined as {role}", role=ROLE)
    MEMBER_SUSPENDED = kind(
        "member.suspended", "{actor} suspended {target}; everything they held was closed", **HELD
    )
    MEMBER_RESTORED = kind("member.restored", "{actor} restored {target}")
    MEMBER_REMOVED = kind(
        "member.removed",
        "{actor} removed {target}; everything they held was closed",
        **HELD,
    )
    ROLE_GRANTED = kind("role.granted", "{actor} made {target} {role}", role=ROLE, scope=SCOPE, scope_id=ID)
    ROLE_REVOKED = kind(
        "role.revoked", "{actor} took the role {role} from {target}", role=ROLE, scope=SCOPE, scope_id=ID
    )
    SESSION_STARTED = kind(
        "session.started", "{target} signed in", surface=Choice(words=("console", "cli", "admin"))
    )
    SESSION_ENDED = kind(
        "session.ended",
        "{actor} ended a session of {target}",
        surface=Choice(words=("console", "cli", "admin")),
        cause=WORD,
    )
    SIGN_IN_REFUSED = kind("session.refused", "A sign-in was refused: {reason}", reason=WORD)
    TOKEN_ISSUED = kind(
        "token.issued", "{actor} issued the token {target}", scopes_count=COUNT, expires_at=TIME
    )
    TOKEN_REVOKED = kind("token.revoked", "{actor} revoked the token {target}", cause=WORD)
    TOKEN_EXPIRED = kind("token.expired", "The token {target} expired")
    SERVICE_ACCOUNT_CREATED = kind("service_account.created", "{actor} created the service account {target}")
    SERVICE_ACCOUNT_REMOVED = kind(
        "service_account.removed", "{actor} removed the service account {target}", cause=WORD
    )
    ACCESS_DENIED = kind(
        "access.denied", "{actor} was refused {action} on {target}: {rule}", action=WORD, rule=WORD
    )

    # Support and the audit itself
    SUPPORT_ENTERED = kind(
        "support.entered",
        "{actor} of support entered the organization: {reason} ({ticket})",
        reason=NAME,
        ticket=NAME,
        until=TIME,
    )
    SUPPORT_LEFT = kind("support.left", "{actor} of support left the organization")
    SUPPORT_VIEWED = kind("support.viewed", "{actor} of support looked at the page {page}", page=WORD)
    SUPPORT_ENDED = kind(
        "support.ended", "{actor} ended the visit of {target} of support: {cause}", cause=WORD
    )
    STAFF_GRANTED = kind("staff.granted", "{actor} made {target} support staff", expires_at=TIME)
    STAFF_REVOKED = kind("staff.revoked", "{actor} ended the staff grant of {target}")
    STAFF_EXPIRED = kind("staff.expired", "The staff grant of {target} expired")
    AUDIT_READ = kind("audit.read", "{actor} read the timeline", filters=COUNT)
    AUDIT_EXPORTED = kind("audit.exported", "{actor} exported the timeline", form=FILE, events=COUNT)

    # Hosts and placement
    HOST_REQUESTED = kind("host.requested", "{actor} asked for a {role} VM", role=HOST_ROLE, size=SIZE)
    HOST_STARTED = kind("host.started", "A {role} VM started", role=HOST_ROLE, image=VERSION)
    HOST_STOPPED = kind("host.stopped", "A {role} VM stopped", role=HOST_ROLE, cause=WORD)
    HOST_REPLACED = kind(
        "host.replaced", "A {role} VM was replaced", role=HOST_ROLE, cause=WORD, generation=COUNT
    )
    HOST_ENDED = kind("host.ended", "A {role} VM was ended", role=HOST_ROLE, cause=WORD)
    HOST_ORPHAN_ENDED = kind(
        "host.orphan_ended", "{actor} ended the instance {target}, which nobody owned", launched_at=TIME
    )
    HOST_JOIN_REFUSED = kind("host.join_refused", "A VM's request to join was refused: {reason}", reason=WORD)
    PLACEMENT_MADE = kind(
        "placement.made", "{target} was placed on a VM of this organization", role=HOST_ROLE, host_id=ID
    )
    PLACEMENT_ENDED = kind("placement.ended", "{target} left its VM", role=HOST_ROLE, host_id=ID)
    PLACEMENT_EXPORTED = kind(
        "placement.exported", "{actor} exported the placement history", form=FILE, placements=COUNT
    )

    # Projects and contracts
    PROJECT_CREATED = kind("project.created", "{actor} created the project {target}")
    PROJECT_ARCHIVED = kind("project.archived", "{actor} archived the project {target}")
    REPOSITORY_ADDED = kind("repository.added", "{actor} added the repository {target}")
    REPOSITORY_CHANGED = kind("repository.changed", "{actor} changed the repository {target}")
    REPOSITORY_REMOVED = kind("repository.removed", "{actor} removed the repository {target}")
    FORGE_APP_REGISTERED = kind("forge_app.registered", "{actor} registered the forge app {target}")
    FORGE_APP_REMOVED = kind("forge_app.removed", "{actor} removed the forge app {target}")
    CONTRACT_PROPOSED = kind("contract.proposed", "{target} proposes contract {digest}", digest=DIGEST)
    CONTRACT_APPROVED = kind(
        "contract.approved", "{actor} approved contract {digest} of {target}", digest=DIGEST
    )
    CONTRACT_REJECTED = kind(
        "contract.rejected", "{actor} rejected contract {digest} of {target}", digest=DIGEST
    )
    BINDING_CHANGED = kind(
        "binding.changed",
        "{actor} bound {input} of {target}",
        input=NAME,
        source=Choice(words=("secret", "literal", "route", "resource", "none")),
    )
    RESOURCE_MODE_CHANGED = kind(
        "resource.mode_changed", "{actor} set {resource} to {mode}", resource=NAME, mode=RESOURCE_MODE
    )

    RESOURCE_DATA_DELETION_ASKED = kind(
        "resource.data_deletion_asked",
        "{actor} asked for the data of {resource} of {target} to be deleted at its next wake",
        resource=NAME,
    )
    RESOURCE_DATA_DELETION_TAKEN_BACK = kind(
        "resource.data_deletion_taken_back", "{actor} keeps the data of {resource} of {target}", resource=NAME
    )
    RESOURCE_DATA_DELETED = kind(
        "resource.data_deleted",
        "The data of {resource} of {target} was deleted, as {asked_by} asked",
        resource=NAME,
        asked_by=NAME,
    )

    # Workspaces, shell, runtime
    WORKSPACE_CREATED = kind("workspace.created", "{actor} opened the workspace {target}", branch=NAME)
    WORKSPACE_ARCHIVED = kind("workspace.archived", "{actor} archived the workspace {target}")
    WORKSPACE_DELETED = kind("workspace.deleted", "{actor} deleted the workspace {target}", data_removed=FLAG)
    WORKSPACE_RESTORED = kind("workspace.restored", "{actor} took the workspace {target} into use again")
    WORKSPACE_CHANGED = kind(
        "workspace.changed", "{actor} set {setting} of {target} to {to}", setting=WORD, to=NAME
    )
    WORKSPACE_BRANCH_GONE = kind(
        "workspace.branch_gone", "The branch {branch} of {target} is in none of its repositories", branch=NAME
    )
    WORKSPACE_REMOVED = kind(
        "workspace.removed",
        "What was kept of the workspace {target} is gone: {parameters} secrets, {others} other things and its files",
        parameters=COUNT,
        others=COUNT,
        wakes=COUNT,
        awake_s=SECONDS,
        wanted_by=NAME,
    )
    SHELL_READY = kind("shell.ready", "The shell of {target} is ready")
    SHELL_CERTIFICATE_ISSUED = kind(
        "shell.certificate_issued", "{actor} got shell access to {target}", expires_at=TIME
    )
    SHELL_ACCESS_ENDED = kind(
        "shell.access_ended", "{holder}'s shell access to {target} ended: {cause}", holder=NAME, cause=WORD
    )
    SHELL_CONNECTED = kind("shell.connected", "{actor} connected to the shell of {target}")
    SHELL_DISCONNECTED = kind(
        "shell.disconnected", "{actor} left the shell of {target}", duration_s=SECONDS, cause=WORD
    )
    RUNTIME_WAKE_REQUESTED = kind(
        "runtime.wake_requested", "{actor} asked for {target} to wake: {cause}", cause=WORD
    )
    RUNTIME_STARTED = kind(
        "runtime.started",
        "{target} is awake; {services} services ready",
        services=COUNT,
        ready_s=SECONDS,
        size=SIZE,
    )
    RUNTIME_WAKE_FAILED = kind("runtime.wake_failed", "{target} could not wake: {reason}", reason=WORD)
    RUNTIME_EXTENDED = kind(
        "runtime.extended", "{actor} kept {target} awake for {job}: {cause}", cause=WORD, until=TIME, job=NAME
    )
    RUNTIME_LEASE_ENDED = kind(
        "runtime.lease_ended", "{actor} no longer needs {target} awake for {job}", job=NAME
    )
    RUNTIME_SLEEP_REQUESTED = kind(
        "runtime.sleep_requested", "{actor} asked for {target} to sleep: {cause}", cause=WORD
    )
    RUNTIME_SLEPT = kind("runtime.slept", "{target} is asleep", cause=WORD, awake_s=SECONDS)
    METER_OPENED = kind(
        "meter.opened",
        "The meter of {target} started",
        window_id=ID,
        wake=COUNT,
        cause=WORD,
        size=SIZE,
        cap=CAP,
        opened_at=TIME,
    )
    METER_CLOSED = kind(
        "meter.closed",
        "The meter of {target} stopped",
        window_id=ID,
        cause=WORD,
        closed_at=TIME,
        seconds=SECONDS,
        disputed_s=SECONDS,
    )
    USAGE_EXPORTED = kind(
        "usage.exported", "{actor} exported the usage of {month}", form=FILE, month=VERSION, windows=COUNT
    )
    CAP_CHANGED = kind(
        "cap.changed", "{actor} set the usage cap of {target} to {mode}", mode=CAP, hours=COUNT.or_none()
    )
    CAP_NEARED = kind(
        "cap.neared", "{target} has used {percent} % of its cap", mode=CAP, hours=COUNT, percent=COUNT
    )
    CAP_REACHED = kind("cap.reached", "{target} reached its usage cap", mode=CAP, hours=COUNT)
    COMMAND_RUN = kind(
        "command.run",
        "{actor} ran {command} on {target}: exit {exit_status}",
        command=NAME,
        type=COMMAND,
        exit_status=COUNT.or_none(),
        duration_s=SECONDS,
    )
    COMMAND_CANCELLED = kind(
        "command.cancelled", "{actor} cancelled {command} on {target}", command=NAME, type=COMMAND
    )

    # Secrets, metadata only
    SECRET_SET = kind("secret.set", "{actor} set the secret {target}", version=COUNT)
    SECRET_ROTATED = kind("secret.rotated", "{actor} rotated the secret {target}", version=COUNT)
    SECRET_DELETION_ASKED = kind("secret.deletion_asked", "{actor} asked to delete the secret {target}")
    SECRET_DELETED = kind("secret.deleted", "{actor} deleted the secret {target}")
    SECRET_IMPORTED = kind("secret.imported", "{actor} imported the secret {target}", version=COUNT)
    SECRET_RELEASED = kind("secret.released", "{actor} gave up the imported secret {target}")
    CUSTOMER_ROLE_REGISTERED = kind("customer_role.registered", "{actor} registered the role {target}")
    CUSTOMER_ROLE_CHECKED = kind(
        "customer_role.checked",
        "{actor} checked the role {target}: {result}",
        result=Choice(words=("holds", "open", "denied", "rights")),
    )
    CUSTOMER_ROLE_REMOVED = kind("customer_role.removed", "{actor} removed the role {target}")
    SECRET_CONSUMED = kind(
        "secret.consumed", "{service} read {target} version {version}", service=NAME, version=COUNT
    )
    SECRET_DRIFTED = kind(
        "secret.drifted",
        "{target} was {change} outside of EnvForge",
        change=Choice(words=("changed", "deleted")),
    )

    # Dev links
    DEV_LINK_ISSUED = kind(
        "dev_link.issued",
        "{actor} issued {target} for {service}",
        service=NAME,
        surfaces=SURFACES,
        expires_at=TIME,
        link_id=ID,
    )
    DEV_LINK_FIRST_USED = kind("dev_link.first_used", "{target} was used for the first time", link_id=ID)
    DEV_LINK_DENIED = kind("dev_link.denied", "{target} was refused: {reason}", link_id=ID, reason=WORD)
    DEV_LINK_ROTATED = kind("dev_link.rotated", "{actor} rotated {target}", link_id=ID, rotation=COUNT)
    DEV_LINK_EXTENDED = kind("dev_link.extended", "{actor} extended {target}", link_id=ID, expires_at=TIME)
    DEV_LINK_HANDED_OVER = kind(
        "dev_link.handed_over", "{actor} handed {target} over to {to}", link_id=ID, to=NAME
    )
    DEV_LINK_EXPIRED = kind("dev_link.expired", "{target} expired", link_id=ID)
    DEV_LINK_REVOKED = kind("dev_link.revoked", "{actor} revoked {target}", link_id=ID, cause=WORD)
    DEV_LINK_CUT = kind(
        "dev_link.cut",
        "{connections} connections of {target} were cut",
        link_id=ID,
        connections=COUNT,
        gateways=COUNT,
    )
    DEV_LINK_ALLOWLIST_CHANGED = kind(
        "dev_link.allowlist_changed", "{actor} changed what {target} opens", link_id=ID, surfaces=SURFACES
    )
    DEV_LINK_POLICY_CHANGED = kind(
        "dev_link.policy_changed", "{actor} changed the policy for dev links", longest_s=SECONDS
    )

    DEV_URL_OPENED = kind("dev_url.opened", "{actor} opened {service} of {target}", service=NAME)
    LINK_KEY_ROTATED = kind("link_key.rotated", "{actor} made {target} the one that signs", distrusted=FLAG)
    GATEWAY_REGISTERED = kind("gateway.registered", "The gateway {target} registered", version=VERSION)
    GATEWAY_REFUSED = kind("gateway.refused", "A gateway was refused: {reason}", reason=WORD)

    # Root
    ROOT_POLICY_CHANGED = kind(
        "root.policy_changed", "{actor} set the root policy to {mode}", mode=ROOT_MODE, previous=ROOT_MODE
    )
    ROOT_REQUESTED = kind(
        "root.requested",
        "{actor} asked for root on {target}",
        request_id=ID,
        mode=ROOT_MODE,
        window_s=SECONDS,
    )
    ROOT_APPROVED = kind(
        "root.approved", "{actor} approved root on {target}", request_id=ID, window_s=SECONDS
    )
    ROOT_REFUSED = kind("root.refused", "{actor} refused root on {target}", request_id=ID)
    ROOT_STARTED = kind("root.started", "Root on {target} began", request_id=ID, until=TIME)
    ROOT_CLOSED = kind("root.closed", "Root on {target} ended", request_id=ID, cause=WORD, host_replaced=FLAG)

    # Private access
    TAILNET_CONNECTED = kind("tailnet.connected", "{actor} connected the tailnet {target}")
    TAILNET_DISCONNECTED = kind(
        "tailnet.disconnected", "{actor} disconnected the tailnet {target}", devices=COUNT
    )
    TAILNET_MODE_CHANGED = kind(
        "tailnet.mode_changed", "{actor} set private access of {target} to {mode}", mode=PRIVATE_MODE
    )
    TAILNET_DEVICE_JOINED = kind("tailnet.device_joined", "{target} joined the tailnet", role=HOST_ROLE)
    TAILNET_DEVICE_TAGGED = kind("tailnet.device_tagged", "{target} was tagged", role=HOST_ROLE)
    TAILNET_DEVICE_DISCONNECTED = kind("tailnet.device_disconnected", "{target} left the tailnet", cause=WORD)
    TAILNET_DEVICE_REMOVED = kind(
        "tailnet.device_removed", "{target} was removed from the tailnet", cause=WORD
    )

    # Notices and reports
    NOTICE_FAILED = kind(
        "notice.failed",
        "An e-mail to {target} ({notice}) could not be delivered: {reason}",
        notice=WORD,
        reason=WORD,
        attempts=COUNT,
    )
    WEBHOOK_CHANGED = kind("webhook.changed", "{actor} changed the webhook {target}", change=WORD)
    WEBHOOK_DISABLED = kind(
        "webhook.disabled", "The webhook {target} was disabled after failing", failures=COUNT
    )
    REPORT_RECEIVED = kind("report.received", "A security report arrived", case=VERSION)
    REPORT_STATE_CHANGED = kind(
        "report.state_changed", "{actor} set the report {case} to {state}", case=VERSION, state=WORD
    )

    @property
    def wire_name(self) -> str:
        """The name that stands in the database, in filters and in exports."""
        return self.value.name

    @property
    def says(self) -> str:
        return self.value.says

    def read_facts(self, given: dict[str, Any]) -> dict[str, FactValue]:
        """The facts as they are stored.

        Raises:
            FactRefused: an undeclared or missing fact, or one of another form; its name, never its value.
        """
        return self.value.read(given)


BY_NAME: dict[str, EventKind] = {one.wire_name: one for one in EventKind}
