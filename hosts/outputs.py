"""The masked output of commands: taken in order, each byte once, handed to whoever keeps it."""

from datetime import timedelta
from uuid import UUID

from django.db import DataError
from django.utils import timezone

from envforge.errors import NotVisible, Unavailable
from envforge_protocol.host.commands import RunCommand
from envforge_protocol.host.reports import OutputTaken
from hosts import hooks, queue, tokens
from hosts.errors import WrongOffset
from hosts.hooks import OutputPart
from hosts.models import HostCommand

# The rest of an output may come after the result.
LATE = timedelta(hours=1)


def put(held: str, command_id: UUID, offset: int, data: bytes) -> OutputTaken:
    """Keep what follows on what is kept; what is kept already is passed over.

    Raises:
        NotRecognised, NotVisible: the token does not work; the VM runs no such command, or it was over long ago.
        WrongOffset: something is missing in between.
        Unavailable: nobody is there to keep it.
    """
    with tokens.speaking(held) as actor:
        command = (
            HostCommand.objects.select_for_update()
            .filter(id=command_id, host_id=actor.host_id, generation=actor.generation, kind="run_command")
            .first()
        )
        if command is None or (command.finished_at and command.finished_at < timezone.now() - LATE):
            raise NotVisible
        if not hooks.output_is_kept():
            raise Unavailable("Nobody keeps the output of commands here.")
        if offset > command.output_bytes:
            raise WrongOffset(command.output_bytes)
        limit = _limit(command)
        fresh = data[command.output_bytes - offset :][: limit - command.output_bytes]
        if fresh:
            hooks.put_out(OutputPart(command=queue.ref(command), offset=command.output_bytes, data=fresh))
            command.output_bytes += len(fresh)
            command.save(update_fields=["output_bytes"])
        return OutputTaken(next_offset=command.output_bytes, full=command.output_bytes >= limit)


def _limit(command: HostCommand) -> int:
    payload = queue.payload_of(command)
    if not isinstance(payload, RunCommand):
        raise DataError("A run_command without its words.")
    return payload.output_limit_bytes
