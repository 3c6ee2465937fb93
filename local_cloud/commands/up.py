"""./dev up: the whole product on this machine until Ctrl-C."""

import json
import os
import time
from collections.abc import Mapping, Sequence

from local_cloud.cloud import Cloud, exclusive, plan
from local_cloud.commands.packages import prepare_machine
from local_cloud.commands.vm import privileges
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import Home, read_document
from local_cloud.interruption import Interruption
from local_cloud.issuer.cast import CAST
from local_cloud.supervisor import Supervisor
from local_cloud.whole import start_whole


def run(home: Home, caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """Start everything, say where it is, and stop everything when asked to."""
    if arguments:
        raise LocalCloudError("./dev up takes no arguments.")
    began = time.monotonic()
    with Interruption() as interruption, exclusive(home, "up") as lock:
        is_up = False
        try:
            cloud = plan(home, caller)
            for note in cloud.notes:
                console.say(note)
            lock.note(
                json.dumps(
                    {
                        "command": "up",
                        "pid": os.getpid(),
                        "address": cloud.console_url,
                        "ports": dict(cloud.ports),
                    }
                )
            )
            if "aws" not in cloud.given:
                prepare_machine(console)
            with Supervisor(home, console=console) as supervisor:
                interruption.hurry = supervisor.hurry
                cloud = start_whole(cloud, supervisor, console)
                console.say(welcome(cloud, time.monotonic() - began))
                is_up = True
                supervisor.wait()
        except KeyboardInterrupt:
            console.say("Everything is stopped. The state is kept; ./dev up continues from it.")
            return 0 if is_up else 130


def welcome(cloud: Cloud, seconds: float) -> str:
    """The last words of a start: where, as whom, what next."""
    lines = ["", f"EnvForge is up ({seconds:.1f} s).", "", f"  Console    {cloud.console_url}"]
    lines.append(f"  Support    {cloud.admin_url}   (for staff: Sam)")
    if "issuer" in cloud.given:
        lines.append(f"  Sign in    with your account at {cloud.given['issuer']['AUTH0_ISSUER']}")
    else:
        lines.append("  Sign in    as any of these, with no password:")
        lines += [f"               {person.login:<9}{person.email:<22}{person.blurb}" for person in CAST]
    if "mail" not in cloud.given:
        lines.append(f"  Mail       {cloud.mail_url}   (all that EnvForge sends; it goes no further)")
    if "aws" not in cloud.given:
        lines.append("  VMs        ./dev vm list")
        lines += [f"             {privileges()}"] if privileges() else []
    lines.append(f"  Git        {cloud.git_url}   (repositories and how to clone them: ./dev repo list)")
    lines.append(f"  Dev hosts  {cloud.dev_url}   (the gateway; links are issued on a workspace's page)")
    if cloud.share_link_file.exists():
        kept = read_document(cloud.share_link_file)
        lines.append(f"  A link     to “{kept['service']}”, for whoever has it: {kept['address']}")
    command = cloud.home.venv / "bin" / "envforge"
    return "\n".join(
        [
            *lines,
            f"  Logs       ./dev logs   (in {cloud.home.logs})",
            "",
            f"Next: open {cloud.console_url}, or in another terminal: {command} --help",
            "Ctrl-C stops everything that was started here.",
            "",
        ]
    )
