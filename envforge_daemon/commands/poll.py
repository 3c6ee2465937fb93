"""Asking for commands: one long poll after the other."""

import logging

from envforge_daemon.backoff import Backoff
from envforge_daemon.commands.desk import Desk
from envforge_daemon.control_plane import ControlPlane, read
from envforge_daemon.errors import Refused, Unreachable
from envforge_protocol.host.commands import MAX_WAIT_S, Commands

log = logging.getLogger("envforge_daemon")

# How much longer than the poll itself its answer may take.
GRACE_S = 10.0


async def poll(control_plane: ControlPlane, desk: Desk) -> None:
    """Until cancelled; a control plane that is away or refuses is asked again, ever more slowly."""
    backoff = Backoff()
    quiet = False
    while True:
        try:
            joined = await control_plane.join()
            wait_s = min(joined.poll_for_s, MAX_WAIT_S)
            answer = await control_plane.ask("GET", f"commands?wait_s={wait_s}", timeout_s=wait_s + GRACE_S)
        except (Unreachable, Refused) as error:
            if not quiet:
                log.warning("no commands can be asked for; what runs goes on. %s", error)
            quiet = True
            await backoff.wait(at_least_s=5.0 if isinstance(error, Refused) else 0.0)
            continue
        backoff.succeeded()
        if quiet:
            log.info("commands are asked for again")
        quiet = False
        if answer.status == 204:
            continue
        try:
            leased = read(answer, Commands).commands
        except Unreachable as error:
            log.error(  # noqa: TRY400 - its sentence says it all
                "what was leased cannot be read: %s", error
            )
            await backoff.wait(at_least_s=1.0)
            continue
        for one in leased:
            desk.take(one)
