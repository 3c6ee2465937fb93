"""The addresses under `/host/v1/`, which daemons speak to (docs/host-protocol.md)."""

import asyncio
import random
import re
from typing import Any
from uuid import UUID

from envforge import metrics
from envforge.errors import NotVisible
from envforge_protocol.host.commands import MAX_WAIT_S, Commands, Leased, Progress, Result
from envforge_protocol.host.joining import JoinRequest, NonceRequest
from envforge_protocol.host.reports import OUTPUT_PART_BYTES, Heartbeat, Reports
from hosts import heartbeats, hooks, joining, leases, outputs, reports
from hosts.door import Answer, Gone, Handler, HostApplication, Refused, Request
from hosts.leases import Taken

LARGEST_OFFSET = 2**40


async def nonces(request: Request) -> Answer:
    """Something to sign, for whoever asks."""
    request.door.count_address(request.address)
    asked = await request.message(NonceRequest)
    return Answer(joining.new_nonce(asked.instance_id))


async def join(request: Request) -> Answer:
    """A token, for a VM that proves which one it is."""
    request.door.count_address(request.address)
    asked = await request.message(JoinRequest)
    return Answer(await request.door.outward(joining.join, asked, protocol=request.protocol))


async def commands(request: Request) -> Answer:
    """What the VM should do: at once where there is something, else when there is, else nothing after at most `wait_s`."""
    # Those that came together, after a restart say, do not come back together.
    wait_s = request.whole_number("wait_s", MAX_WAIT_S) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
    door, held = request.door, request.token
    until = asyncio.get_running_loop().time() + wait_s
    async with door.room.place(await door.host_of(held, request.address)) as waiting:
        while not waiting.displaced:
            taken = await door.in_database(leases.lease, held)
            leased = await _filled(request, taken)
            if leased:
                return Answer(Commands(commands=leased))
            left_s = until - asyncio.get_running_loop().time()
            if left_s <= 0:
                break
            with metrics.HOST_POLLS.track_inprogress():
                await request.unless_gone(waiting.until_woken(left_s))
    return Answer(status=204)


async def _filled(request: Request, taken: list[Taken]) -> tuple[Leased, ...]:
    """The leased commands with their credentials; given back where nobody waits for them any more."""
    if not taken:
        return ()

    async def fill(one: Taken) -> Leased | None:
        # Only what others are asked for takes a thread.
        return (
            await request.door.outward(leases.fill, one) if hooks.is_filled(one.payload) else leases.fill(one)
        )

    filled = await asyncio.gather(*map(fill, taken))
    if request.is_gone:
        for one in taken:
            await request.door.in_database(leases.give_back, one)
        raise Gone
    return tuple(one for one in filled if one is not None)


async def progress(request: Request, command_id: UUID) -> Answer:
    """The command is still being done."""
    await request.door.host_of(request.token, request.address)
    told = await request.message(Progress)
    return Answer(await request.door.in_database(leases.extend, request.token, command_id, told))


async def result(request: Request, command_id: UUID) -> Answer:
    """How a command ended."""
    await request.door.host_of(request.token, request.address)
    told = await request.message(Result)
    await request.door.in_database(leases.record, request.token, command_id, told)
    return Answer(status=204)


async def output(request: Request, command_id: UUID) -> Answer:
    """A part of a command's output."""
    await request.door.host_of(request.token, request.address)
    offset = request.whole_number("offset", LARGEST_OFFSET)
    if request.header("Content-Type") != "application/octet-stream":
        raise Refused(415, "Unsupported media type", "Output is application/octet-stream.")
    data = await request.body(OUTPUT_PART_BYTES)
    return Answer(await request.door.in_database(outputs.put, request.token, command_id, offset, data))


async def heartbeat(request: Request) -> Answer:
    """The VM is alive."""
    await request.door.host_of(request.token, request.address)
    told = await request.message(Heartbeat)
    return Answer(
        await request.door.in_database(heartbeats.beat, request.token, told, protocol=request.protocol)
    )


async def reported(request: Request) -> Answer:
    """What happened on the VM."""
    await request.door.host_of(request.token, request.address)
    told = await request.message(Reports)
    return Answer(await request.door.in_database(reports.take, request.token, told))


_ID = "(?P<command_id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
ROUTES: tuple[tuple[str, str, str, Handler], ...] = (
    ("POST", "nonces", "/host/v1/nonces", nonces),
    ("POST", "join", "/host/v1/join", join),
    ("GET", "commands", "/host/v1/commands", commands),
    ("POST", "progress", f"/host/v1/commands/{_ID}/progress", progress),
    ("POST", "result", f"/host/v1/commands/{_ID}/result", result),
    ("POST", "output", f"/host/v1/runs/{_ID}/output", output),
    ("POST", "heartbeat", "/host/v1/heartbeat", heartbeat),
    ("POST", "reports", "/host/v1/reports", reported),
)
_FORMS = [(method, name, re.compile(form), handler) for method, name, form, handler in ROUTES]


def find(method: str, path: str) -> tuple[str, Handler, dict[str, Any]]:
    """The address' name, what answers it, and the ids in it.

    Raises:
        NotVisible: there is no such address.
        Refused: it takes another method.
    """
    wrong_method = False
    for takes, name, form, handler in _FORMS:
        match = form.fullmatch(path)
        if match and takes == method:
            return name, handler, {key: UUID(value) for key, value in match.groupdict().items()}
        wrong_method = wrong_method or match is not None
    if wrong_method:
        raise Refused(405, "Method Not Allowed", "This address does not take that kind of request.", "method")
    raise NotVisible


application = HostApplication(find)
