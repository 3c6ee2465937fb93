"""Django's settings, all from the environment (`envforge.environment`); nothing here knows where it runs."""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONCE, NONE, SELF

from envforge import environment, logs

try:
    env = environment.read(os.environ)
except environment.EnvironmentInvalid as wrong:
    sys.exit(str(wrong))

BASE_DIR = Path(__file__).resolve().parent.parent
PRODUCTION = env.production
DEBUG = env["ENVFORGE_DEBUG"]
SECRET_KEY = env["DJANGO_SECRET_KEY"]
CONSOLE_URL = env["ENVFORGE_CONSOLE_URL"]
CONSOLE_HOST = urlsplit(CONSOLE_URL).hostname or ""
ADMIN_URL = env["ENVFORGE_ADMIN_URL"]
ADMIN_HOST = urlsplit(ADMIN_URL).hostname or ""
ALLOWED_HOSTS = [host for host in (CONSOLE_HOST, ADMIN_HOST) if host]
# Django trusts the origin of the host that was asked; no host trusts forms of another one.
CSRF_TRUSTED_ORIGINS: list[str] = []
SUPPORT_VISIT_S = env["ENVFORGE_SUPPORT_VISIT_S"]

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    # Without its own site and log: support has one site (orgs.admin), and what it does stands in the audit.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "django_prometheus",
    "rest_framework",
    "drf_spectacular",
    "envforge",
    "audit",
    "orgs",
    "timeline",
    "secrets_ref",
    "hosts",
    "projects",
    "workspaces",
    "devlinks",
    "notices",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "envforge.request_id.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "envforge.headers.HeadersMiddleware",
    "envforge.surfaces.SurfaceMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "envforge.problems.ProblemsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "envforge.urls"
ASGI_APPLICATION = "envforge.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "csp.context_processors.nonce",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _database(config: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {
        **config,
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "application_name": "envforge",
            "connect_timeout": 5,
            **options,
            **config.get("OPTIONS", {}),
        },
    }


# A request or task that waits on a lock or runs astray is ended, and its transaction with it.
LIMITS = "-c statement_timeout=30s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s"

# `reconnect_timeout`: the pool tries a lost server again after 1, 2, 4, ... seconds, and from the beginning once this has
# passed. As short as a client waits (`timeout`), a server that is back is found in 2 s, however long it was away.
POOL = {"min_size": 1, "max_size": 24, "timeout": 5, "reconnect_timeout": 5}

# One database, up to four ways in: each process is given only the roles it needs.
DATABASES = {"default": _database(env["DATABASE_URL"], options=LIMITS, pool=POOL)}
if env["ENVFORGE_OWNER_DATABASE_URL"]:
    DATABASES["owner"] = _database(env["ENVFORGE_OWNER_DATABASE_URL"])
if env["ENVFORGE_SEALER_DATABASE_URL"]:
    DATABASES["sealer"] = _database(env["ENVFORGE_SEALER_DATABASE_URL"])
if env["ENVFORGE_SUPPORT_DATABASE_URL"]:
    # What support sees outside of an entered organization; PostgreSQL grants it columns, not tables (N3).
    DATABASES["support"] = _database(
        env["ENVFORGE_SUPPORT_DATABASE_URL"], options=f"{LIMITS} -c default_transaction_read_only=on"
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "orgs.Person"
# Nobody signs in by Django's own means.
AUTHENTICATION_BACKENDS: list[str] = []
MIGRATION_MODULES = {"admin": None}

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env["CACHE_URL"],
        "KEY_PREFIX": "envforge",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
}

# Who a person is, is said by an OpenID Connect issuer (Auth0); what they may do is said by `orgs.policy` alone (I1).
AUTH0_ISSUER = env["AUTH0_ISSUER"]
AUTH0_CLIENT_ID = env["AUTH0_CLIENT_ID"]
AUTH0_CLIENT_SECRET = env["AUTH0_CLIENT_SECRET"]

REST_FRAMEWORK = {
    # Each answers an actor (envforge.api.views); the first that knows the caller decides.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "orgs.authenticators.ServiceAccountToken",
        "orgs.authenticators.ConsoleSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["envforge.api.rules.SignedIn"],
    "DEFAULT_THROTTLE_CLASSES": ["envforge.api.throttles.ByActor"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "envforge.api.rules.JsonAlone",
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "envforge.api.refusals.to_problem",
    "UNAUTHENTICATED_USER": None,
    # `?format=` is a parameter of the export's own.
    "URL_FORMAT_OVERRIDE": None,
}
# How often an actor may ask: requests, and in how many seconds.
API_RATES = {"read": (600, 60), "export": (30, 3600), "write": (120, 60)}
SPECTACULAR_SETTINGS = {
    "TITLE": "EnvForge",
    "VERSION": "v1",
    "DESCRIPTION": "Everything the console shows, for programs.",
    "SERVE_INCLUDE_SCHEMA": False,
    # Fields of one name with other choices are told apart in the description.
    "ENUM_NAME_OVERRIDES": {
        "ResourceMode": "projects.choices.Mode.values",
        "CapMode": "workspaces.models.meters.CapMode",
        "SecretState": "secrets_ref.api.STATES",
        "WorkspaceState": "workspaces.api.STATES",
        "RunState": "workspaces.runs_api.STATES",
    },
}

CELERY_BROKER_URL = env["CELERY_BROKER_URL"]

# Django's own names, for its SMTP backend; without a server (web, sealer, …) nothing can be sent, and nothing is.
MAIL_SERVER = env["EMAIL_URL"]
if MAIL_SERVER:
    EMAIL_HOST = MAIL_SERVER.host
    EMAIL_PORT = MAIL_SERVER.port
    EMAIL_HOST_USER = MAIL_SERVER.user
    EMAIL_HOST_PASSWORD = MAIL_SERVER.password
    EMAIL_USE_TLS = MAIL_SERVER.security == "starttls"
    EMAIL_USE_SSL = MAIL_SERVER.security == "tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env["ENVFORGE_MAIL_FROM"]

AWS_REGION = env["AWS_REGION"]
AWS_ENDPOINT_URL = env["AWS_ENDPOINT_URL"] or None
READER_ROLE_ARN = env["ENVFORGE_READER_ROLE_ARN"]
AUDIT_KEY = env["ENVFORGE_AUDIT_KEY"]
AUDIT_VAULT_BUCKET = env["ENVFORGE_AUDIT_VAULT_BUCKET"]
AUDIT_CHECKPOINT_S = env["ENVFORGE_AUDIT_CHECKPOINT_S"]
HOST_IMAGE = env["ENVFORGE_HOST_IMAGE"]
HOST_PROFILE = env["ENVFORGE_HOST_PROFILE"]
HOST_VPC = env["ENVFORGE_HOST_VPC"]
HOST_SUBNETS = env["ENVFORGE_HOST_SUBNETS"]
HOST_TYPES = env["ENVFORGE_HOST_TYPES"]
# "required", or "where_possible" on a machine for development.
HOST_WALLS = env["ENVFORGE_HOST_WALLS"]
GATEWAY_SECURITY_GROUP = env["ENVFORGE_GATEWAY_SECURITY_GROUP"]
GATEWAY_NETWORKS = env["ENVFORGE_GATEWAY_NETWORKS"]
WORKSPACE_FILES = env["ENVFORGE_FILES"]
# What awake hours cost, by size and day; without rows no page shows money.
PRICES = env["ENVFORGE_PRICES"]
WORKSPACE_RETENTION = timedelta(days=env["ENVFORGE_RETENTION_DAYS"])
COMMAND_OUTPUT_RETENTION = timedelta(days=env["ENVFORGE_OUTPUT_DAYS"])
# HOST:PORT of Git servers from which VMs may clone over plain http.
PLAIN_GIT_HOSTS = frozenset(filter(None, env["ENVFORGE_PLAIN_GIT_HOSTS"].split(",")))
# Networks that `envforge.egress` may reach besides public addresses.
EGRESS_ALLOWED_NETWORKS = env["ENVFORGE_EGRESS_ALLOWED_NETWORKS"]
# Where VMs speak (`/host/v1/`), what they must be, and the one place that says so (H4).
HOST_API_URL = env["ENVFORGE_HOST_API_URL"] or CONSOLE_URL
HOST_API_HOST = urlsplit(HOST_API_URL).hostname or ""
DEV_URL = env["ENVFORGE_DEV_URL"]
DEV_DOMAIN = urlsplit(DEV_URL).hostname or ""
GATEWAY_API_URL = env["ENVFORGE_GATEWAY_API_URL"] or CONSOLE_URL
GATEWAY_API_HOST = urlsplit(GATEWAY_API_URL).hostname or ""
GATEWAY_CREDENTIALS = env["ENVFORGE_GATEWAY_CREDENTIAL"]
GATEWAY_GRACE_MS = env["ENVFORGE_GATEWAY_GRACE_MS"]
# How often a gateway process may ask, and an address before it is known who asks: requests a second, and how many at once.
GATEWAY_RATES = {"gateway": (2000.0, 4000), "address": (20.0, 200)}
HOST_ROLE_ID = env["ENVFORGE_HOST_ROLE_ID"]
AWS_ACCOUNT_ID = env["ENVFORGE_AWS_ACCOUNT_ID"]
STS_URL = env["ENVFORGE_STS_URL"] or AWS_ENDPOINT_URL or f"https://sts.{AWS_REGION}.amazonaws.com"
# How often a VM may ask, and an address before it is known who asks: requests a second, and how many at once.
HOST_RATES = {"host": (20.0, 200), "address": (10.0, 200)}
METRICS_TOKEN = env["ENVFORGE_METRICS_TOKEN"]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = env["ENVFORGE_STATIC_ROOT"]
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# __Host- cookies are host-only and Secure; browsers accept Secure cookies on http://localhost too.
SESSION_COOKIE_NAME = "__Host-envforge"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_NAME = "__Host-envforge-csrf"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "envforge.problems.csrf_failure"

SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}

UNFOLD = {
    "SITE_TITLE": "EnvForge support",
    "SITE_HEADER": "EnvForge support",
    "SITE_URL": None,
    "SITE_ICON": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": ["orgs.admin.site.stylesheet"],
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "orgs.admin.site.icon"}],
    "SIDEBAR": {"navigation": "orgs.admin.navigation.sidebar"},
}

# Hides what is marked as sensitive on Django's debug page too, which by itself shows all (K3).
DEFAULT_EXCEPTION_REPORTER_FILTER = "envforge.reports.AlwaysHiding"
LOGGING_CONFIG = None
logs.configure(env["ENVFORGE_LOG_FORMAT"])
