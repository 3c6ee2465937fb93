"""What each process of the product finds in its environment, and nothing more."""

import secrets
from collections.abc import Callable, Mapping

from local_cloud.errors import LocalCloudError
from local_cloud.home import REPOSITORY, Home, read_document, write_private

REGION = "eu-central-1"
# Where Debian has its programs, root's among them: the PATH that somebody came with may lack those.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
AUDIT_KEY = "alias/envforge-audit"
AUDIT_VAULT_BUCKET = "envforge-audit-vault"
READER_ROLE_ARN = "arn:aws:iam::123456789012:role/envforge-secrets-reader"
CLIENT_ID = "envforge-console"
# Simulated VMs and the gateway have addresses of this machine.
GATEWAY_NETWORKS = "127.0.0.0/8"
# What customers name is on this machine too.
EGRESS_ALLOWED_NETWORKS = "127.0.0.0/8,::1/128"
# Nobody pays on this machine; the pages still show what money looks like.
PRICES = "EUR; 2026-01-01 small=0.08 medium=0.16 large=0.32"
MAIL_FROM = "EnvForge <notices@envforge.localhost>"

# Setting the first name of a row says: use mine and start none. The rest of the row must then be set too.
REPLACEABLE: dict[str, tuple[str, ...]] = {
    "postgres": (
        "DATABASE_URL",
        "ENVFORGE_OWNER_DATABASE_URL",
        "ENVFORGE_SEALER_DATABASE_URL",
        "ENVFORGE_SUPPORT_DATABASE_URL",
    ),
    "valkey": ("CELERY_BROKER_URL", "CACHE_URL"),
    "aws": (
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "ENVFORGE_SEALER_AWS_ACCESS_KEY_ID",
        "ENVFORGE_SEALER_AWS_SECRET_ACCESS_KEY",
        "ENVFORGE_READER_ROLE_ARN",
    ),
    "issuer": ("AUTH0_ISSUER", "AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET"),
    "mail": ("EMAIL_URL",),
}

# Taken over from the caller by every process; the caller's own AWS profile and the like are not.
AMBIENT = frozenset(
    {
        *(
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "LANG",
            "LC_ALL",
            "TZ",
            "TMPDIR",
            "TERM",
            "COLORTERM",
            "NO_COLOR",
            "CI",
        ),
        *("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"),
    }
)

EVERYWHERE = frozenset(
    {
        *(
            "ENVFORGE_MODE",
            "ENVFORGE_LOG_FORMAT",
            "ENVFORGE_STATIC_ROOT",
            "DJANGO_SECRET_KEY",
            "ENVFORGE_CONSOLE_URL",
            "DATABASE_URL",
        ),
        *("CELERY_BROKER_URL", "CACHE_URL", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"),
        *("AUTH0_ISSUER", "AUTH0_CLIENT_ID", "ENVFORGE_AUDIT_KEY", "ENVFORGE_AUDIT_VAULT_BUCKET"),
        *("ENVFORGE_MAIL_FROM", "ENVFORGE_READER_ROLE_ARN", "ENVFORGE_PLAIN_GIT_HOSTS"),
        "ENVFORGE_EGRESS_ALLOWED_NETWORKS",
    }
)
CONTROL_PLANE_IDENTITY = frozenset(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
SIGN_IN = frozenset(("AUTH0_CLIENT_SECRET",))
MAIL = frozenset(("EMAIL_URL",))
METRICS = frozenset(("ENVFORGE_METRICS_TOKEN",))
# Whoever has an AWS account of their own says where VMs are there.
FLEET = frozenset(
    {
        *("ENVFORGE_HOST_API_URL", "ENVFORGE_HOST_IMAGE", "ENVFORGE_HOST_PROFILE", "ENVFORGE_HOST_VPC"),
        *("ENVFORGE_HOST_ROLE_ID", "ENVFORGE_AWS_ACCOUNT_ID"),
        *("ENVFORGE_HOST_SUBNETS", "ENVFORGE_HOST_TYPES", "ENVFORGE_GATEWAY_SECURITY_GROUP"),
        *(
            "ENVFORGE_GATEWAY_NETWORKS",
            "ENVFORGE_FILES",
            "ENVFORGE_RETENTION_DAYS",
            "ENVFORGE_OUTPUT_DAYS",
            "ENVFORGE_PRICES",
        ),
        "ENVFORGE_HOST_WALLS",
    }
)
# Where dev hosts are; the credential by which gateways register is for web and the gateway alone.
DEV = frozenset(("ENVFORGE_DEV_URL", "ENVFORGE_GATEWAY_API_URL", "ENVFORGE_GATEWAY_GRACE_MS"))
GATEWAYS = frozenset(("ENVFORGE_GATEWAY_CREDENTIAL",))
OWNER = frozenset(("ENVFORGE_OWNER_DATABASE_URL",))
SEALER = frozenset(("ENVFORGE_SEALER_DATABASE_URL",))
SUPPORT = frozenset(("ENVFORGE_ADMIN_URL", "ENVFORGE_SUPPORT_DATABASE_URL"))
SEALER_IDENTITY = frozenset(("ENVFORGE_SEALER_AWS_ACCESS_KEY_ID", "ENVFORGE_SEALER_AWS_SECRET_ACCESS_KEY"))

SCOPES: dict[str, frozenset[str]] = {
    "web": EVERYWHERE | CONTROL_PLANE_IDENTITY | SIGN_IN | METRICS | SUPPORT | FLEET | DEV | GATEWAYS,
    "worker": EVERYWHERE | CONTROL_PLANE_IDENTITY | MAIL | FLEET | DEV,
    "beat": EVERYWHERE,
    "sealer": EVERYWHERE | SEALER,
    "static": EVERYWHERE,
    "migrate": EVERYWHERE | OWNER,
    "seed": EVERYWHERE | CONTROL_PLANE_IDENTITY | SIGN_IN | DEV,
    # A person at the keyboard: what manage.py or a test may be asked to do is not known beforehand.
    "manage": EVERYWHERE
    | CONTROL_PLANE_IDENTITY
    | SIGN_IN
    | MAIL
    | METRICS
    | SUPPORT
    | OWNER
    | SEALER
    | SEALER_IDENTITY
    | FLEET
    | DEV
    | GATEWAYS,
}

RANDOM_KEYS: dict[str, Callable[[], str]] = {
    "postgres_admin_password": lambda: secrets.token_hex(24),
    "postgres_owner_password": lambda: secrets.token_hex(24),
    "postgres_app_password": lambda: secrets.token_hex(24),
    "postgres_sealer_password": lambda: secrets.token_hex(24),
    "postgres_support_password": lambda: secrets.token_hex(24),
    "valkey_password": lambda: secrets.token_hex(24),
    "django_secret_key": lambda: secrets.token_urlsafe(48),
    "auth0_client_secret": lambda: secrets.token_urlsafe(32),
    "gateway_credential": lambda: secrets.token_urlsafe(32),
    "metrics_token": lambda: secrets.token_urlsafe(32),
}


def load_keys(home: Home) -> dict[str, str]:
    """The random keys of this home, made once and kept in env.json for its owner alone."""
    path = home.root / "env.json"
    kept: dict[str, str] = read_document(path)
    missing = {name: make() for name, make in RANDOM_KEYS.items() if name not in kept}
    if missing:
        kept |= missing
        write_private(path, kept)
    return kept


def keep_keys(home: Home, **values: str) -> None:
    """Add to the kept keys, such as identities that were issued to us."""
    write_private(home.root / "env.json", load_keys(home) | values)


def given_services(caller: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The services for which the caller's environment names one to use, with their variables.

    Raises:
        LocalCloudError: a service is named, but not completely.
    """
    given = {}
    for service, names in REPLACEABLE.items():
        if not caller.get(names[0]):
            continue
        missing = [name for name in names if not caller.get(name)]
        if missing:
            raise LocalCloudError(
                f"{names[0]} is set, so {service} is not started here; then these must be set too: "
                f"{', '.join(missing)}.\nSet them, or unset {names[0]} to use the local one."
            )
        given[service] = {name: caller[name] for name in names}
    return given


def ambient(caller: Mapping[str, str]) -> dict[str, str]:
    """What any process may know of the caller's environment, with loopback kept away from proxies."""
    kept = {name: value for name, value in caller.items() if name in AMBIENT or name.startswith("LC_")}
    bypass = [part for part in (caller.get("NO_PROXY") or caller.get("no_proxy") or "").split(",") if part]
    direct = ",".join(dict.fromkeys([*bypass, "localhost", "127.0.0.1", "::1"]))
    return kept | {
        "NO_PROXY": direct,
        "no_proxy": direct,
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
    }


def for_part(name: str, product: Mapping[str, str], caller: Mapping[str, str]) -> dict[str, str]:
    """The complete environment of one part of the product: what its row of SCOPES names.

    The sealer finds its own AWS identity under the usual names, a person or a test both identities.
    """
    scope = SCOPES[name]
    chosen = {key: value for key, value in product.items() if key in scope}
    if name == "sealer":
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            if f"ENVFORGE_SEALER_{key}" in product:
                chosen[key] = product[f"ENVFORGE_SEALER_{key}"]
    return ambient(caller) | {"DJANGO_SETTINGS_MODULE": "envforge.settings"} | chosen
