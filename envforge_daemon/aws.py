"""AWS signatures (the only importer of botocore)."""

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from pydantic import SecretStr

from envforge_daemon.metadata import RoleCredentials
from envforge_protocol.host.joining import (
    AUDIENCE_HEADER,
    IDENTITY_BODY,
    IDENTITY_CONTENT_TYPE,
    NONCE_HEADER,
    Nonce,
    SignedIdentity,
)


def sign_identity(role: RoleCredentials, nonce: Nonce, *, sts: str, region: str) -> SignedIdentity:
    """Sign GetCallerIdentity for the control plane to send (THREATS H4): nonce and audience are among the signed headers."""
    request = AWSRequest(
        method="POST",
        url=f"{sts.rstrip('/')}/",
        data=IDENTITY_BODY,
        headers={
            "Content-Type": IDENTITY_CONTENT_TYPE,
            NONCE_HEADER: nonce.nonce,
            AUDIENCE_HEADER: nonce.audience,
        },
    )
    credentials = Credentials(role.access_key_id, role.secret_access_key, role.session_token)
    SigV4Auth(credentials, "sts", region).add_auth(request)
    return SignedIdentity(
        amz_date=request.headers["X-Amz-Date"],
        authorization=SecretStr(request.headers["Authorization"]),
        security_token=SecretStr(role.session_token),
    )
