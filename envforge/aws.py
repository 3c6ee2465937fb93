"""AWS clients as every vendor file (`kms.py`, `ec2.py`, …) gets them: bounded in time, with errors in words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from envforge.errors import Unavailable
from envforge.secret_value import SecretValue

T = TypeVar("T")

_CONFIG = Config(
    connect_timeout=3,
    read_timeout=5,
    retries={"mode": "standard", "max_attempts": 3},
    s3={"addressing_style": "path"} if settings.AWS_ENDPOINT_URL else {},
)


# For what must not be done twice where AWS knows no request token: the SDK repeats a request whose answer was lost.
_ONCE = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))


class KeyPair(Protocol):
    """Temporary credentials that are somebody else's than this process' own."""

    @property
    def access_key_id(self) -> str: ...
    @property
    def secret_access_key(self) -> SecretValue: ...
    @property
    def session_token(self) -> SecretValue: ...


def client(service: str, *, once: bool = False, region: str = "", as_: KeyPair | None = None) -> Any:
    """A client of the service, with this process' own identity.

    Args:
        once: send each request once, whatever comes of it.
        region: another than ours.
        as_: the session to speak as.
    """
    identity = (
        {
            "aws_access_key_id": as_.access_key_id,
            "aws_secret_access_key": as_.secret_access_key.reveal_text(),
            "aws_session_token": as_.session_token.reveal_text(),
        }
        if as_
        else {}
    )
    return boto3.session.Session().client(
        service,  # type: ignore[call-overload]  # the stubs overload by literal names
        region_name=region or settings.AWS_REGION,
        endpoint_url=settings.AWS_ENDPOINT_URL,
        config=_ONCE if once else _CONFIG,
        **identity,
    )


@contextmanager
def speaking(what: str) -> Iterator[None]:
    """Turn AWS' errors into ours: "WHAT: AccessDeniedException".

    Raises:
        Unavailable: AWS refused or did not answer. Its message is left out, as it may repeat what was sent.
    """
    try:
        yield
    except ClientError as error:
        raise Unavailable(f"{what}: {error.response['Error'].get('Code', 'refused')}") from None
    except BotoCoreError as error:
        raise Unavailable(f"{what}: {type(error).__name__}") from None


class Refused(Exception):
    """AWS refused, by this code; without one it did not answer, and what was asked may have been done or not."""

    def __init__(self, code: str, unanswered: str = "") -> None:
        super().__init__(code or unanswered)
        self.code = code


def ask(operation: Callable[..., T], **parameters: Any) -> T:
    """Call an operation of a client; for requests that may carry a secret value, and where the code decides what is next.

    Nothing of the request outlives it: neither this frame nor the error, its context or the SDK's frames (THREATS K3).

    Raises:
        Refused: with AWS' code, or without one.
    """
    try:
        return operation(**parameters)
    except ClientError as error:
        refused = Refused(str(error.response.get("Error", {}).get("Code", "")) or "Refused")
    except Exception as error:  # noqa: BLE001 - any error out of the SDK has frames that hold the request
        refused = Refused("", type(error).__name__)
    finally:
        parameters.clear()
    # Raised here and not above: an error raised while another is handled keeps that one, with its frames.
    raise refused
