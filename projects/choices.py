"""What can be chosen for a project: decisions, sources of inputs, and how resources are provided."""

from django.db import models


class Decision(models.TextChoices):
    """What a maintainer said of a contract."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"


class Source(models.TextChoices):
    """Where an input's value comes from."""

    SECRET = "secret"  # noqa: S105 - the name of a source
    LITERAL = "literal"
    ROUTE = "route"
    RESOURCE = "resource"


class Mode(models.TextChoices):
    """How a resource is provided (W3)."""

    MANAGED_LOCAL = "managed_local", "EnvForge runs it beside the service"
    CUSTOMER_PROVIDED = "customer_provided", "You provide it"
    CUSTOMER_CLOUD = "customer_cloud", "Your cloud provides it on request"
    DISABLED = "disabled", "It is not there"


class Cleanup(models.TextChoices):
    """What happens to a resource's data when its workspace is deleted."""

    DELETE = "delete", "Deleted with the workspace"
    KEEP = "keep", "Kept; its owner removes it"
