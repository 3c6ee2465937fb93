"""What each type of resource offers to a service's environment, as `${resources.NAME.PROPERTY}`."""

from typing import Literal

ResourceType = Literal["postgres", "redis", "s3", "mail"]

SECRET_PROPERTIES = frozenset({"url", "password", "access_key", "secret_key"})
"""These carry a credential: they are masked in output and shown nowhere."""

PROPERTIES: dict[str, tuple[str, ...]] = {
    "postgres": ("url", "host", "port", "user", "password", "database"),
    "redis": ("url", "host", "port", "password"),
    "s3": ("url", "endpoint", "region", "bucket", "access_key", "secret_key"),
    "mail": ("url", "host", "port", "user", "password"),
}
"""By type: what whoever provides one has to give, whether EnvForge, the customer or the customer's cloud."""
