"""KMS keys as the layer sees them: which key a request means, whether it may be used, and the question to ask.

Sources: "AWS KMS condition keys" and "How Parameter Store uses AWS KMS".
"""

import base64
import os
from dataclasses import dataclass
from typing import Any

from moto.kms.exceptions import NotFoundException
from moto.kms.utils import RESERVED_ALIASES, _deserialize_ciphertext_blob

from local_cloud.aws import world
from local_cloud.aws.policies import Ask
from local_cloud.aws.wire import RefusedError
from local_cloud.aws.world import Call

SSM_DEFAULT_KEY = "alias/aws/ssm"
CRYPTOGRAPHIC = frozenset({
    "Decrypt", "DeriveSharedSecret", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "GetPublicKey",
    "ReEncrypt", "Sign", "Verify", "VerifyMac",
})  # fmt: skip
_LARGEST_PLAINTEXT = 4096


@dataclass(frozen=True)
class Key:
    """A key by whatever name a request used for it."""

    named: str
    model: Any

    @property
    def arn(self) -> str:
        return str(self.model.arn)

    def ask(
        self,
        call: Call,
        action: str,
        context: dict[str, tuple[str, ...]],
        encryption_context: dict[str, Any],
        *,
        via: str = "",
    ) -> Ask:
        """The question whether `action` may be done with this key."""
        own = {**context, "aws:resourceaccount": (world.ACCOUNT_ID,)}
        own.update(
            {
                f"kms:encryptioncontext:{key.lower()}": (str(value),)
                for key, value in encryption_context.items()
            }
        )
        if encryption_context:
            own["kms:encryptioncontextkeys"] = tuple(encryption_context)
        tags = world.backend("kms", call.region).tagger.get_tag_dict_for_resource(self.model.id)
        own.update({f"aws:resourcetag/{tag.lower()}": (str(value),) for tag, value in tags.items()})
        if self.model.aliases:
            own["kms:resourcealiases"] = tuple(self.model.aliases)
        if "alias/" in self.named:
            own["kms:requestalias"] = ("alias/" + self.named.partition("alias/")[2],)
        if via:
            own["kms:viaservice"] = (f"{via}.{call.region}.amazonaws.com",)
        return Ask(f"kms:{action}", self.arn, own)


def find(region: str, name: str) -> Key:
    """The key of an id, ARN or alias; a default key such as `alias/aws/ssm` is made when first named.

    Raises RefusedError: NotFoundException.
    """
    model = world.backend("kms", region)
    known = name.removeprefix(f"arn:aws:kms:{region}:{world.ACCOUNT_ID}:")
    try:
        if known.startswith("alias/") and not model.alias_exists(known) and known not in RESERVED_ALIASES:
            raise _not_found(name)
        key_id = model.any_id_to_key_id(known.removeprefix("key/"))
        return Key(name, model.keys[key_id])
    except (KeyError, NotFoundException):
        raise _not_found(name) from None


def require_usable(key: Key) -> None:
    """Raises RefusedError: the key is disabled, or waits for its deletion."""
    if key.model.key_state == "PendingDeletion":
        raise RefusedError(f"{key.arn} is pending deletion.", code="KMSInvalidStateException")
    if not key.model.enabled:
        raise RefusedError(f"{key.arn} is disabled.", code="DisabledException")


def require_usable_for_parameter(key: Key) -> None:
    """The same as SSM says it.

    Raises RefusedError: InvalidKeyId.
    """
    try:
        require_usable(key)
    except RefusedError as refused:
        message = f"{refused.message} (Service: AWSKMS; Status Code: 400; Error Code: {refused.code})"
        raise RefusedError(message, code="InvalidKeyId") from refused


def key_id_of_ciphertext(blob: Any) -> str:
    """Raises RefusedError: InvalidCiphertextException."""
    try:
        return str(_deserialize_ciphertext_blob(base64.b64decode(str(blob), validate=True)).key_id)
    except Exception as error:
        raise RefusedError(
            "The ciphertext is not one of this KMS.", code="InvalidCiphertextException"
        ) from error


def key_for_put(call: Call) -> Key | None:
    """The key under which PutParameter will store, or None if the parameter is no SecureString.

    Raises RefusedError: InvalidKeyId.
    """
    versions = world.parameter_versions(call.region, str(call.params.get("Name")))
    before = versions[-1] if versions and call.params.get("Overwrite") else None
    if (call.params.get("Type") or (before.parameter_type if before else "")) != "SecureString":
        return None
    name = call.params.get("KeyId") or (before.keyid if before else None) or SSM_DEFAULT_KEY
    return find_for_parameter(call, str(name))


def find_for_parameter(call: Call, name: str) -> Key:
    """Raises RefusedError: InvalidKeyId."""
    try:
        return find(call.region, name)
    except RefusedError as refused:
        raise RefusedError(refused.message, code="InvalidKeyId") from refused


def parameter_context(arn: str) -> dict[str, Any]:
    return {"PARAMETER_ARN": arn}


def encrypted(call: Call, key: Key, value: str, arn: str) -> str:
    """What Parameter Store shows without decryption: the value under the key, in base64."""
    plaintext = value.encode()
    if not 0 < len(plaintext) <= _LARGEST_PLAINTEXT:
        return base64.b64encode(os.urandom(len(plaintext) + 64)).decode()
    model = world.backend("kms", call.region)
    ciphertext, _ = model.encrypt(key.model.id, plaintext, parameter_context(arn))
    return base64.b64encode(ciphertext).decode()


def _not_found(name: str) -> RefusedError:
    kind = "Alias" if "alias/" in name else "Key"
    return RefusedError(f"{kind} {name} is not found.", code="NotFoundException")
