"""Secrets that the control plane keeps for itself about an organization: a tailnet's client, an SSH authority (S5, K1).

They lie under a prefix of their own, which no binding, no import and no reader session reaches. Whoever keeps one records
that it exists, with its own event; here there is no row of it.
"""

from uuid import UUID

from envforge import tenancy
from envforge.secret_value import SecretValue
from secrets_ref import paths, ssm
from secrets_ref.keys import ensure_key
from secrets_ref.troubles import StoreRefused


def keep_platform_secret(*, org_id: UUID, name: str, value: SecretValue) -> int:
    """Store a value, in place of an earlier one; answers its version. Call it outside of any transaction.

    Raises:
        EnvForgeError: the store refuses or does not answer, in words.
    """
    path = paths.platform_path(org_id, name)
    try:
        return ssm.put(path, value, key=ensure_key(org_id), org_id=org_id, exists=False)
    except StoreRefused as refused:
        problem = refused.in_words()
    raise problem


def read_platform_secret(*, org_id: UUID, name: str) -> SecretValue | None:
    """The value; None if there is none. Errors as `keep_platform_secret`."""
    try:
        return ssm.read_platform(paths.platform_path(org_id, name))
    except StoreRefused as refused:
        problem = refused.in_words()
    raise problem


def drop_platform_secret(*, org_id: UUID, name: str) -> None:
    """Delete the value; one that is gone is deleted. Errors as `keep_platform_secret`."""
    try:
        ssm.delete(paths.platform_path(org_id, name))
    except StoreRefused as refused:
        problem = refused.in_words()
    else:
        return
    raise problem


def keep_own_secret(name: str, value: SecretValue) -> int:
    """Store a secret of EnvForge itself, which is no organization's, such as the key that signs links; otherwise as `keep_platform_secret`."""
    path = paths.platform_path(tenancy.PLATFORM, name)
    try:
        key = ssm.find_key(tenancy.PLATFORM) or ssm.name_key(tenancy.PLATFORM, ssm.make_key(tenancy.PLATFORM))
        return ssm.put(path, value, key=key, org_id=tenancy.PLATFORM, exists=False)
    except StoreRefused as refused:
        problem = refused.in_words()
    raise problem


def read_own_secret(name: str) -> SecretValue | None:
    """Its value; None if there is none. Errors as `keep_platform_secret`."""
    return read_platform_secret(org_id=tenancy.PLATFORM, name=name)
