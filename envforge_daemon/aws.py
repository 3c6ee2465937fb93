"""AWS signatures (the only importer of botocore)."""

import json
from collections.abc import Sequence

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
from envforge_protocol.host.runtimes import ScopedCredential


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


def sign_parameters(
    credential: ScopedCredential, names: Sequence[str], *, ssm: str, region: str
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of GetParameters, decrypted, with the credentials of a manifest (THREATS K2)."""
    body = json.dumps({"Names": list(names), "WithDecryption": True}).encode()
    request = AWSRequest(
        method="POST",
        url=f"{ssm.rstrip('/')}/",
        data=body,
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AmazonSSM.GetParameters",
        },
    )
    credentials = Credentials(
        credential.access_key_id,
        credential.secret_access_key.get_secret_value(),
        credential.session_token.get_secret_value(),
    )
    SigV4Auth(credentials, "ssm", region).add_auth(request)
    return body, {name: str(value) for name, value in request.headers.items()}
