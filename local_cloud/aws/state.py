"""The endpoint's state on disk: a snapshot per service, durable before a change is answered.

A snapshot is a header line (JSON: versions and checksum) and a pickle of moto's models of one service. It is replaced
in one step, so a process killed at any moment leaves the old one or the new one. References from one service's models
into another's are stored by name, or a restart would split what was one object into two copies.
"""

import hashlib
import importlib
import io
import json
import pickle
import platform
import sys
import threading
import types
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from moto.core.base_backend import BaseBackend
from moto.iam.models import InstanceProfile
from moto.s3.models import s3_backends

from local_cloud.aws import world
from local_cloud.aws.identities import write_private

FORMAT = 1
_RESTORE_ORDER = ("iam", "kms", "ssm", "s3", "sqs", "ec2", "efs")
_LOCKS: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
}
_PRIVATE_KEYS = (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey)


class UnreadableStateError(Exception):
    """A state file that this version cannot take; the message names it and says what to do."""


class Snapshots:
    """Saves and restores sections of state in one directory, which only its owner can enter."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        self._saved_outlines: dict[str, object] = {}

    def save_service(self, service: str) -> None:
        """Make moto's models of one service durable."""
        regions = world.regions(service)
        self.save(
            service, {region: world.backend(service, region).__dict__ for region in regions}, service=service
        )
        self._saved_outlines[service] = _outline(service)

    def outgrown(self, service: str) -> bool:
        """Whether a reading call made moto create what it makes by itself, with random ids, when first asked."""
        return _outline(service) != self._saved_outlines.get(service)

    def restore_services(self) -> None:
        """Raises UnreadableStateError."""
        for service in _RESTORE_ORDER:
            for region, content in (self.load(service) or {}).items():
                world.backend(service, region).__dict__ = content
            if self._path(service).exists():
                self._saved_outlines[service] = _outline(service)
        self._index_buckets()

    def save(self, section: str, content: Any, *, service: str = "") -> None:
        buffer = io.BytesIO()
        _Pickler(buffer, service).dump(content)
        body = buffer.getvalue()
        header = {**_versions(), "section": section, "sha256": hashlib.sha256(body).hexdigest()}
        write_private(self._path(section), json.dumps(header).encode() + b"\n" + body)

    def load(self, section: str) -> Any:
        """The saved content, or None if nothing was saved.

        Raises UnreadableStateError.
        """
        path = self._path(section)
        if not path.exists():
            return None
        head, _, body = path.read_bytes().partition(b"\n")
        try:
            header = json.loads(head)
            checksum = header.pop("sha256")
            found_section = header.pop("section")
        except (ValueError, KeyError, AttributeError, TypeError):
            raise self._unreadable(path, "it has no readable header") from None
        if header != _versions():
            raise self._unreadable(path, f"it was written by {header}, and this is {_versions()}")
        if found_section != section or hashlib.sha256(body).hexdigest() != checksum:
            raise self._unreadable(path, "its content is damaged")
        try:
            # Our own file, readable and writable by its owner alone, checked against its checksum.
            return pickle.loads(body)  # noqa: S301
        except Exception as error:
            raise self._unreadable(
                path, f"its content cannot be restored ({type(error).__name__})"
            ) from error

    def _path(self, section: str) -> Path:
        return self._directory / f"{section}.state"

    @staticmethod
    def _unreadable(path: Path, why: str) -> UnreadableStateError:
        return UnreadableStateError(
            f"The local cloud's state file {path} cannot be used: {why}. "
            "Run `./dev reset` to start with an empty local cloud, or put back a copy of the file."
        )

    @staticmethod
    def _index_buckets() -> None:
        """moto finds a bucket's account in an index that is not part of its models."""
        for name in world.backend("s3").buckets:
            s3_backends.bucket_accounts[name] = ("aws", world.ACCOUNT_ID)


def _outline(service: str) -> object:
    """Regions, with EC2's default networks; and keys, as KMS makes a default key when its alias is first used."""
    regions = sorted(world.regions(service))
    keys = sum(len(world.backend("kms", region).keys) for region in regions) if service == "kms" else 0
    return regions, keys


def _versions() -> dict[str, Any]:
    return {"format": FORMAT, "moto": version("moto"), "python": platform.python_version().rpartition(".")[0]}


class _Pickler(pickle.Pickler):
    """Pickles moto's models: what does not pickle by itself is stored by how to make or find it again."""

    def __init__(self, buffer: io.BytesIO, service: str) -> None:
        super().__init__(buffer, protocol=5)
        self._service = service

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, BaseBackend):
            return _find_backend, (type(value).__module__.split(".")[1], value.region_name)
        if isinstance(value, InstanceProfile) and self._service != "iam":
            return _find_instance_profile, (value.name, value.path, value.id)
        if isinstance(value, types.FunctionType) and "<locals>" in value.__qualname__:
            return _find_local_function, _place_of(value)
        if isinstance(value, _PRIVATE_KEYS):
            der = value.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            return _load_private_key, (der,)
        if isinstance(value, dict) and type(value).__module__.startswith("moto."):
            # moto's own dicts read and write differently than a dict does: an S3 key's item is its last version.
            factory = value.default_factory if isinstance(value, defaultdict) else None
            state = (value.__dict__, list(dict.items(value)), factory)
            return _empty_dict, (type(value),), state, None, None, _fill_dict
        if type(value) in _LOCKS:
            return _LOCKS[type(value)], ()
        return NotImplemented


def _find_backend(service: str, region: str) -> Any:
    return world.backend(service, region)


def _find_instance_profile(name: str, path: str, profile_id: str) -> Any:
    """The profile itself; one that was deleted under a living instance comes back without its roles."""
    profiles = world.backend("iam").instance_profiles.values()
    found = next((profile for profile in profiles if profile.name == name), None)
    if found is None:
        # moto leaves an abstract method of its CloudFormation base out; it builds profiles all the same.
        found = InstanceProfile(world.ACCOUNT_ID, "aws", profile_id, name, path, [])  # type: ignore[abstract]
    return found


def _empty_dict(kind: type[dict[Any, Any]]) -> Any:
    return kind.__new__(kind)


def _fill_dict(made: Any, state: tuple[dict[str, Any], list[tuple[Any, Any]], Any]) -> None:
    attributes, items, factory = state
    made.__dict__.update(attributes)
    if isinstance(made, defaultdict):
        made.default_factory = factory
    for key, value in items:
        dict.__setitem__(made, key, value)


def _load_private_key(der: bytes) -> Any:
    return serialization.load_der_private_key(der, password=None)


def _place_of(function: types.FunctionType) -> tuple[str, str, int]:
    """Where a function written inside another is found in the code: module, outer function, place among constants."""
    outer_name = function.__qualname__.rpartition(".<locals>.")[0]
    if function.__closure__ or "<locals>" in outer_name:
        raise pickle.PicklingError(f"cannot store {function.__module__}.{function.__qualname__}")
    outer = _outer_function(function.__module__, outer_name)
    return function.__module__, outer_name, outer.__code__.co_consts.index(function.__code__)


def _outer_function(module: str, qualified_name: str) -> Any:
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for name in qualified_name.split("."):
        found = getattr(found, name)
    return found


def _find_local_function(module: str, outer_name: str, place: int) -> types.FunctionType:
    outer = _outer_function(module, outer_name)
    return types.FunctionType(outer.__code__.co_consts[place], sys.modules[module].__dict__)
