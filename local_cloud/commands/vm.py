"""./dev vm: the VMs of the running cloud, what can be done to them, and EC2's faults."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from local_cloud.cloud import Cloud, running
from local_cloud.console import Console
from local_cloud.environment import REGION
from local_cloud.errors import LocalCloudError
from local_cloud.home import Home

ORGANIZATION_TAG = "envforge:org"
BEHIND_EC2 = {
    "crash": "end all processes of a VM; EC2 does not notice",
    "freeze": "bring the daemon to a standstill",
    "thaw": "let a frozen daemon go on",
    "kill-daemon": "kill the daemon alone; the VM starts it again",
}
BY_EC2 = {
    "stop": "stop the instance from outside",
    "reclaim": "end the instance from outside, as a spot reclaim does",
    "vanish": "end the instance, and let EC2 forget it at once",
    "impair": "let the instance's status checks fail",
    "heal": "let the instance's status checks pass again",
}
EXAMPLES = """examples:
  ./dev vm list
  ./dev vm crash i-0123456789abcdef0
  ./dev vm faults add no_capacity --zone eu-central-1a --times 3
  ./dev vm faults add throttle --action 'Describe*' --rate 0.3
  ./dev vm faults clear
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise LocalCloudError(f"{message}\n{self.format_usage()}See ./dev vm --help.")


def run(home: Home, caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """List VMs, do something to one, or switch EC2's faults."""
    if not arguments:
        _parser().print_help()
        return 0
    chosen = _parser().parse_args(arguments)
    cloud = running(home, caller)
    if cloud is None:
        raise LocalCloudError("Nothing runs here. Start the cloud first: ./dev up")
    if "aws" in cloud.given:
        raise LocalCloudError(
            "AWS_ENDPOINT_URL names an AWS that is not the local cloud's, so there are no VMs here."
        )
    # botocore takes a while to import.
    from local_cloud.aws.control_client import ControlRefusedError, EndpointGoneError  # noqa: PLC0415
    from local_cloud.vms.tampering import NoSuchVmError  # noqa: PLC0415

    try:
        for line in _act(cloud, chosen):
            console.say(line)
    except NoSuchVmError as error:
        raise LocalCloudError(str(error)) from None
    except (ControlRefusedError, EndpointGoneError) as error:
        raise LocalCloudError(f"The AWS endpoint says no: {error}") from None
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="./dev vm",
        description="VMs of the local cloud.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="COMMAND")
    words.add_parser("list", help="instances with state, organization, address, daemon")
    for word, purpose in (BEHIND_EC2 | BY_EC2).items():
        words.add_parser(word, help=purpose).add_argument("instance", metavar="ID")
    words.add_parser("console", help="what the VM wrote to its console").add_argument(
        "instance", metavar="ID"
    )
    faults = words.add_parser("faults", help="faults of the AWS endpoint: list, add, clear")
    switches = faults.add_subparsers(dest="switch", required=True, metavar="list|add|clear")
    switches.add_parser("list", help="those that wait")
    switches.add_parser("clear", help="switch one off, or all").add_argument(
        "fault", nargs="?", metavar="FAULT"
    )
    adding = switches.add_parser("add", help="switch one on")
    adding.add_argument(
        "kind",
        help="no_capacity, throttle, lose_answer, hold_answer (--for-s), lose_request, slow_boot (--boot-s), down (--for-s)",
    )
    for name, what in (
        ("service", "such as ec2 (all)"),
        ("action", "such as RunInstances or 'Describe*' (all)"),
        ("zone", "such as eu-central-1a (all)"),
        ("instance-type", "such as t3.small (all)"),
        ("about", "a text in the request or in a tag of its instance, such as an organization's id"),
    ):
        adding.add_argument(f"--{name}", help=what)
    adding.add_argument("--times", type=int, help="how often (always)")
    for name, what in (
        ("rate", "share of the requests it meets, up to 1 (1)"),
        ("boot-s", "seconds a boot takes longer"),
        ("for-s", "seconds it lasts (until cleared)"),
    ):
        adding.add_argument(f"--{name}", type=float, help=what)
    return parser


def _act(cloud: Cloud, chosen: argparse.Namespace) -> list[str]:
    from local_cloud.aws.control_client import ControlClient  # noqa: PLC0415
    from local_cloud.aws.identities import load_or_create_root_key  # noqa: PLC0415
    from local_cloud.vms import tampering  # noqa: PLC0415

    client = ControlClient(cloud.aws_url, load_or_create_root_key(cloud.aws_root_key_file), REGION)
    state = cloud.vms_directory
    if chosen.word == "list":
        return _table(client.instances()[1] or [], state)
    if chosen.word == "faults":
        return _switch(client, chosen)
    if chosen.word == "console":
        return tampering.find(state, chosen.instance).console_end().decode(errors="replace").splitlines()
    if chosen.word in BY_EC2:
        done = client.act(chosen.word, chosen.instance)
        return [f"{done['instance']} is {done['state']}."]
    acts = {
        "crash": tampering.crash,
        "freeze": tampering.freeze,
        "thaw": tampering.thaw,
        "kill-daemon": tampering.kill_daemon,
    }
    acts[chosen.word](state, chosen.instance)
    return [f"{chosen.instance}: done."]


def _switch(client: Any, chosen: argparse.Namespace) -> list[str]:
    if chosen.switch == "clear":
        return [f"Faults switched off: {client.clear_faults(chosen.fault)}."]
    if chosen.switch == "add":
        names = ("service", "action", "zone", "instance_type", "about", "times", "rate", "boot_s", "for_s")
        conditions = {name: value for name in names if (value := getattr(chosen, name)) is not None}
        return [f"Fault {client.add_fault(chosen.kind, **conditions)} waits. ./dev vm faults clear ends it."]
    waiting = client.faults()
    if not waiting:
        return ["No fault is switched on. ./dev vm faults add --help says which there are."]
    return [
        f"{one['id']}  {one['kind']:<13}"
        + "  ".join(
            f"{name}={value}"
            for name, value in one.items()
            if name not in {"id", "kind"}
            and value not in {None, "*", ""}
            and (name, value) != ("boot_s", 0.0)
        )
        for one in waiting
    ]


def _table(listed: list[dict[str, Any]], state: Path) -> list[str]:
    from local_cloud.vms.machines import Machine  # noqa: PLC0415

    if not listed:
        return ["There are no instances yet. They come when a workspace is asked for."]
    rows = [("INSTANCE", "STATE", "ORGANIZATION", "ADDRESS", "DAEMON", "UP SINCE")]
    for one in listed:
        machine = Machine(state / one["instance_id"])
        shown = one["state"] + (" impaired" if one["impaired"] else "")
        intent = machine.intent
        daemon = (
            "crashed"
            if intent.crashed
            else str(machine.daemon_pid or "-") + (" frozen" if intent.frozen else "")
        )
        since = machine.record.since if machine.record and machine.is_on else "-"
        organization = one["tags"].get(ORGANIZATION_TAG, "-")
        rows.append((one["instance_id"], shown, organization, one["address"], daemon, since))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def privileges() -> str:
    """What a person should know about VMs here, before anything starts."""
    if sys.platform != "linux":
        return "There are none: VMs need the many loopback addresses and the /proc of Linux."
    if os.geteuid() == 0:
        return ""
    return "VMs are ordinary processes here: without root there are no namespaces, accounts or firewall between them."
