"""Finding Chromium for the browser tests, or installing it where we may."""

import os
import shutil
from collections.abc import Mapping

from local_cloud.bootstrap import apt_get_install
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL_LINE = "apt-get install -y chromium"


def browser_environment(caller: Mapping[str, str], console: Console) -> dict[str, str]:
    """ENVFORGE_BROWSER with Chromium's path, or ENVFORGE_NO_BROWSER, with which browser tests report as not run.

    Raises:
        LocalCloudError: there is none and CI is set, where every test must run.
    """
    if caller.get("ENVFORGE_NO_BROWSER") and not _in_ci(caller):
        return {"ENVFORGE_NO_BROWSER": "1"}
    why = ""
    found = _find(caller)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        console.say(
            "The browser tests need Chromium, which is not installed; root may install it, so that is done."
        )
        try:
            apt_get_install("chromium", console)
        except LocalCloudError as error:
            why = f"{error}\n"
        found = _find(caller)
    if found is not None:
        return {"ENVFORGE_BROWSER": found}
    if _in_ci(caller):
        raise LocalCloudError(
            f"{why}CI is set and there is no Chromium for the browser tests. Install it: {INSTALL_LINE}"
        )
    console.say(
        f"{why}There is no Chromium: browser tests are not run. To run them, have root run: {INSTALL_LINE}"
    )
    return {"ENVFORGE_NO_BROWSER": "1"}


def _find(caller: Mapping[str, str]) -> str | None:
    paths = (shutil.which(name, path=caller.get("PATH")) for name in NAMES)
    return next((path for path in paths if path), None)


def _in_ci(caller: Mapping[str, str]) -> bool:
    return caller.get("CI", "").lower() not in {"", "0", "false"}
