"""The only way to the S3 bucket that keeps checkpoints out of everybody's reach, ours included (object lock, E1)."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings

from envforge import aws
from envforge_protocol.audit.checkpoints import Checkpoint

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@lru_cache(maxsize=1)
def _client() -> "S3Client":
    client: S3Client = aws.client("s3")
    return client


def object_key(checkpoint: Checkpoint) -> str:
    """Where a checkpoint lies: by chain, in the order of its sequence numbers."""
    return f"checkpoints/{checkpoint.chain}/{checkpoint.seq:020d}.json"


def keep(checkpoint: Checkpoint) -> None:
    """Put a checkpoint into the vault; the bucket's default retention locks it. Putting it again adds a version.

    Raises:
        Unavailable: S3 does not answer, or refuses.
    """
    body = json.dumps(checkpoint.to_json(), sort_keys=True).encode()
    with aws.speaking(f"The audit vault {settings.AUDIT_VAULT_BUCKET} takes no checkpoint"):
        _client().put_object(
            Bucket=settings.AUDIT_VAULT_BUCKET,
            Key=object_key(checkpoint),
            Body=body,
            ContentType="application/json",
            ChecksumAlgorithm="SHA256",
        )
