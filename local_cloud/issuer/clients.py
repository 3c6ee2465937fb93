"""The applications that may ask the issuer for sign-ins, read from a JSON file."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


class ClientsFileError(Exception):
    """The clients file cannot be used; the message says what is wrong and where in the file."""


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client (RFC 6749, 2). Without a secret it is public; addresses match by equality alone."""

    client_id: str
    client_secret: str | None = field(repr=False)
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    name: str

    def knows_secret(self, candidate: str) -> bool:
        """Whether `candidate` is this client's secret, in constant time; never true of a public client."""
        return self.client_secret is not None and hmac.compare_digest(
            self.client_secret.encode(), candidate.encode()
        )


def load_clients(path: Path) -> Mapping[str, Client]:
    """Read the clients file: a JSON list of objects with exactly the fields of `Client`.

    Raises:
        ClientsFileError: the file is unreadable, is not such a list, or names a client twice.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ClientsFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ClientsFileError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise ClientsFileError(
            f"{path}: is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from error
    if not isinstance(document, list) or not document:
        raise ClientsFileError(f"{path}: must be a list of at least one client")
    clients: dict[str, Client] = {}
    for index, entry in enumerate(document):
        client = _client(entry, where=f"{path}: client {index + 1}")
        if client.client_id in clients:
            raise ClientsFileError(
                f"{path}: client {index + 1}: client_id {client.client_id!r} is used twice"
            )
        clients[client.client_id] = client
    return clients


def _client(entry: object, *, where: str) -> Client:
    if not isinstance(entry, dict):
        raise ClientsFileError(f"{where}: must be an object")
    fields = set(Client.__dataclass_fields__)
    if unknown := sorted(set(entry) - fields):
        raise ClientsFileError(f"{where}: unknown field {unknown[0]!r}")
    if missing := sorted(fields - set(entry)):
        raise ClientsFileError(f"{where}: field {missing[0]!r} is missing")
    secret = entry["client_secret"]
    return Client(
        client_id=_text(entry["client_id"], where=f"{where}: client_id"),
        client_secret=None if secret is None else _text(secret, where=f"{where}: client_secret"),
        redirect_uris=_addresses(entry["redirect_uris"], where=f"{where}: redirect_uris", at_least=1),
        post_logout_redirect_uris=_addresses(
            entry["post_logout_redirect_uris"], where=f"{where}: post_logout_redirect_uris", at_least=0
        ),
        name=_text(entry["name"], where=f"{where}: name"),
    )


def _text(value: object, *, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ClientsFileError(f"{where}: must be text, and not empty")
    return value


def _addresses(value: object, *, where: str, at_least: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) < at_least:
        raise ClientsFileError(f"{where}: must be a list of at least {at_least} addresses")
    return tuple(_address(item, where=f"{where}[{index}]") for index, item in enumerate(value))


def _address(value: object, *, where: str) -> str:
    text = _text(value, where=where)
    if "#" in text or not is_web_address(text):
        raise ClientsFileError(f"{where}: {text!r} must be an http or https address without a fragment")
    return text


def is_web_address(text: str) -> bool:
    """Whether `text` is an absolute http(s) address with a host and nothing that could break out of a header."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and " " not in text and ";" not in parts.netloc
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
