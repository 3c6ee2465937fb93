"""What the process is told by its environment, read once and checked whole.

A missing or malformed setting stops the start; the message lists every wrong one with its name and the expected form,
and never a value.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from envforge import address_forms, gateway_forms, host_forms, mail_forms, price_forms

MODES = ("production", "development")
KNOWN_KEYS = ("insecure", "change-me", "changeme", "example")
MIN_KEY_LENGTH = 50


class EnvironmentInvalid(ImproperlyConfigured):
    """The environment lacks settings or holds unusable ones; `problems` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        listed = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(
            f"EnvForge cannot start with this environment:\n{listed}\ndocs/settings.md lists every setting."
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name, the form people are told, and the reader of its text."""

    name: str
    form: str
    read: Callable[[str], Any]
    default: Any = ...
    production: Callable[[Any], str | None] | None = None


def _text(value: str) -> str:
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError
        return value

    return read


def _matching(form: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not re.fullmatch(form, value, re.ASCII):
            raise ValueError
        return value

    return read


def _boolean(value: str) -> bool:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[value.lower()]


def _seconds(value: str) -> int:
    seconds = int(value)
    if seconds <= 0:
        raise ValueError
    return seconds


def _needs_https(value: str) -> str | None:
    return None if not value or value.startswith("https://") else "must begin with https:// in production"


def _needs_strong_key(value: str) -> str | None:
    if (
        len(value) < MIN_KEY_LENGTH
        or any(known in value.lower() for known in KNOWN_KEYS)
        or len(set(value)) < 10
    ):
        return f"must be random and of at least {MIN_KEY_LENGTH} characters in production"
    return None


def _needs_none(value: str | tuple[str, ...]) -> str | None:
    return "must be empty in production" if value else None


def _needs_required(value: str) -> str | None:
    return None if value == "required" else "must be required in production"


def _needs_off(value: bool) -> str | None:
    return "must be false in production" if value else None


DATABASE_FORM = "postgresql://USER:PASSWORD@HOST:PORT/NAME"

SETTINGS = (
    Setting("ENVFORGE_MODE", "production or development", _one_of(*MODES), default="production"),
    Setting("ENVFORGE_DEBUG", "true or false", _boolean, default=False, production=_needs_off),
    Setting("ENVFORGE_LOG_FORMAT", "json or text", _one_of("json", "text"), default="json"),
    Setting(
        "ENVFORGE_CONSOLE_URL",
        "the console's address, such as https://console.example.com",
        address_forms.web_address,
        production=_needs_https,
    ),
    Setting(
        "ENVFORGE_ADMIN_URL",
        "the support staff's address, on a host of its own; empty serves none",
        address_forms.endpoint,
        default="",
        production=_needs_https,
    ),
    Setting("ENVFORGE_SUPPORT_VISIT_S", "seconds after which a support visit ends", _seconds, default=1800),
    Setting(
        "ENVFORGE_STATIC_ROOT", "a directory that `collectstatic` may fill", _text, default="staticfiles"
    ),
    Setting(
        "ENVFORGE_METRICS_TOKEN", "the bearer token /metrics asks for; empty closes it", _text, default=""
    ),
    Setting(
        "DJANGO_SECRET_KEY",
        f"random text, {MIN_KEY_LENGTH} characters or more",
        _text,
        production=_needs_strong_key,
    ),
    Setting("DATABASE_URL", f"{DATABASE_FORM}, as the role envforge_app", address_forms.postgresql),
    Setting(
        "ENVFORGE_OWNER_DATABASE_URL",
        f"{DATABASE_FORM}, as envforge_owner; for `migrate` only",
        address_forms.postgresql,
        default=None,
    ),
    Setting(
        "ENVFORGE_SEALER_DATABASE_URL",
        f"{DATABASE_FORM}, as envforge_sealer; for the sealer only",
        address_forms.postgresql,
        default=None,
    ),
    Setting(
        "ENVFORGE_SUPPORT_DATABASE_URL",
        f"{DATABASE_FORM}, as envforge_support; for web only",
        address_forms.postgresql,
        default=None,
    ),
    Setting(
        "AUTH0_ISSUER",
        "the issuer to the letter, such as https://TENANT.eu.auth0.com/",
        address_forms.issuer,
        production=_needs_https,
    ),
    Setting("AUTH0_CLIENT_ID", "the client id the issuer gave the console", _text),
    Setting("AUTH0_CLIENT_SECRET", "that client's secret; for web only", _text, default=""),
    Setting(
        "CELERY_BROKER_URL", "redis://…, rediss://… or sqs://", address_forms.url_of("redis", "rediss", "sqs")
    ),
    Setting("CACHE_URL", "redis://… or rediss://…", address_forms.url_of("redis", "rediss")),
    Setting(
        "EMAIL_URL",
        "smtp+tls://USER:PASSWORD@HOST:PORT, smtp+ssl://… or smtp://…; for the worker only",
        mail_forms.server,
        default=None,
        production=mail_forms.needs_protection,
    ),
    Setting(
        "ENVFORGE_MAIL_FROM",
        "the sender of e-mail, such as EnvForge <notices@example.com>",
        mail_forms.mailbox,
    ),
    Setting("AWS_REGION", "an AWS region, such as eu-central-1", _text),
    Setting(
        "AWS_ENDPOINT_URL",
        "empty for AWS itself, or another endpoint's address",
        address_forms.endpoint,
        default="",
        production=_needs_https,
    ),
    Setting(
        "ENVFORGE_READER_ROLE_ARN",
        "the IAM role whose sessions read secrets on hosts: arn:aws:iam::ACCOUNT:role/NAME",
        address_forms.role_arn,
    ),
    Setting("ENVFORGE_AUDIT_KEY", "a KMS signing key (ECC_NIST_P256): id, ARN or alias/…", _text),
    Setting(
        "ENVFORGE_AUDIT_VAULT_BUCKET",
        "an S3 bucket with object lock for checkpoints; empty keeps none there",
        _text,
        default="",
    ),
    Setting(
        "ENVFORGE_AUDIT_CHECKPOINT_S", "seconds between a chain's signed checkpoints", _seconds, default=60
    ),
    Setting(
        "ENVFORGE_HOST_API_URL",
        "the address at which VMs reach the control plane; empty is the console's",
        address_forms.endpoint,
        default="",
        production=_needs_https,
    ),
    Setting("ENVFORGE_HOST_IMAGE", "the base image of VMs, such as ami-0abc1234", _text, default=""),
    Setting("ENVFORGE_HOST_PROFILE", "the instance profile of VMs", _text, default="envforge-host"),
    Setting("ENVFORGE_HOST_VPC", "the VPC that VMs are in", _text, default=""),
    Setting(
        "ENVFORGE_HOST_SUBNETS", "subnets of VMs, one a zone: subnet-…,subnet-…", host_forms.names, default=()
    ),
    Setting("ENVFORGE_GATEWAY_SECURITY_GROUP", "the gateways' security group, sg-…", _text, default=""),
    Setting(
        "ENVFORGE_GATEWAY_NETWORKS",
        "the gateways' networks, such as 10.20.0.0/24,10.20.1.0/24",
        host_forms.networks,
        default=(),
    ),
    Setting(
        "ENVFORGE_DEV_URL",
        "the address below which dev hosts are, such as https://dev.example.com; empty serves none",
        address_forms.endpoint,
        default="",
        production=_needs_https,
    ),
    Setting("ENVFORGE_GATEWAY_API_URL", "where gateways reach us", address_forms.endpoint, "", _needs_https),
    Setting(
        "ENVFORGE_GATEWAY_CREDENTIAL",
        f"random text of {gateway_forms.SHORTEST_CREDENTIAL} characters or more, or two with a comma between",
        gateway_forms.credentials,
        default=(),
    ),
    Setting(
        "ENVFORGE_GATEWAY_GRACE_MS",
        "HEARTBEAT,REFUSE,CUT in milliseconds, such as 250,1000,5000",
        gateway_forms.grace,
        default=gateway_forms.GRACE_MS,
    ),
    Setting(
        "ENVFORGE_HOST_TYPES",
        "instance types by size, in order of preference: small=…,…;medium=…;large=…",
        host_forms.types_by_size,
        default=host_forms.TYPES,
    ),
    Setting(
        "ENVFORGE_FILES",
        "efs, efs:alias/… or directory:/…, the same on every VM",
        host_forms.files,
        default=None,
    ),
    Setting(
        "ENVFORGE_PRICES",
        "a currency and dated rows: EUR; 2026-01-01 small=0.08 medium=0.16 large=0.32; …",
        price_forms.price_table,
        default=price_forms.PriceTable(),
    ),
    Setting(
        "ENVFORGE_RETENTION_DAYS",
        "days for which the files of archived workspaces are kept",
        _seconds,
        default=30,
    ),
    Setting(
        "ENVFORGE_OUTPUT_DAYS",
        "days for which the output of commands is kept",
        _seconds,
        default=14,
    ),
    Setting(
        "ENVFORGE_HOST_WALLS",
        "required, or where_possible for development: what VMs must keep workspaces apart with",
        _one_of("required", "where_possible"),
        default="required",
        production=_needs_required,
    ),
    Setting(
        "ENVFORGE_HOST_ROLE_ID",
        "the unique id of the role that VMs have (AROA…); empty lets none in",
        _matching(r"AROA[A-Z0-9]{12,124}"),
        default="",
    ),
    Setting(
        "ENVFORGE_AWS_ACCOUNT_ID",
        "the 12 digits of the account VMs are in; empty lets none in",
        _matching(r"[0-9]{12}"),
        default="",
    ),
    Setting(
        "ENVFORGE_PLAIN_GIT_HOSTS",
        "HOST:PORT of Git servers that may be cloned from over http, with commas between; for development",
        _matching(r"[a-z0-9.-]+:[0-9]{1,5}(,[a-z0-9.-]+:[0-9]{1,5})*"),
        default="",
        production=_needs_none,
    ),
    Setting(
        "ENVFORGE_EGRESS_ALLOWED_NETWORKS",
        "networks that customers' addresses may lead to though they are not public; for development",
        host_forms.networks,
        default=(),
        production=_needs_none,
    ),
    Setting(
        "ENVFORGE_STS_URL",
        "the STS endpoint that says who a VM is; empty is AWS' of the region",
        address_forms.endpoint,
        default="",
        production=_needs_https,
    ),
)


@dataclass(frozen=True, slots=True)
class Environment:
    """The settings as read: `environment["DATABASE_URL"]`."""

    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def production(self) -> bool:
        return bool(self.values["ENVFORGE_MODE"] == "production")


def read(source: Mapping[str, str]) -> Environment:
    """Read and check every setting.

    Raises:
        EnvironmentInvalid: naming each wrong or missing setting and its expected form.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        given = source.get(setting.name, "").strip()
        if not given:
            if setting.default is ...:
                problems.append(f"{setting.name} is missing. Expected: {setting.form}.")
            values[setting.name] = setting.default
            continue
        try:
            values[setting.name] = setting.read(given)
        except (ValueError, KeyError, ImproperlyConfigured):
            problems.append(f"{setting.name} is not usable. Expected: {setting.form}.")
    if not problems:
        problems += _admin_problems(values) + gateway_forms.problems(values)
    if not problems and values["ENVFORGE_MODE"] == "production":
        for setting in SETTINGS:
            unsafe = setting.production and setting.production(values[setting.name])
            if unsafe:
                problems.append(f"{setting.name} {unsafe}. Expected: {setting.form}.")
    if problems:
        raise EnvironmentInvalid(problems)
    return Environment(values)


def _admin_problems(values: Mapping[str, Any]) -> list[str]:
    admin, database = values["ENVFORGE_ADMIN_URL"], values["ENVFORGE_SUPPORT_DATABASE_URL"]
    if not admin:
        return []
    problems = []
    if not database:
        problems.append(
            f"ENVFORGE_SUPPORT_DATABASE_URL is missing; ENVFORGE_ADMIN_URL needs it. Expected: {DATABASE_FORM}."
        )
    if urlsplit(admin).hostname == urlsplit(values["ENVFORGE_CONSOLE_URL"]).hostname:
        problems.append("ENVFORGE_ADMIN_URL must name another host than ENVFORGE_CONSOLE_URL.")
    return problems
