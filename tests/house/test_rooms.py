"""The rooms of STYLE and the order of DESIGN 2, held by reading the imports."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

# Imports go down this list only.
APPS = (
    "envforge",
    "audit",
    "orgs",
    "timeline",
    "secrets_ref",
    "hosts",
    "projects",
    "workspaces",
    "devlinks",
    "root_policy",
    "private_access",
    "notices",
    "security_reports",
)
PROGRAMS = ("envforge_gateway", "envforge_daemon", "envforge_cli")
PROTOCOL = "envforge_protocol"
# The composing modules may see everything.
COMPOSERS = {
    "envforge/asgi.py",
    "envforge/urls.py",
    "envforge/admin_urls.py",
    "envforge/api_urls.py",
    "envforge/settings.py",
}
# A vendor's SDK has one importer.
VENDORS = {
    "boto3": {"envforge/aws.py"},
    "botocore": {"envforge/aws.py", "envforge_daemon/aws.py"},
    "requests": {"orgs/auth0.py"},
    "authlib": {"orgs/auth0.py"},
    "httpx2": set(),
    # The VM's program and the gateway are asynchronous throughout; the server calls what customers name by one door (E2).
    "aiohttp": {"envforge/egress.py", "envforge_daemon/http.py", "envforge_gateway/control_plane.py"},
}
LONGEST_FILE = 400
DOORWAYS = ("api.py", "console.py")


@cache
def sources() -> dict[str, ast.Module]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"], capture_output=True, text=True, check=True
    ).stdout.split()
    return {path: ast.parse(Path(path).read_text()) for path in listed if Path(path).exists()}


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def product() -> dict[str, ast.Module]:
    return {
        path: tree for path, tree in sources().items() if path.split("/")[0] in {*APPS, *PROGRAMS, PROTOCOL}
    }


def test_imports_go_down() -> None:
    upward = []
    for path, tree in product().items():
        own = path.split("/")[0]
        if own not in APPS or path in COMPOSERS:
            continue
        above = set(APPS[APPS.index(own) + 1 :]) | set(PROGRAMS) | {"local_cloud", "tests"}
        upward += [f"{path} imports {name}" for name in imports(tree) if name.split(".")[0] in above]
    assert upward == []


def test_programs_know_nothing_of_the_server() -> None:
    strange = []
    for path, tree in product().items():
        own = path.split("/")[0]
        if own not in {*PROGRAMS, PROTOCOL}:
            continue
        forbidden = {*APPS, *PROGRAMS, "django", "local_cloud"} - {own}
        strange += [f"{path} imports {name}" for name in imports(tree) if name.split(".")[0] in forbidden]
    assert strange == []


def test_a_vendor_has_one_importer() -> None:
    strange = []
    for path, tree in product().items():
        for name in imports(tree):
            vendor = name.split(".")[0]
            if vendor in VENDORS and path not in VENDORS[vendor]:
                strange.append(f"{path} imports {name}")
    assert strange == []


def test_doorways_leave_models_alone() -> None:
    strange = []
    for path, tree in product().items():
        if path.endswith(DOORWAYS) or "/console/" in path:
            strange += [
                f"{path} imports {name}"
                for name in imports(tree)
                if name.split(".")[1:2] == ["models"] or name.startswith("django.db")
            ]
    assert strange == []


def test_models_have_no_save_and_no_signals() -> None:
    strange = []
    for path, tree in product().items():
        if not path.endswith("models.py"):
            continue
        strange += [
            f"{path}: {node.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name in {"save", "delete"}
        ]
        strange += [
            f"{path} imports {name}" for name in imports(tree) if name.startswith("django.db.models.signals")
        ]
    assert strange == []


def test_operations_take_keywords_alone_and_the_actor_first() -> None:
    strange = []
    for path, tree in product().items():
        if not path.endswith("operations.py") and "/operations/" not in path:
            continue
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            first = node.args.kwonlyargs[0].arg if node.args.kwonlyargs else None
            if node.args.args or first not in {"actor", "issuer"}:
                strange.append(f"{path}: {node.name}")
            if not ast.get_docstring(node):
                strange.append(f"{path}: {node.name} has no docstring")
    assert strange == []


@pytest.mark.parametrize("name", ["utils", "helpers", "manager", "managers", "misc", "common"])
def test_no_file_is_named_for_nothing(name: str) -> None:
    assert [path for path in sources() if Path(path).stem == name] == []


def test_files_are_small() -> None:
    long = {
        path: length
        for path in sources()
        if (length := len(Path(path).read_text().splitlines())) > LONGEST_FILE
    }
    assert long == {}


def test_locks_carry_hashes_and_no_registry() -> None:
    for lock in Path("requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text, f"{lock} names a registry's address"
        pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert pinned
        assert all("==" in line and line.endswith("\\") for line in pinned), (
            f"{lock} has a package without version or hash"
        )


def test_the_small_lock_is_part_of_the_large_one() -> None:
    local, dev = (
        {
            line.split(" ")[0]
            for line in Path(f"requirements/{name}.txt").read_text().splitlines()
            if "==" in line
        }
        for name in ("local", "dev")
    )
    assert local <= dev
