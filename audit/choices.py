"""The words that facts of events choose from (`audit.kinds`)."""

from audit.facts import COUNT, Choice, Choices, Fact

SURFACES = Choices(words=("web", "api", "assets", "websockets"))
HOST_ROLE = Choice(words=("shell", "runtime", "dedicated"))
SIZE = Choice(words=("small", "medium", "large"))
# How an export is written.
FILE = Choice(words=("jsonl", "csv"))
CAP = Choice(words=("none", "warn", "stop"))
ROLE = Choice(
    words=(
        *("owner", "admin", "developer", "viewer", "billing"),
        *("maintainer", "contributor", "reader"),
        *("operator", "collaborator", "observer"),
    )
)
SCOPE = Choice(words=("organization", "project", "workspace"))
ROOT_MODE = Choice(words=("disabled", "break_glass", "elevation"))
PRIVATE_MODE = Choice(words=("off", "shell", "runtime", "private"))
COMMAND = Choice(words=("setup", "test", "service", "agent"))
RESOURCE_MODE = Choice(words=("managed_local", "customer_provided", "customer_cloud", "disabled"))
# What a member may hold and loses with a suspension or removal (`orgs.offboarding`).
HELD: "dict[str, Fact]" = dict.fromkeys(
    (
        *("sessions", "tokens", "agents", "invitations", "certificates"),
        *("dev_links", "dev_links_handed_over", "dev_sessions", "root_grants"),
    ),
    COUNT,
)
