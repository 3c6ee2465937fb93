"""The program's settings, from the environment alone."""

import os
import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from envforge_gateway.errors import ConfigError

Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+$")]
Listen = Annotated[str, Field(pattern=r"^(?:[0-9.]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}$")]
Networks = tuple[IPv4Network | IPv6Network, ...]
PREFIX = "ENVFORGE_GATEWAY_"
# Named without the prefix, as the control plane has them too.
SHARED = {"dev_url": "ENVFORGE_DEV_URL"}
_SEPARATE = {"upstream_networks", "trusted_peers"}
_HTTPS, _HTTP = 443, 80


class Config(BaseModel):
    """One gateway's settings; each is `ENVFORGE_GATEWAY_` and its name in capitals (`dev_url`: `ENVFORGE_DEV_URL`).

    `dev_url`: where the world reaches this gateway; its host is the bare dev domain. `credential`: the deployment's, to register
    with. `upstream_networks`: the only addresses that are dialled. `trusted_peers`: whose `X-Forwarded-*` are believed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dev_url: Url
    api_url: Url
    credential: SecretStr
    listen: Listen = "127.0.0.1:8300"
    admin_listen: Listen = "127.0.0.1:8390"
    processes: int = Field(default=0, ge=0, le=256)
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,50}$")] = "gateway"
    upstream_networks: Networks = ()
    trusted_peers: Networks = ()

    max_connections: int = Field(default=20_000, ge=1)
    connections_per_session: int = Field(default=200, ge=1)
    connections_per_link: int = Field(default=2000, ge=1)
    cached_sessions: int = Field(default=250_000, ge=1)
    head_bytes: int = Field(default=32_768, ge=1024)
    head_fields: int = Field(default=100, ge=8)
    body_bytes: int = Field(default=2 << 30, ge=1024)
    head_timeout_s: float = Field(default=10.0, gt=0)
    idle_timeout_s: float = Field(default=75.0, gt=0)
    body_timeout_s: float = Field(default=60.0, gt=0)
    stall_timeout_s: float = Field(default=120.0, gt=0)
    connect_timeout_s: float = Field(default=5.0, gt=0)
    first_byte_timeout_s: float = Field(default=120.0, gt=0)
    api_timeout_s: float = Field(default=5.0, gt=0)
    websocket_hold_s: float = Field(default=20.0, gt=0)
    drain_s: float = Field(default=30.0, ge=0)

    @field_validator(*_SEPARATE, mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(ip_network(one.strip()) for one in value.split(",") if one.strip())

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if "." not in self.domain:
            raise ValueError("dev_url must name a domain of at least two labels")
        return self

    @property
    def domain(self) -> str:
        """The bare dev domain."""
        return (urlsplit(self.dev_url).hostname or "").lower()

    @property
    def scheme(self) -> str:
        return urlsplit(self.dev_url).scheme

    @property
    def port_suffix(self) -> str:
        """What follows a host name in an address: empty, or `:PORT`."""
        port = urlsplit(self.dev_url).port
        return "" if port in {None, _HTTPS if self.scheme == "https" else _HTTP} else f":{port}"

    def origin(self, host: str) -> str:
        """The origin of a host below the dev domain, as browsers write it."""
        return f"{self.scheme}://{host}{self.port_suffix}"

    def may_dial(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether services may be at this address (THREATS G2)."""
        return any(address in network for network in self.upstream_networks)

    def trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.trusted_peers)


def load(environment: Mapping[str, str] | None = None) -> Config:
    """Read the settings.

    Raises:
        ConfigError: one is missing or wrong; the text names it and does not show its value.
    """
    given = os.environ if environment is None else environment
    found: dict[str, str] = {}
    for field in Config.model_fields:
        name = SHARED.get(field, PREFIX + field.upper())
        if given.get(name):
            found[field] = given[name]
    held = given.get(f"{PREFIX}CREDENTIAL_FILE")
    if held and "credential" not in found:
        try:
            found["credential"] = Path(held).read_text().strip()
        except OSError as error:
            raise ConfigError(f"{PREFIX}CREDENTIAL_FILE cannot be read: {error.strerror}.") from None
    try:
        return Config.model_validate(found)
    except ValidationError as error:
        wrong = [
            f"{SHARED.get(str(one['loc'][0]), PREFIX + str(one['loc'][0]).upper()) if one['loc'] else 'settings'}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigError("The gateway cannot start. " + "; ".join(wrong)) from None


def address(listen: str) -> tuple[str, int]:
    """Host and port of a `Listen`."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
