"""Everything that can be done to something of an organization."""

from enum import StrEnum


class Action(StrEnum):
    """In the imperative; the words stand in refusals, in `access.denied` and in tokens' scopes, so none is renamed."""

    ORGANIZATION_VIEW = "organization.view"
    ORGANIZATION_RENAME = "organization.rename"
    ORGANIZATION_ARCHIVE = "organization.archive"
    MEMBER_INVITE = "member.invite"
    MEMBER_ADD = "member.add"
    MEMBER_SUSPEND = "member.suspend"
    MEMBER_REMOVE = "member.remove"
    ROLE_GRANT = "role.grant"
    ROLE_REVOKE = "role.revoke"
    SERVICE_ACCOUNT_MANAGE = "service_account.manage"
    AUDIT_READ = "audit.read"
    AUDIT_EXPORT = "audit.export"
    WEBHOOK_MANAGE = "webhook.manage"
    SECURITY_VIEW = "security.view"

    PROJECT_VIEW = "project.view"
    PROJECT_CREATE = "project.create"
    PROJECT_ARCHIVE = "project.archive"
    REPOSITORY_MANAGE = "repository.manage"
    FORGE_APP_MANAGE = "forge_app.manage"
    CONTRACT_APPROVE = "contract.approve"
    BINDING_CHANGE = "binding.change"
    RESOURCE_MODE_CHANGE = "resource.change_mode"
    SECRET_VIEW = "secret.view"  # noqa: S105 - the name of an action
    SECRET_CHANGE = "secret.change"  # noqa: S105 - the name of an action
    CUSTOMER_ROLE_MANAGE = "customer_role.manage"

    WORKSPACE_VIEW = "workspace.view"
    WORKSPACE_CREATE = "workspace.create"
    WORKSPACE_ARCHIVE = "workspace.archive"
    WORKSPACE_DELETE = "workspace.delete"
    DATA_DELETE = "workspace.delete_data"
    SHELL_CONNECT = "shell.connect"
    CONSOLE_FORWARD = "console.forward"
    RUNTIME_WAKE = "runtime.wake"
    RUNTIME_SLEEP = "runtime.sleep"
    COMMAND_RUN = "command.run"
    COMMAND_OUTPUT_READ = "command.read_output"
    LOG_READ = "log.read"
    RECEIPT_VIEW = "receipt.view"

    DEV_LINK_VIEW = "dev_link.view"
    DEV_LINK_ISSUE = "dev_link.issue"
    DEV_LINK_REVOKE = "dev_link.revoke"
    DEV_LINK_CHANGE = "dev_link.change"
    DEV_LINK_SET_POLICY = "dev_link.set_policy"
    DEV_URL_OPEN = "dev_url.open"

    PLACEMENT_VIEW = "placement.view"
    PLACEMENT_EXPORT = "placement.export"
    HOST_DEDICATE = "host.dedicate"
    USAGE_VIEW = "usage.view"
    BILLING_VIEW = "billing.view"
    CAP_SET = "cap.set"

    ROOT_SET_POLICY = "root.set_policy"
    ROOT_REQUEST = "root.request"
    ROOT_APPROVE = "root.approve"
    TAILNET_CONNECT = "tailnet.connect"
    TAILNET_SET_MODE = "tailnet.set_mode"
