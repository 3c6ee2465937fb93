"""Asking the parameter store, with credentials that read these parameters and no others, for minutes (THREATS K2)."""

import json
from collections.abc import Sequence
from typing import Any

from envforge_daemon.aws import sign_parameters
from envforge_daemon.config import Config
from envforge_daemon.errors import Unreachable
from envforge_daemon.http import Client
from envforge_daemon.services.values import Ask, Found, Unresolved
from envforge_protocol.host.runtimes import ScopedCredential

# What the store says when it refuses, and what to do about it; its own text may repeat names and is left out.
_REFUSALS = {
    "ExpiredTokenException": "The credentials for this wake's secrets ran out before they were read. Wake the runtime again.",
    "AccessDeniedException": "The store refuses this wake's credentials. Ask an admin to check the organization's secrets.",
    "InvalidKeyId": "The key that protects the organization's secrets cannot be used. Ask an admin to enable it.",
}
_AGAIN = ("ThrottlingException", "TooManyRequestsException", "InternalServerError")


def asker(client: Client, config: Config) -> Ask:
    """How this VM asks."""

    async def ask(credential: ScopedCredential, names: Sequence[str]) -> list[Found]:
        asked = [_as_name(name) for name in names]
        # A credential is of one account and region: a customer's own parameters may lie in another than ours.
        region = names[0].split(":")[3]
        endpoint = config.ssm_of(region)
        body, headers = sign_parameters(credential, asked, ssm=endpoint, region=region)
        answer = await client.request("POST", f"{endpoint.rstrip('/')}/", headers=headers, body=body)
        document = _document(answer.body)
        if answer.status != 200:
            _refuse(str(document.get("__type", "")), answer.status)
        return [
            Found(arn=str(one["ARN"]), version=int(one["Version"]), value=str(one["Value"]))
            for one in document.get("Parameters", [])
        ]

    return ask


def _as_name(asked: str) -> str:
    """ARN:VERSION as the store takes it: a path with its version as selector."""
    arn, _, version = asked.rpartition(":")
    return f"{arn.partition(':parameter')[2]}:{version}"


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        raise Unreachable("The parameter store's answer cannot be read.") from None
    return document if isinstance(document, dict) else {}


def _refuse(kind: str, status: int) -> None:
    word = kind.rpartition("#")[2]
    if status >= 500 or word in _AGAIN:
        raise Unreachable("The parameter store is busy. Wake the runtime again in a moment.")
    raise Unresolved(
        _REFUSALS.get(
            word, f"The parameter store refused ({word or status}). Ask an admin to look at the secrets."
        )
    )
