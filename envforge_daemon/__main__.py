"""`python -m envforge_daemon [--config FILE] [--check]`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from envforge_daemon import VERSION
from envforge_daemon.composition import PARTS
from envforge_daemon.config import DEFAULT_PATH, Config, load
from envforge_daemon.errors import DaemonError
from envforge_daemon.isolation.walls import what_holds
from envforge_daemon.program import Program

CANNOT_BEGIN = 78  # EX_CONFIG of sysexits.h


def main(arguments: list[str]) -> int:
    """Run until SIGTERM or SIGINT; the exit status says whether it could begin."""
    parser = argparse.ArgumentParser(prog="envforge_daemon", description="The program on every EnvForge VM.")
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"default: {DEFAULT_PATH}"
    )
    parser.add_argument("--check", action="store_true", help="say what this machine can hold, and end")
    parser.add_argument("--version", action="version", version=VERSION)
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    os.umask(0o022)
    try:
        config = load(asked.config)
        if asked.check:
            walls = what_holds()
            for sentence in walls.sentences() or ["Every wall can be had here."]:
                sys.stdout.write(f"{sentence}\n")
            return CANNOT_BEGIN if walls.missing and config.walls == "required" else 0
        asyncio.run(_run(config))
    except DaemonError as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_BEGIN
    return 0


async def _run(config: Config) -> None:
    if sys.version_info < (3, 12):
        # Wait for children without a thread for each; later Pythons do so by themselves.
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.get_event_loop_policy().set_child_watcher(watcher)
    program = Program(config, PARTS)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, program.ending.set)
    await program.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
