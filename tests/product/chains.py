"""Sealing, exporting and verifying as one does by hand: real keys, the real verifier."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from audit import export, kms, sealer, selectors, vault
from audit.filters import Filter
from envforge import tenancy
from envforge_protocol.audit.checkpoints import Keys, load_keys
from envforge_protocol.audit.report import Report
from envforge_protocol.audit.verify import verify


@contextmanager
def sealer_identity() -> Iterator[None]:
    """This process as the sealer's: its AWS identity may sign, the control plane's may not."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, os.environ[f"ENVFORGE_SEALER_{name}"])
        _forget_clients()
        try:
            yield
        finally:
            _forget_clients()


def _forget_clients() -> None:
    kms._client.cache_clear()
    vault._client.cache_clear()


def seal() -> int:
    """Seal all that has committed; answers how many events that was."""
    sealed = 0
    while count := sealer.seal_pass():
        sealed += count
    return sealed


def sign() -> None:
    """Sign every chain that grew, however lately its last checkpoint was signed."""
    with pytest.MonkeyPatch.context() as patch, sealer_identity():
        patch.setattr("django.conf.settings.AUDIT_CHECKPOINT_S", -1)
        while sealer.sign_pass():
            pass


def keys() -> Keys:
    return load_keys(json.dumps({"keys": selectors.signing_keys()}))


def export_lines(org_id: UUID, wanted: Filter | None = None) -> list[bytes]:
    with tenancy.enter(org_id):
        return [line.encode() + b"\n" for line in export.lines("acme", wanted)]


def check(org_id: UUID, wanted: Filter | None = None) -> Report:
    """Export the organization's chain and verify it."""
    return verify(export_lines(org_id, wanted), keys())
