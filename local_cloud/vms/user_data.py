"""Cloud-config, as far as instances of EnvForge use it: `write_files`, and a `runcmd` that enables the daemon.

Source: cloud-init's reference of the modules Write Files and Runcmd.
"""

import base64
import binascii
import gzip
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

HOST_FILE = "/etc/envforge/host.json"
UNIT = "envforge-daemon.service"
_DECODERS = {"b64": "base64", "base64": "base64", "text/plain": "", "": ""}


class UserDataError(Exception):
    """The user data cannot be used; the message says what and where."""


@dataclass(frozen=True)
class File:
    """A file to be written before anything starts."""

    path: str
    content: bytes
    mode: int


@dataclass(frozen=True)
class Plan:
    """What the user data asks for. `ignored` are commands that a simulated VM does not run."""

    files: tuple[File, ...]
    starts_daemon: bool
    ignored: tuple[str, ...] = ()

    def file(self, path: str) -> File | None:
        """The file that is written last to this path."""
        return next((one for one in reversed(self.files) if one.path == path), None)


def read(encoded: str) -> Plan:
    """The plan in an instance's user data, which comes in base64.

    Raises UserDataError.
    """
    if not encoded:
        raise UserDataError("There is no user data, so nothing is started.")
    try:
        raw = base64.b64decode(encoded, validate=True)
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    except (ValueError, OSError, EOFError, zlib.error):
        raise UserDataError("The user data is neither text nor compressed text.") from None
    if text.partition("\n")[0].strip() != "#cloud-config":
        raise UserDataError(
            "The user data does not begin with the line #cloud-config; other forms are not simulated."
        )
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        at = f" (line {place.line + 1})" if place else ""
        raise UserDataError(f"The cloud-config is not YAML{at}.") from None
    if not isinstance(document, dict):
        raise UserDataError("The cloud-config is not a mapping.")
    commands = _list(document, "runcmd")
    enabling = [one for one in commands if _enables_daemon(one)]
    ignored = tuple(_words(one) for one in commands if one not in enabling)
    files = tuple(_file(one, number) for number, one in enumerate(_list(document, "write_files"), 1))
    return Plan(files, bool(enabling), ignored)


def _list(document: dict[str, Any], name: str) -> list[Any]:
    found = document.get(name) or []
    if not isinstance(found, list):
        raise UserDataError(f"{name} in the cloud-config is not a list.")
    return found


def _file(entry: Any, number: int) -> File:
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise UserDataError(f"Entry {number} of write_files has no path.")
    path = PurePosixPath(entry["path"])
    if not path.is_absolute() or ".." in path.parts:
        raise UserDataError(f"Entry {number} of write_files: {path} is not an absolute path without '..'.")
    encoding = _DECODERS.get(str(entry.get("encoding", "")))
    content = entry.get("content", "")
    if encoding is None or not isinstance(content, str):
        raise UserDataError(f"Entry {number} of write_files: content must be text, plain or in base64.")
    try:
        data = base64.b64decode(content, validate=True) if encoding else content.encode()
        mode = int(str(entry.get("permissions", "0644")), 8)
    except (ValueError, binascii.Error):
        raise UserDataError(
            f"Entry {number} of write_files: content or permissions cannot be read."
        ) from None
    return File(str(path), data, mode & 0o7777)


def _words(command: Any) -> str:
    return " ".join(map(str, command)) if isinstance(command, list) else str(command)


def _enables_daemon(command: Any) -> bool:
    words = _words(command).split()
    return words[:2] in (["systemctl", "enable"], ["systemctl", "start"]) and words[-1] in {
        UNIT,
        UNIT.removesuffix(".service"),
    }
