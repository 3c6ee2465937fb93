"""What concerns several fields at once: references, ports, routes, checks, files."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from envforge_protocol.contract.problems import Path, nearest, quoted
from envforge_protocol.contract.references import IN_COMMANDS, Malformed, Reference, references, split
from envforge_protocol.contract.resources import PROPERTIES
from envforge_protocol.contract.sections import inputs, mapping, ports, resources, texts
from envforge_protocol.contract.tree import Tree

RESERVED_PREFIX = "/.envforge"
"""The gateway's own paths on every dev host."""

_URL = re.compile(r"https?://[^\s/]+\S*")


def check(tree: Tree) -> None:
    """Add a problem for each thing that does not fit together."""
    for rule in (
        _ports,
        _ingress,
        _routes,
        _forwards,
        _inputs,
        _env,
        _unused,
        _commands,
        _setup,
        _health,
        _smoke,
    ):
        rule(tree)


def _ports(tree: Tree) -> None:
    first: dict[int, str] = {}
    for name, port in ports(tree).items():
        number = port.get("number")
        if not isinstance(number, int) or isinstance(number, bool):
            continue
        if number in first:
            tree.complain(
                ("ports", name),
                f"port {number} is already {quoted(first[number])}",
                hint="each port has one name",
            )
        first.setdefault(number, name)
        if port.get("ingress") is True and port.get("protocol") == "tcp":
            tree.complain(
                ("ports", name, "ingress"), "a tcp port cannot be the ingress", expected="an http port"
            )


def _http_ports(tree: Tree) -> list[str]:
    return [name for name, port in ports(tree).items() if port.get("protocol", "http") == "http"]


def _ingress(tree: Tree) -> None:
    http = _http_ports(tree)
    named = [name for name in http if ports(tree)[name].get("ingress") is True]
    for name in named[1:]:
        tree.complain(
            ("ports", name, "ingress"),
            f"{quoted(named[0])} is already the ingress",
            expected="one ingress port",
        )
    if len(http) > 1 and not named:
        tree.complain(
            ("ports",),
            "several http ports, and none is the ingress",
            expected="`ingress: true` on one of them",
            at_key=True,
        )
    if (
        not http
        and mapping(tree, "service").get("kind", "app") == "app"
        and _is_absent_or_mapping(tree, "ports")
    ):
        tree.complain(
            ("ports",) if "ports" in mapping(tree) else ("service", "kind"),
            "an app needs an http port",
            expected="for example `ports: {web: 3000}`",
            hint="without one, the kind is `worker` or `job`",
            at_key=True,
        )


def _is_absent_or_mapping(tree: Tree, section: str) -> bool:
    return isinstance(tree.data, dict) and isinstance(tree.data.get(section, {}), dict)


def _has_ingress(tree: Tree) -> bool:
    # What is wrong with the ports themselves has been said.
    return bool(_http_ports(tree)) or not _is_absent_or_mapping(tree, "ports")


def _routes(tree: Tree) -> None:
    if "routes" in mapping(tree) and not _has_ingress(tree):
        tree.complain(("routes",), "routes need an http port", at_key=True)
    surfaces: dict[str, str] = {}
    for surface in ("api", "assets", "websockets"):
        own: set[str] = set()
        for index, prefix in texts(tree, "routes", surface).items():
            path: Path = ("routes", surface, index)
            _prefix(tree, path, prefix)
            if prefix in own:
                tree.complain(path, "this prefix stands here twice")
            elif surface != "websockets" and prefix in surfaces:
                tree.complain(
                    path, f"this prefix is already `{surfaces[prefix]}`", expected="one surface a prefix"
                )
            own.add(prefix)
            if surface != "websockets":
                surfaces.setdefault(prefix, surface)


def _prefix(tree: Tree, path: Path, prefix: str) -> None:
    parts = prefix.split("/")
    if "." in parts or ".." in parts:
        tree.complain(path, "a prefix has no `.` and `..`", at_key=path[1] == "forward")
    elif parts[1:2] == [RESERVED_PREFIX[1:]]:
        tree.complain(path, f"{RESERVED_PREFIX} is the gateway's own", at_key=path[1] == "forward")


def _forwards(tree: Tree) -> None:
    for prefix, name in mapping(tree, "routes", "forward").items():
        path: Path = ("routes", "forward", prefix)
        _prefix(tree, path, prefix)
        if prefix == "/":
            tree.complain(
                path, "`/` is the service's own", expected="a longer prefix, such as /api", at_key=True
            )
        if not isinstance(name, str):
            continue
        if "://" in name or ":" in name or "." in name:
            tree.complain(
                path,
                "a prefix leads to an input by its name, never to an address",
                expected="the name of an input of kind `route`",
            )
            tree.broken.add(path)
        elif name not in inputs(tree):
            tree.complain(path, f"no input is named {quoted(name)}", hint=_did_you_mean(name, inputs(tree)))
        elif inputs(tree)[name].get("kind") != "route":
            tree.complain(path, f"{quoted(name)} is no input of kind `route`")


def _inputs(tree: Tree) -> None:
    for name, given in inputs(tree).items():
        default = given.get("default")
        if given.get("kind") == "url" and isinstance(default, str) and not _URL.fullmatch(default):
            tree.complain(
                ("inputs", name, "default"),
                "is no address",
                expected="one that begins with https:// or http://",
            )


def _env(tree: Tree) -> None:
    for variable, text in mapping(tree, "env").items():
        for piece in split(text) if isinstance(text, str) else ():
            if isinstance(piece, Malformed):
                _malformed(tree, ("env", variable))
            elif isinstance(piece, Reference):
                _reference(tree, ("env", variable), piece)


def _malformed(tree: Tree, path: Path) -> None:
    tree.complain(
        path,
        "this `${` begins no reference",
        expected="${inputs.NAME}, ${resources.NAME.PROPERTY} or ${ports.NAME}",
        hint="shell variables are not replaced here; `$${` stands for a literal `${`",
    )


def _reference(tree: Tree, path: Path, reference: Reference) -> None:
    known = {"inputs": inputs, "resources": resources, "ports": ports}[reference.scope](tree)
    if reference.name not in known:
        what = reference.scope.removesuffix("s")
        tree.complain(
            path, f"no {what} is named {quoted(reference.name)}", hint=_did_you_mean(reference.name, known)
        )
    elif reference.scope == "resources":
        kind = known[reference.name].get("type")
        offered = PROPERTIES.get(kind, ()) if isinstance(kind, str) else ()
        if offered and reference.property_name not in offered:
            hint = _did_you_mean(reference.property_name, offered)
            tree.complain(
                path,
                f"{kind} has no {quoted(reference.property_name)}",
                expected=f"one of {', '.join(offered)}",
                hint=hint,
            )


def _did_you_mean(word: str, known: Collection[str]) -> str:
    near = nearest(word, known)
    return f"did you mean `{near}`?" if near else ""


def _unused(tree: Tree) -> None:
    env = [text for text in mapping(tree, "env").values() if isinstance(text, str)]
    used = {(one.scope, one.name) for text in env for one in references(text)}
    used |= {
        ("inputs", name) for name in mapping(tree, "routes", "forward").values() if isinstance(name, str)
    }
    for scope, known, text in (
        ("inputs", inputs(tree), "${{inputs.{}}}"),
        ("resources", resources(tree), "${{resources.{}.url}}"),
    ):
        for name in known:
            if (scope, name) not in used:
                way = (
                    f"hand it over in `env`, as in `NAME: {text.format(name)}`"
                    if quoted(name) != "this"
                    else "hand it over in `env`"
                )
                tree.complain((scope, name), "nothing uses it", hint=way, at_key=True)


def _command_texts(tree: Tree) -> Iterator[tuple[Path, str]]:
    places: list[tuple[Path, Any]] = [(("command",), mapping(tree).get("command"))]
    places += [
        ((section, "command"), mapping(tree, section).get("command")) for section in ("health", "smoke")
    ]
    for section in ("tests", "commands"):
        for name, given in mapping(tree, section).items():
            places.append(
                ((section, name, "command"), given.get("command"))
                if isinstance(given, dict)
                else ((section, name), given)
            )
    places += [(("setup", index, "command"), step.get("command")) for index, step in _steps(tree)]
    for path, given in places:
        for word in given if isinstance(given, list) else [given]:
            if isinstance(word, str):
                yield path, word


def _commands(tree: Tree) -> None:
    for path, text in _command_texts(tree):
        if IN_COMMANDS.search(text):
            tree.complain(
                path,
                "references are replaced in `env` alone",
                hint="set a variable in `env` and use $NAME in the command",
            )


def _steps(tree: Tree) -> list[tuple[int, dict[str, Any]]]:
    setup = mapping(tree).get("setup")
    return (
        [(index, step) for index, step in enumerate(setup) if isinstance(step, dict)]
        if isinstance(setup, list)
        else []
    )


def _setup(tree: Tree) -> None:
    names: set[str] = set()
    for index, step in _steps(tree):
        name = step.get("name")
        if isinstance(name, str):
            if name in names:
                tree.complain(
                    ("setup", index, "name"),
                    f"a step named {quoted(name)} stands above",
                    expected="names of their own",
                )
            names.add(name)
        files = step.get("cache_key")
        for number, file in enumerate(files if isinstance(files, list) else ()):
            if isinstance(file, str) and leaves_repository(file):
                path: Path = ("setup", index, "cache_key", number)
                tree.complain(
                    path,
                    "this path leaves the repository",
                    expected="a file of the repository, such as requirements.txt",
                )
                tree.broken.add(path)


def leaves_repository(file: str) -> bool:
    """Whether a path is absolute, begins with `~`, or climbs with `..`."""
    return file.startswith(("/", "~", "\\")) or ".." in re.split(r"[/\\]", file) or file[1:2] == ":"


def _health(tree: Tree) -> None:
    health = mapping(tree, "health")
    if health:
        _one_way(tree, "health", health, ("http", "tcp", "command"))
        _port_of(tree, "health", health)
        port = health.get("tcp")
        if isinstance(port, str) and port not in ports(tree):
            tree.complain(
                ("health", "tcp"), f"no port is named {quoted(port)}", hint=_did_you_mean(port, ports(tree))
            )


def _smoke(tree: Tree) -> None:
    smoke = mapping(tree, "smoke")
    if smoke:
        _one_way(tree, "smoke", smoke, ("http", "command"))
        _port_of(tree, "smoke", smoke)
        if "status" in smoke and "http" not in smoke:
            tree.complain(("smoke", "status"), "only `http` answers a status", at_key=True)


def _one_way(tree: Tree, section: str, given: dict[str, Any], ways: tuple[str, ...]) -> None:
    chosen = [way for way in ways if way in given]
    if len(chosen) != 1:
        tree.complain(
            (section,),
            f"is checked in {len(chosen) or 'no'} ways",
            expected=f"one of {', '.join(ways)}",
            at_key=True,
        )


def _port_of(tree: Tree, section: str, given: dict[str, Any]) -> None:
    port = given.get("port")
    if "http" not in given:
        if "port" in given:
            tree.complain((section, "port"), "only `http` asks a port", at_key=True)
        return
    if isinstance(port, str):
        if port not in ports(tree):
            tree.complain(
                (section, "port"), f"no port is named {quoted(port)}", hint=_did_you_mean(port, ports(tree))
            )
        elif ports(tree)[port].get("protocol", "http") != "http":
            tree.complain((section, "port"), f"{quoted(port)} is no http port")
    elif "port" not in given and not _has_ingress(tree):
        tree.complain((section, "http"), "there is no http port to ask")
