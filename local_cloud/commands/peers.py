"""Programs that ./dev bench measures beside ours, each in a place of its own in the bench's home."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_cloud.bootstrap import REQUIREMENTS, apt_get_install
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import Home

JUPYTERHUB_LOCK = REQUIREMENTS / "bench-jupyterhub.txt"
PROXY = REQUIREMENTS / "bench-proxy"
LINES = 20


def prepare_jupyterhub(home: Home, caller: Mapping[str, str], console: Console) -> dict[str, str]:
    """Install JupyterHub and its proxy, once for each state of their locks; where they are, as environment variables.

    Raises:
        LocalCloudError: they cannot be installed.
    """
    place = home.directory("jupyterhub")
    stamp = place / "installed"
    locks = (JUPYTERHUB_LOCK, PROXY / "package.json", PROXY / "package-lock.json")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in locks)).hexdigest()
    if not stamp.exists() or stamp.read_text() != f"{digest} {sys.version}":
        stamp.unlink(missing_ok=True)
        _require_npm(caller, console)
        with console.step("JupyterHub"):
            _run([sys.executable, "-m", "venv", "--clear", str(place / "venv")], place, caller)
            pip = (str(place / "venv" / "bin" / "python"), "-m", "pip", "install", "--no-input")
            _run(
                [*pip, "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(JUPYTERHUB_LOCK)],
                place,
                caller,
            )
        with console.step("configurable-http-proxy"):
            proxy = place / "proxy"
            shutil.rmtree(proxy, ignore_errors=True)
            shutil.copytree(PROXY, proxy)
            # Scripts of packages are not run: the proxy needs none.
            _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], proxy, caller)
        stamp.write_text(f"{digest} {sys.version}")
    return {"ENVFORGE_BENCH_JUPYTERHUB": str(place)}


def _require_npm(caller: Mapping[str, str], console: Console) -> None:
    if shutil.which("npm", path=caller.get("PATH")):
        return
    line = "apt-get install -y nodejs npm"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LocalCloudError(f"JupyterHub's proxy needs Node.js. Have root run: {line}")
    apt_get_install("nodejs npm", console)


def _run(command: Sequence[str], directory: Path, caller: Mapping[str, str]) -> None:
    ran = subprocess.run(
        command,
        cwd=directory,
        env=dict(caller),
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if ran.returncode:
        said = "\n".join((ran.stdout + ran.stderr).splitlines()[-LINES:])
        raise LocalCloudError(f"{' '.join(command[:4])} failed:\n{said}")
