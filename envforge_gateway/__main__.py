"""`python -m envforge_gateway [--process N]`, configured by the environment (docs/gateway.md)."""

import argparse
import asyncio
import os
import signal
import sys

from envforge_gateway import VERSION
from envforge_gateway.config import Config, load
from envforge_gateway.errors import GatewayError
from envforge_gateway.processes import Processes
from envforge_gateway.program import Program

# EX_SOFTWARE and EX_CONFIG of sysexits.h; after the latter nobody starts it again.
BROKEN, CANNOT_BEGIN = 70, 78


def main(arguments: list[str]) -> int:
    """Run until SIGTERM or SIGINT; the exit status says whether it could begin."""
    parser = argparse.ArgumentParser(prog="envforge_gateway", description="The dev gateway of EnvForge.")
    parser.add_argument("--process", type=int, metavar="N", help="run this one process alone")
    parser.add_argument("--check", action="store_true", help="read the settings, and end")
    parser.add_argument("--version", action="version", version=VERSION)
    asked = parser.parse_args(arguments)
    try:
        config = load()
        if asked.check:
            return 0
        number = config.processes or os.cpu_count() or 1
        if asked.process is None and number > 1:
            return Processes(number, config.name, config.drain_s).run()
        return _one(config, asked.process or 0)
    except (GatewayError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_BEGIN


def _one(config: Config, number: int) -> int:
    import uvloop  # noqa: PLC0415 - not needed to say what is wrong with the settings

    async def run() -> None:
        program = Program(config, number=number)
        for one in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(one, program.ending.set)
        await program.run()

    try:
        uvloop.run(run())
    except GatewayError as error:
        sys.stderr.write(f"{error}\n")
        return BROKEN
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
