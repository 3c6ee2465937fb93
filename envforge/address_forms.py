"""The forms of settings that are addresses and names elsewhere, as `envforge.environment` reads them; each raises ValueError or KeyError."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import environ


def web_address(value: str) -> str:
    parts = urlsplit(value)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.path not in {"", "/"}
        or parts.query
    ):
        raise ValueError
    _ = parts.port  # raises where the port is no number
    return value.rstrip("/")


def endpoint(value: str) -> str:
    return web_address(value) if value else ""


def issuer(value: str) -> str:
    # Kept to the letter: an issuer with a slash at its end is another one than without.
    web_address(value)
    return value


def role_arn(value: str) -> str:
    if not re.fullmatch(r"arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@/-]{1,128}", value, re.ASCII):
        raise ValueError
    return value


def postgresql(value: str) -> dict[str, Any]:
    if urlsplit(value).scheme not in {"postgres", "postgresql"}:
        raise ValueError
    read: dict[str, Any] = environ.Env.db_url_config(value)
    if not all(read.get(part) for part in ("NAME", "USER", "PASSWORD", "HOST")):
        raise ValueError
    return read


def url_of(*schemes: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in schemes or (parts.scheme != "sqs" and not parts.hostname):
            raise ValueError
        return value

    return read
