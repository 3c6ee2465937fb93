"""./dev test and ./dev drill: pytest beside a set of services that belongs to the tests alone."""

import os
import sys
from collections.abc import Mapping, Sequence

from local_cloud.cloud import Cloud
from local_cloud.commands.browser import browser_environment
from local_cloud.commands.foreground import run_in_foreground
from local_cloud.commands.packages import NEEDED, TRIED, prepare_machine
from local_cloud.commands.services import services
from local_cloud.console import Console
from local_cloud.environment import ambient
from local_cloud.home import Home
from local_cloud.steps import collect_static

PYTEST = (sys.executable, "-m", "pytest", "-p", "local_cloud.pytest_browser")
# One more than cores, since tests wait for processes and clocks for half of their time; few, since they share their
# services. The tests of a file stay together, in order: some share one world.
SIDE_BY_SIDE = ("-n", str(min(os.cpu_count() or 1, 4) + 1), "--dist", "loadfile")
SERIAL = ("-n", "--numprocesses", "--pdb", "-s", "--collect-only", "--co")


def run_tests(home: Home, caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """Every test but the drills, some at a time; arguments go to pytest."""
    browser = browser_environment(caller, console)
    prepare_machine(console, NEEDED | TRIED)
    side_by_side = () if any(word.startswith(SERIAL) for word in arguments) else SIDE_BY_SIDE
    chosen = () if "-m" in arguments else ("-m", "not drill")
    with services(home.nested("test"), caller, "test", console, durable=False, apart=True) as cloud:
        collect_static(cloud, console)
        return run_in_foreground(
            [*PYTEST, *side_by_side, *chosen, *arguments], environment(cloud, caller) | browser
        )


def run_drills(home: Home, caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """The long fault tests, one after the other; each starts what it kills. Arguments go to pytest."""
    console.say("The drills start, kill and restart the whole product; this takes some minutes.")
    browser = browser_environment(caller, console)
    prepare_machine(console)
    passed_on = {name: value for name, value in caller.items() if name.startswith("PYTEST_")}
    drill = {"ENVFORGE_DRILL_HOME": str(home.nested("drill").root)}
    command = [*PYTEST, "-o", "testpaths=tests/drill", "-m", "drill", *arguments]
    return run_in_foreground(command, ambient(caller) | passed_on | drill | browser)


def environment(cloud: Cloud, caller: Mapping[str, str]) -> dict[str, str]:
    """What a test process knows: all of the product's variables, the database's superuser, AWS' root, and where mail, logs and repositories are."""
    passed_on = {name: value for name, value in caller.items() if name.startswith("PYTEST_")}
    return (
        cloud.environment("manage")
        | passed_on
        | {
            "ENVFORGE_TEST_ADMIN_DATABASE_URL": cloud.postgres.admin_dsn,
            "ENVFORGE_TEST_MAIL_URL": cloud.mail_url,
            "ENVFORGE_TEST_GIT_URL": cloud.git_url,
            "ENVFORGE_TEST_GIT_STATE": str(cloud.home.directory("git")),
            "ENVFORGE_TEST_AWS_ROOT_KEY_FILE": str(cloud.aws_root_key_file),
            "ENVFORGE_TEST_LOGS": str(cloud.home.logs),
            "ENVFORGE_TEST_TURNS": str(cloud.home.directory("turns")),
        }
    )
