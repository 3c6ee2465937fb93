"""What a contract never says, whatever else it says: wiring, addresses of other services, secrets, unseen characters.

These look at the plain data before its structure is known to be right, and say why something is refused.
"""

import re
from collections.abc import Iterator
from typing import Any

from envforge_protocol.contract.hosts import is_other_host, other_service_in
from envforge_protocol.contract.problems import Path, quoted
from envforge_protocol.contract.references import literal_text, references
from envforge_protocol.contract.sections import inputs, mapping, ports
from envforge_protocol.contract.tree import Tree, has_unseen
from envforge_protocol.contract.types import MAX_TEXT_CHARACTERS
from envforge_protocol.credentials import credential_in

_WIRING = ("depends_on", "dependsOn", "depends-on")
_TO_WIRE = (
    "declare an input of kind `route` or a resource, and let the project's binding say where it comes from"
)
_TO_KEEP = "declare it under `inputs` with kind `secret` and write `${inputs.NAME}` in `env`"

_SECRET_NAME = re.compile(
    r"(?:.*_)?(?:SECRET|TOKEN|PASSWORD|PASSWD|PASS|PWD|PASSPHRASE|CREDENTIALS?|APIKEY|API_KEY|AUTH_KEY|SECRET_KEY(?:_BASE)?|ACCESS_KEY|ACCESS_KEY_ID"
    r"|PRIVATE_KEY|SIGNING_KEY|ENCRYPTION_KEY|MASTER_KEY)",
    re.IGNORECASE,
)
_RESERVED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|IFS|ENV|BASH_ENV|SHELLOPTS|BASHOPTS|PS4|GCONV_PATH|GLIBC_TUNABLES|LOCPATH|NLSPATH"
    r"|LD_.*|MALLOC_.*|DYLD_.*|BASH_FUNC.*|SUDO_.*|SSH_.*|ENVFORGE_.*",
    re.IGNORECASE,
)
_IN_THE_COMMAND = "set it in `command`, as in `PATH=node_modules/.bin:$PATH vite`"


def refuse(tree: Tree) -> None:
    """Add a problem for each thing that is refused; about its path nothing more is said afterwards."""
    for path, value in _walk(tree.data):
        if path and isinstance(path[-1], str):
            _refuse_key(tree, path)
        if value is None:
            _refuse(tree, path, "is empty", "fill it or remove it")
        elif isinstance(value, str):
            _refuse_text(tree, path, value)
    _refuse_in_env(tree)
    _refuse_defaults(tree)


def _walk(data: Any) -> Iterator[tuple[Path, Any]]:
    """All paths in the order of the file."""
    waiting: list[tuple[Path, Any]] = [((), data)]
    while waiting:
        path, value = waiting.pop()
        yield path, value
        if isinstance(value, dict):
            waiting += [((*path, key), inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [((*path, index), inner) for index, inner in reversed([*enumerate(value)])]


def _refuse_key(tree: Tree, path: Path) -> None:
    key = str(path[-1])
    if key in _WIRING:
        _refuse(
            tree, path, "services are not wired to each other here, and have no order", _TO_WIRE, at_key=True
        )
    elif len(key) > MAX_TEXT_CHARACTERS or has_unseen(key):
        _refuse(tree, path, "this key is too long, or has characters that nobody sees", at_key=True)
    elif kind := credential_in(key):
        _refuse(tree, path, f"this looks like {kind}, and a contract holds no secrets", _TO_KEEP, at_key=True)


def _refuse_text(tree: Tree, path: Path, text: str) -> None:
    if len(text) > MAX_TEXT_CHARACTERS:
        _refuse(
            tree,
            path,
            f"is longer than {MAX_TEXT_CHARACTERS} characters",
            "put it into a file of the repository",
        )
    elif has_unseen(text):
        _refuse(
            tree, path, "has characters that nobody sees, such as NUL or a text direction mark", "remove them"
        )
    elif kind := credential_in(literal_text(text)):
        _refuse(tree, path, f"this looks like {kind}, and a contract holds no secrets", _TO_KEEP)


def _refuse_in_env(tree: Tree) -> None:
    own_ports = {port["number"] for port in ports(tree).values() if isinstance(port.get("number"), int)}
    for name, value in mapping(tree, "env").items():
        path: Path = ("env", name)
        if _RESERVED.fullmatch(name):
            hint = _IN_THE_COMMAND if name.upper() == "PATH" else "choose another name"
            _refuse(
                tree,
                path,
                f"{quoted(name)} is set by EnvForge and the machine, not by a contract",
                hint,
                at_key=True,
            )
        if not isinstance(value, str | int) or isinstance(value, bool):
            continue
        text = str(value)
        if _SECRET_NAME.fullmatch(name) and text.strip() and not references(text):
            _refuse(tree, path, "by its name this is a secret, and a contract holds no secrets", _TO_KEEP)
            continue
        _refuse_hosts(tree, path, name, literal_text(text), own_ports)


def _refuse_defaults(tree: Tree) -> None:
    for name, given in inputs(tree).items():
        path: Path = ("inputs", name, "default")
        default, kind = given.get("default"), given.get("kind")
        if default is None:
            continue
        if kind == "secret" or _SECRET_NAME.fullmatch(name):
            _refuse(
                tree,
                path,
                "a secret has no default: a contract holds no secrets",
                "remove it and bind the input in the project",
            )
        elif kind == "route":
            _refuse(
                tree, path, "a route has no default", "remove it: the project's binding names the service"
            )
        elif isinstance(default, str | int) and not isinstance(default, bool):
            _refuse_hosts(tree, path, name, str(default), ())


def _refuse_hosts(tree: Tree, path: Path, name: str, text: str, own_ports: Any) -> None:
    told = (
        "a host name of another service" if is_other_host(name, text) else other_service_in(text, own_ports)
    )
    if told:
        _refuse(tree, path, f"this names {told}; a contract knows its own service alone", _TO_WIRE)


def _refuse(tree: Tree, path: Path, problem: str, hint: str = "", *, at_key: bool = False) -> None:
    tree.complain(path, problem, hint=hint, at_key=at_key)
    tree.broken.add(path)
