"""What several pages of projects say, and what they take of forms."""

from collections.abc import Iterable
from typing import Any

from envforge_protocol.contract.problems import Problem
from projects.selectors import RepositoryView, SecretChoice

MAX_SHOWN_LENGTH = 200
MAX_ADDRESS_LENGTH = 500
# Before an app's name, where one chooses what a repository is read with.
APP = "app:"
# How an input's kind is called where one chooses.
KINDS = {
    "secret": "a secret",
    "literal": "a text",
    "url": "an address",
    "route": "a route to another service",
}


def secret_choices(secrets: Iterable[SecretChoice], *, none: str = "") -> list[tuple[str, str]]:
    """The secrets to choose from, by name; those of the whole organization say so."""
    whole = {True: " (whole organization)", False: ""}
    choices = [(str(one.id), f"{one.name}{whole[one.whole_organization]}") for one in secrets]
    return [("", none), *choices] if none else choices


def access_choices(secrets: Iterable[SecretChoice], apps: Iterable[str]) -> list[tuple[str, str]]:
    """What a repository can be read with: nothing, an app, or a secret."""
    nothing, *known = secret_choices(secrets, none="Nothing: anybody may read it")
    return [nothing, *((f"{APP}{name}", f"the forge app {name}") for name in apps), *known]


def repository_row(view: RepositoryView) -> dict[str, Any]:
    """A repository with its state in one or two marks and the sentences its inputs make."""
    return {
        "view": view,
        "ready": not view.missing,
        "inputs": [
            {"view": one, "from": _from(one.source, one.words, one.default), "kind": KINDS[one.kind]}
            for one in view.inputs
        ],
    }


def _from(source: str, words: str, default: str | None) -> str:
    if source == "literal":
        return f"“{words}”"
    if source == "resource":
        return f"{words}, which you provide"
    if source:
        return words
    return f"“{default}”, as the contract says" if default is not None else ""


def branches_refused(repositories: Iterable[RepositoryView]) -> list[dict[str, Any]]:
    """The files that are no contract, with their problems in words, by line."""
    return [
        {
            "repository": view.name,
            "file": file,
            "commit": file.commit[:7],
            "problems": [
                {"line": one["line"], "column": one["column"], "text": Problem(**one).text}
                for one in file.problems
            ],
        }
        for view in repositories
        for file in view.refused
    ]
