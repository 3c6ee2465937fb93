"""`python -m local_cloud.vms --aws-url URL --state DIR ...`: the local cloud's VM simulator."""

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
from pathlib import Path

from local_cloud.aws.control_client import ControlClient
from local_cloud.aws.identities import load_or_create_root_key
from local_cloud.vms.shapes import Shapes, possible_kind
from local_cloud.vms.simulator import Simulator
from local_cloud.vms.volumes import Volumes


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m local_cloud.vms",
        description="The local cloud's VM simulator: a VM for every running instance.",
    )
    parser.add_argument("--aws-url", required=True, help="the local cloud's AWS endpoint")
    parser.add_argument(
        "--root-key-file", type=Path, required=True, metavar="F", help="the account's root key"
    )
    parser.add_argument("--region", required=True, help="a region, for signatures")
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="where the VMs' disks are kept"
    )
    parser.add_argument(
        "--files", type=Path, required=True, metavar="DIR", help="the shared file system of all VMs"
    )
    parser.add_argument(
        "--volumes", type=Path, required=True, metavar="DIR", help="where volumes for data are kept"
    )
    parser.add_argument("--hide", type=Path, required=True, metavar="DIR", help="what no VM may see")
    parser.add_argument(
        "--stop-grace-s", type=float, default=1.0, metavar="S", help="from power button to power cut (1)"
    )
    parser.add_argument("--daemon", default="envforge_daemon", metavar="MODULE", help="the program on a VM")
    parser.add_argument(
        "--plain-git-host",
        dest="plain_git_hosts",
        action="append",
        default=[],
        metavar="NAME:PORT",
        help="a Git host of this machine from which VMs may clone over http",
    )
    parser.add_argument("--only", type=Path, metavar="F", help="a JSON list of instances or tag values (all)")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("local_cloud").setLevel(logging.INFO)
    for directory in (arguments.state, arguments.files, arguments.volumes):
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    lock = os.open(arguments.state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another VM simulator uses {arguments.state}; stop it first.", file=sys.stderr)
        return 1
    client = ControlClient(
        arguments.aws_url, load_or_create_root_key(arguments.root_key_file), arguments.region
    )
    shapes = Shapes(
        aws_url=arguments.aws_url,
        files=arguments.files.resolve(),
        hidden=arguments.hide.resolve(),
        kind=possible_kind(),
        volumes=Volumes(arguments.volumes.resolve()),
        daemon=arguments.daemon,
        plain_git_hosts=tuple(arguments.plain_git_hosts),
    )
    simulator = Simulator(
        client,
        arguments.state.resolve(),
        shapes,
        stop_grace_s=arguments.stop_grace_s,
        only=arguments.only,
    )
    asyncio.run(_run(simulator))
    return 0


async def _run(simulator: Simulator) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await simulator.run(stopping)


if __name__ == "__main__":
    sys.exit(main())
