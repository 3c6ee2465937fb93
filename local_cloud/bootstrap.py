"""Stage 0 of ./dev: from a bare Python to a virtual environment with every package, then on to the command.

Imports the standard library and its like in this package only: nothing else is installed yet.
"""

import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import CALLED_FROM, ORDINARY_UMASK, REPOSITORY, Home, choose_home
from local_cloud.menu import COMMANDS, help_text, nearest

REQUIREMENTS = REPOSITORY / "requirements"
PIP_LOG_LINES = 40
APT_WAITS = ("-o", "DPkg::Lock::Timeout=120")


def main(arguments: Sequence[str]) -> int:
    """Make the environment the command needs, and become the command; returns only when that is not to be."""
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(help_text())
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        print(nearest(name), file=sys.stderr)
        return 2
    console = Console()
    os.umask(ORDINARY_UMASK)  # PostgreSQL's account must be able to read the binaries we install
    try:
        home, note = choose_home(REPOSITORY, os.environ, os.geteuid())
        if note:
            console.say(note)
        _require_own(home)
        python = prepare_environment(home, COMMANDS[name].lock, console)
    except LocalCloudError as error:
        console.clear()
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.say("Interrupted. Run the same command again to go on.")
        return 130
    return _become(home, python, arguments)


def _become(home: Home, python: Path, arguments: Sequence[str]) -> NoReturn:
    environment = {**os.environ, "ENVFORGE_HOME": str(home.root), "PYTHONPATH": str(REPOSITORY)}
    # Paths on the command line mean the directory the person is in, which we are about to leave.
    environment[CALLED_FROM] = str(Path.cwd())
    os.chdir(REPOSITORY)
    command = [str(python), "-m", "local_cloud", *arguments]
    os.execve(python, command, environment)  # noqa: S606 - our own interpreter, no shell


def prepare_environment(home: Home, lock_name: str, console: Console) -> Path:
    """Make or complete the virtual environment of a home; returns its Python.

    Nothing happens when the packages of this lock file are there already.

    Raises:
        LocalCloudError: the environment cannot be made, or pip failed.
    """
    stamp = home.venv / "envforge-installed.json"
    python = home.venv / "bin" / "python"
    digests = {name: _digest(REQUIREMENTS / f"{name}.txt") for name in ("local", "dev")}
    if _is_complete(stamp, lock_name, digests) and python.exists():
        return python
    with (home.run / "setup.lock").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say("Another ./dev is installing packages here; waiting for it.")
            fcntl.flock(guard, fcntl.LOCK_EX)
        if _is_complete(stamp, lock_name, digests) and python.exists():
            return python
        whole = _made(home).exists() or stamp.exists()
        if not whole or not python.exists() or _read_stamp(stamp).get("python") not in {None, sys.version}:
            _make_venv(home, console)
        stamp.unlink(missing_ok=True)
        _install(python, REQUIREMENTS / f"{lock_name}.txt", console)
        _install_command(home, python)
        # The dev lock holds every line of the local one.
        done = digests if lock_name == "dev" else {"local": digests["local"]}
        stamp.write_text(json.dumps({"python": sys.version, **done}))
    return python


def _require_own(home: Home) -> None:
    try:
        home.make()
    except PermissionError:
        raise LocalCloudError(
            f"{home.root} cannot be made by this account. Set ENVFORGE_HOME to a directory of yours."
        ) from None
    owner = home.root.stat().st_uid
    if owner != os.geteuid():
        raise LocalCloudError(
            f"{home.root} belongs to another account (number {owner}). "
            "Run ./dev as that account, or set ENVFORGE_HOME to a directory of yours."
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_stamp(stamp: Path) -> dict[str, str]:
    try:
        document = json.loads(stamp.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _is_complete(stamp: Path, lock_name: str, digests: dict[str, str]) -> bool:
    kept = _read_stamp(stamp)
    return kept.get("python") == sys.version and kept.get(lock_name) == digests[lock_name]


def _make_venv(home: Home, console: Console) -> None:
    _require_ensurepip(console)
    shutil.rmtree(home.venv, ignore_errors=True)
    with console.step("Virtual environment"):
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(home.venv)], check=False, capture_output=True, text=True
        )
        if made.returncode != 0:
            shutil.rmtree(home.venv, ignore_errors=True)
            raise LocalCloudError(
                f"The virtual environment {home.venv} could not be made:\n{made.stdout}{made.stderr}\n"
                f"Put that right, then run ./dev again."
            )
    _made(home).touch()


def _made(home: Home) -> Path:
    """The mark of an environment that was not given up halfway: one without it may lack pip."""
    return home.venv / "envforge-made"


def _require_ensurepip(console: Console) -> None:
    """Debian ships Python without what venv needs; root may install it, anybody else is told how."""
    probe = [sys.executable, "-c", "import ensurepip, venv"]
    if subprocess.run(probe, check=False, capture_output=True).returncode == 0:
        return
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    line = f"apt-get install -y {package}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LocalCloudError(
            f"This Python ({sys.executable}) cannot make virtual environments. Have root run\n"
            f"    {line}\nand run ./dev again."
        )
    console.say(f"This Python cannot make virtual environments yet; installing that with: {line}")
    apt_get_install(package, console)


def apt_get_install(packages: str, console: Console) -> None:
    """Install Debian packages, named with spaces between them, as root, showing what apt-get is doing.

    Another apt that runs is waited for.

    Raises:
        LocalCloudError: apt-get failed; holds what it said.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    said: list[str] = []
    with console.step(f"apt-get install {packages}", lambda: said[-1][:60] if said else ""):
        for command in (
            ["apt-get", *APT_WAITS, "update"],
            ["apt-get", *APT_WAITS, "install", "-y", "--no-install-recommends", *packages.split()],
        ):
            code = _run_listening(command, environment, said)
        if code != 0:
            raise LocalCloudError(
                f"apt-get could not install {packages}:\n" + "\n".join(said[-PIP_LOG_LINES:])
            )


def _install(python: Path, lock: Path, console: Console) -> None:
    total = sum(1 for line in lock.read_text().splitlines() if re.match(r"[A-Za-z0-9]", line))
    console.say(f"Installing {total} packages from requirements/{lock.name} (once; later starts skip this).")
    command = [
        *(str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"),
        *("--progress-bar", "off", "--no-deps", "--require-hashes", "-r", str(lock)),
    ]
    said: list[str] = []

    def note() -> str:
        if any(line.startswith("Installing collected packages") for line in said):
            return "putting them in place"
        seen = [line for line in said if line.startswith("Collecting ")]
        return f"{len(seen)} of {total}  {seen[-1].split()[1].split('==')[0]}" if seen else ""

    with console.step("Packages", note):
        code = _run_listening(command, dict(os.environ), said)
        if code != 0:
            raise LocalCloudError(
                "\n".join(said[-PIP_LOG_LINES:])
                + "\n\npip could not install the packages; what it said is above.\n"
                "Without a network or behind a proxy, tell pip about it (pip config list shows what it knows: index-url, "
                "proxy, cert), then run ./dev again."
            )


def _run_listening(command: Sequence[str], environment: dict[str, str], said: list[str]) -> int:
    """Run a program to its end and keep the lines it writes; a failure to start is a line too."""
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        said.append(str(error))
        return 127
    with process:
        if process.stdout is not None:
            said.extend(line.rstrip() for line in process.stdout)
        return process.wait()


def _install_command(home: Home, python: Path) -> None:
    """Put the `envforge` command into the environment, run from this clone."""
    site = next((home.venv / "lib").glob("python3.*/site-packages"))
    (site / "envforge-clone.pth").write_text(f"{REPOSITORY}\n")
    script = home.venv / "bin" / "envforge"
    # Through sh, since a path with a space or a long one cannot stand behind "#!".
    script.write_text(
        "#!/bin/sh\n"
        f"exec {shlex.quote(str(python))} -c "
        '\'import sys; sys.argv[0] = "envforge"; from envforge_cli.main import main; sys.exit(main())\' "$@"\n'
    )
    script.chmod(0o755)
