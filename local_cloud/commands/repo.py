"""./dev repo: which repositories the local git host has; works whether ./dev up runs or not."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from local_cloud.cloud import WANTED_PORTS, running
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.git.access import developer_token
from local_cloud.git.adding import Source, add, initialize
from local_cloud.git.names import RepositoryName, suggested
from local_cloud.git.store import Store
from local_cloud.home import CALLED_FROM, Home, read_document


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise LocalCloudError(f"./dev repo: {message}.\n{self.format_usage().strip()}")


def run(home: Home, caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """Do what the first word says."""
    asked = _parser().parse_args(arguments)
    store = Store(home.directory("git"))
    if asked.act == "add":
        _add(store, asked, caller, console)
        _show(store, _name_of(asked), _address(home, caller), console)
    elif asked.act == "list":
        _list(store, _address(home, caller), console)
    elif asked.act == "show":
        _show(store, RepositoryName.typed(asked.name), _address(home, caller), console)
    else:
        return _remove(store, RepositoryName.typed(asked.name), console, sure=asked.yes)
    if running(home, caller) is None:
        console.say("The git host answers there while ./dev up runs.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="./dev repo", description="The repositories of the local git host.")
    acts = parser.add_subparsers(dest="act", required=True, metavar="add|list|show|remove")
    add_ = acts.add_parser("add", help="put a local git repository there: all its branches and tags")
    add_.add_argument("directory", type=Path, metavar="DIRECTORY", help="the repository")
    add_.add_argument(
        "--name", metavar="[OWNER/]NAME", help="what it is called there (local/<the directory's name>)"
    )
    add_.add_argument(
        "--init", action="store_true", help="make the directory a repository first, with one commit"
    )
    acts.add_parser("list", help="name them all")
    show = acts.add_parser("show", help="how to clone one and push to it, with its tokens")
    show.add_argument("name", metavar="[OWNER/]NAME")
    remove = acts.add_parser("remove", help="take one away; the directory it came from stays as it is")
    remove.add_argument("name", metavar="[OWNER/]NAME")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _name_of(asked: argparse.Namespace) -> RepositoryName:
    if asked.name is not None:
        return RepositoryName.typed(asked.name)
    name = suggested(asked.directory.name)
    if not name:
        raise LocalCloudError(
            f"No name can be made of {str(asked.directory)!r}. Give one: ./dev repo add DIRECTORY --name NAME"
        )
    return RepositoryName.typed(name)


def _add(store: Store, asked: argparse.Namespace, caller: Mapping[str, str], console: Console) -> None:
    asked.directory = (Path(caller.get(CALLED_FROM) or Path.cwd()) / asked.directory.expanduser()).resolve()
    name = _name_of(asked)
    if asked.init and initialize(asked.directory):
        console.say(f"{asked.directory} is a git repository now, with one commit of all its files.")
    source = Source.of(asked.directory)
    with console.step(f"{name}"):
        is_new = add(store, name, source)
    branches = len(source.branches)
    console.say(
        f"{name} {'is there' if is_new else 'is up to date'}: "
        f"{branches} {'branch' if branches == 1 else 'branches'}, the default one is {store.branches(name)[0]}."
    )


def _list(store: Store, address: str, console: Console) -> None:
    names = store.names()
    if not names:
        console.say("There are no repositories yet. Put one there: ./dev repo add DIRECTORY")
        return
    width = max(len(str(name)) for name in names) + 2
    for name in names:
        console.say(f"{name!s:<{width}}{address}/{name}.git   {', '.join(store.branches(name))}")
    console.say("\nHow to clone one, with its token: ./dev repo show NAME")


def _show(store: Store, name: RepositoryName, address: str, console: Console) -> None:
    branches = store.branches(name)
    scheme, _, rest = address.partition("://")

    def with_token(user: str, token: str) -> str:
        return f"{scheme}://{user}:{token}@{rest}/{name}.git"

    console.say(
        "\n".join(
            [
                "",
                f"  Address   {address}/{name}.git",
                f"  Branches  {', '.join(branches)}",
                f"  Token     {store.deploy_token(name)}   (reads this repository alone; give it to a project)",
                f"  Clone     git clone {with_token('deploy', store.deploy_token(name))}",
                f"  Push      git push {with_token('developer', developer_token(store))} {branches[0]}",
                "",
            ]
        )
    )


def _remove(store: Store, name: RepositoryName, console: Console, *, sure: bool) -> int:
    branches = store.branches(name)  # says so when there is no such repository
    if not sure:
        if not sys.stdin.isatty():
            raise LocalCloudError(
                "./dev repo remove asks before it removes anything. Without a terminal, say --yes."
            )
        answer = input(f"Remove {name} with {len(branches)} branches, and what was pushed to it? [y/N] ")
        if answer.strip().lower() not in {"y", "yes"}:
            console.say("Nothing was removed.")
            return 1
    store.remove(name)
    console.say(f"{name} is removed. Its token reads nothing any more.")
    return 0


def _address(home: Home, caller: Mapping[str, str]) -> str:
    """Where the git host answers now, or will at the next ./dev up."""
    cloud = running(home, caller)
    if cloud is not None and "git" in cloud.ports:
        return cloud.git_url
    remembered = read_document(home.root / "ports.json")
    return f"http://localhost:{remembered.get('git', WANTED_PORTS['git'])}"
