"""SecureStrings as Parameter Store treats them: a value leaves only decrypted, with the key's permission.

moto keeps and answers the plain value behind a prefix. Here an answer without decryption carries ciphertext, and one
with decryption needs `kms:Decrypt` on a key that may be used.
"""

import json
from typing import Any

from local_cloud.aws import asks, keys, world
from local_cloud.aws.identities import Identity
from local_cloud.aws.policies import Verdict
from local_cloud.aws.wire import AwsAnswer, Fault, RefusedError
from local_cloud.aws.world import Call

READS_VALUES = frozenset({"GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory"})


def require_storable(call: Call) -> None:
    """Raises RefusedError: PutParameter of a SecureString under a key that may not be used, or is missing."""
    if call.action == "PutParameter":
        key = keys.key_for_put(call)
        if key is not None:
            keys.require_usable_for_parameter(key)


def seal(call: Call, answer: AwsAnswer, caller: Identity) -> AwsAnswer:
    """The answer of a call in READS_VALUES, with each SecureString decrypted by permission or shown as ciphertext.

    Raises RefusedError: decryption is not allowed, or the key cannot be used.
    """
    if answer.status != 200:
        return answer
    content = json.loads(answer.body)
    found = [content["Parameter"]] if "Parameter" in content else content.get("Parameters", [])
    decrypt = call.params.get("WithDecryption") is True
    for parameter in found:
        if parameter["Type"] == "SecureString":
            _seal_one(call, parameter, caller, decrypt=decrypt)
    answer.body = json.dumps(content).encode()
    return answer


def _seal_one(call: Call, parameter: dict[str, Any], caller: Identity, *, decrypt: bool) -> None:
    name, version = str(parameter["Name"]), parameter["Version"]
    arn = asks.parameter_arn(call, name)
    stored = next(one for one in world.parameter_versions(call.region, name) if one.version == version)
    key = keys.find_for_parameter(call, str(stored.keyid))
    if not decrypt:
        parameter["Value"] = keys.encrypted(call, key, str(stored.decrypt(stored.value)), arn)
        return
    question = key.ask(call, "Decrypt", caller.context(call.region), keys.parameter_context(arn), via="ssm")
    if caller.verdict(question) is not Verdict.ALLOWED:
        raise RefusedError(
            f"User: {caller.arn} is not authorized to perform: kms:Decrypt on resource: {key.arn}, "
            f"needed to decrypt the parameter {arn}",
            fault=Fault.NOT_ALLOWED,
        )
    keys.require_usable_for_parameter(key)
