"""The only way to the S3 bucket that keeps checkpoints out of everybody's reach, ours included (object lock, E1)."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from envforge.errors import Unavailable
from envforge_protocol.audit.checkpoints import Checkpoint

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@lru_cache(maxsize=1)
def _client() -> "S3Client":
    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3}, s3={"addressing_style": "path"})
    return boto3.client("s3", region_name=settings.AWS_REGION, endpoint_url=settings.AWS_ENDPOINT_URL, config=config)


def object_key(checkpoint: Checkpoint) -> str:
    """Where a checkpoint lies: by chain, in the order of its sequence numbers."""
    return f"checkpoints/{checkpoint.chain}/{checkpoint.seq:020d}.json"


def keep(checkpoint: Checkpoint) -> None:
    """Put a checkpoint into the vault; the bucket's default retention locks it. Putting it again adds a version.

    Raises:
        Unavailable: S3 does not answer, or refuses.
    """
    body = json.dumps(checkpoint.to_json(), sort_keys=True).encode()
    try:
        _client().put_object(
            Bucket=settings.AUDIT_VAULT_BUCKET, Key=object_key(checkpoint), Body=body, ContentType="application/json", ChecksumAlgorithm="SHA256"
        )
    except (ClientError, BotoCoreError) as error:
        code = error.response["Error"].get("Code", "refused") if isinstance(error, ClientError) else type(error).__name__
        raise Unavailable(f"The audit vault {settings.AUDIT_VAULT_BUCKET} takes no checkpoint: {code}") from None
