"""Settings from the environment: wrong ones stop the start, by name, with the form and without the value."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from envforge import environment
from envforge.environment import EnvironmentInvalid

GOOD = {
    "ENVFORGE_MODE": "production",
    "ENVFORGE_CONSOLE_URL": "https://console.envforge.example",
    "DJANGO_SECRET_KEY": "kB8w2-Tq0mZr7Xn4Ld9PzUe3VyHs6GcJf1AaQo5iRtWbMxEuSv",
    "DATABASE_URL": "postgresql://envforge_app:pw@db.internal:5432/envforge",
    "CELERY_BROKER_URL": "rediss://broker.internal:6379/0",
    "CACHE_URL": "rediss://cache.internal:6379/0",
    "EMAIL_URL": "smtp+tls://envforge:p%40ss@mail.internal:587",
    "ENVFORGE_MAIL_FROM": "EnvForge <notices@envforge.example>",
    "AWS_REGION": "eu-central-1",
    "ENVFORGE_AUDIT_KEY": "alias/envforge-audit",
    "ENVFORGE_READER_ROLE_ARN": "arn:aws:iam::123456789012:role/envforge-secrets-reader",
    "AUTH0_ISSUER": "https://envforge.eu.auth0.com/",
    "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": "kB8w2-Tq0mZr7Xn4Ld9PzUe3VyHs6GcJf1AaQo5iRtWbMxEuSw",
}


def test_a_good_environment_is_read() -> None:
    read = environment.read(GOOD)
    assert read.production
    assert read["DATABASE_URL"]["USER"] == "envforge_app"
    assert read["ENVFORGE_AUDIT_CHECKPOINT_S"] == 60


@pytest.mark.parametrize(
    "name",
    [
        "ENVFORGE_CONSOLE_URL",
        "DJANGO_SECRET_KEY",
        "DATABASE_URL",
        "CELERY_BROKER_URL",
        "CACHE_URL",
        "AWS_REGION",
    ],
)
def test_a_missing_one_is_named_with_its_form(name: str) -> None:
    with pytest.raises(EnvironmentInvalid, match=f"{name} is missing. Expected: "):
        environment.read({key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVFORGE_MODE", "staging"),
        ("ENVFORGE_DEBUG", "perhaps"),
        ("ENVFORGE_CONSOLE_URL", "console.example"),
        ("ENVFORGE_CONSOLE_URL", "https://console.example/path"),
        ("ENVFORGE_CONSOLE_URL", "https://console.example:port"),
        ("AUTH0_ISSUER", "envforge.eu.auth0.com"),
        ("AUTH0_ISSUER", "https://envforge.eu.auth0.com/?tenant=1"),
        ("DATABASE_URL", "mysql://u:p@h/d"),
        ("DATABASE_URL", "postgresql://nobody-in-particular"),
        ("CELERY_BROKER_URL", "amqp://broker"),
        ("CACHE_URL", "memory"),
        ("EMAIL_URL", "mail.internal"),
        ("EMAIL_URL", "consolemail://"),
        ("EMAIL_URL", "smtp://user-without-password@mail.internal"),
        ("EMAIL_URL", "smtp://mail.internal:port"),
        ("ENVFORGE_MAIL_FROM", "nobody in particular"),
        ("ENVFORGE_MAIL_FROM", "a@envforge.example, b@envforge.example"),
        ("ENVFORGE_MAIL_FROM", "EnvForge <notices@envforge.example>\nBcc: eve@evil.example"),
        ("ENVFORGE_AUDIT_CHECKPOINT_S", "0"),
        ("ENVFORGE_AUDIT_CHECKPOINT_S", "soon"),
    ],
)
def test_a_malformed_one_is_named_and_its_value_is_not_repeated(name: str, value: str) -> None:
    with pytest.raises(EnvironmentInvalid, match=f"{name} is not usable. Expected: ") as refused:
        environment.read({**GOOD, name: value})
    form = next(setting.form for setting in environment.SETTINGS if setting.name == name)
    assert value not in str(refused.value).replace(form, "").replace(name, "")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ENVFORGE_DEBUG", "true", "must be false in production"),
        ("ENVFORGE_CONSOLE_URL", "http://console.example", "must begin with https://"),
        ("AUTH0_ISSUER", "http://issuer.example/", "must begin with https://"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:5000", "must begin with https://"),
        ("EMAIL_URL", "smtp://mail.internal:25", "must begin with smtp\\+tls:// or smtp\\+ssl://"),
        ("DJANGO_SECRET_KEY", "short", "must be random"),
        ("DJANGO_SECRET_KEY", "django-insecure-" + "x7Qz" * 20, "must be random"),
        ("DJANGO_SECRET_KEY", "a" * 80, "must be random"),
    ],
)
def test_production_refuses_what_is_unsafe(name: str, value: str, told: str) -> None:
    with pytest.raises(EnvironmentInvalid, match=f"{name} {told}"):
        environment.read({**GOOD, name: value})
    environment.read({**GOOD, name: value, "ENVFORGE_MODE": "development"})


def test_a_mail_server_is_read_whole_and_its_password_is_not_shown() -> None:
    server = environment.read(GOOD)["EMAIL_URL"]
    assert (server.host, server.port, server.user, server.password) == (
        "mail.internal",
        587,
        "envforge",
        "p@ss",
    )
    assert server.security == "starttls"
    assert "p@ss" not in repr(server)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_production_hands_plain_mail_to_its_own_machine_alone(host: str) -> None:
    assert environment.read({**GOOD, "EMAIL_URL": f"smtp://{host}:25"})["EMAIL_URL"].security == "none"


def test_an_issuer_is_kept_to_the_letter() -> None:
    for issuer in ("https://envforge.eu.auth0.com/", "https://login.example.com"):
        assert environment.read({**GOOD, "AUTH0_ISSUER": issuer})["AUTH0_ISSUER"] == issuer


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(EnvironmentInvalid) as refused:
        environment.read({"ENVFORGE_MODE": "staging"})
    assert len(refused.value.problems) > 5


def test_the_process_stops_with_the_list_and_no_traceback() -> None:
    surroundings = {
        name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "PYTHONPATH"}
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check"], env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "DATABASE_URL is missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_setting_is_documented() -> None:
    text = Path("docs/settings.md").read_text()
    assert [setting.name for setting in environment.SETTINGS if f"`{setting.name}`" not in text] == []
