"""AWS clients as every vendor file (`kms.py`, `ec2.py`, …) gets them: bounded in time, with errors in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from envforge.errors import Unavailable

_CONFIG = Config(
    connect_timeout=3,
    read_timeout=5,
    retries={"mode": "standard", "max_attempts": 3},
    s3={"addressing_style": "path"} if settings.AWS_ENDPOINT_URL else {},
)


def client(service: str) -> Any:
    """A client of the service in our region, with this process' own identity."""
    return boto3.session.Session().client(
        service,  # type: ignore[call-overload]  # the stubs overload by literal names
        region_name=settings.AWS_REGION,
        endpoint_url=settings.AWS_ENDPOINT_URL,
        config=_CONFIG,
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
