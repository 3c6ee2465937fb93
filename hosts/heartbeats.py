"""Heartbeats: one statement each, and no event. One of an earlier start of the VM, or out of order, changes nothing."""

from django.db import connection
from django.utils import timezone

from envforge.actor import HostActor
from envforge_protocol.host.base import PROTOCOL
from envforge_protocol.host.reports import Heartbeat, HeartbeatAnswer
from hosts import hooks, tokens
from hosts.arrivals import note_ready, note_unwalled
from hosts.placed import placed
from hosts.walls import may_let_in

_BEAT = """
WITH earlier AS (
    SELECT id, sequence FROM hosts_hostvoice
    WHERE host_id = %(host)s AND generation = %(generation)s AND boot_id = %(boot)s AND sequence < %(sequence)s FOR UPDATE
), voice AS (
    UPDATE hosts_hostvoice SET sequence = %(sequence)s, heard_at = %(now)s, free_memory_mib = %(memory)s, free_disk_mib = %(disk)s
    FROM earlier WHERE hosts_hostvoice.id = earlier.id
), host AS (
    UPDATE hosts_host SET heard_at = %(now)s, missing_walls = %(missing)s FROM earlier WHERE hosts_host.id = %(host)s RETURNING joined_at
)
SELECT host.joined_at, earlier.sequence FROM host, earlier
"""


def beat(held: str, heartbeat: Heartbeat, *, protocol: int) -> HeartbeatAnswer:
    """Note that a VM is alive, and hand on what it tells of services and activity.

    Raises:
        NotRecognised: the token does not work.
    """
    now = timezone.now()
    with tokens.speaking(held) as actor:
        with connection.cursor() as cursor:
            cursor.execute(
                _BEAT,
                {
                    "host": actor.host_id,
                    "generation": actor.generation,
                    "boot": heartbeat.boot_id,
                    "sequence": heartbeat.sequence,
                    "now": now,
                    "memory": heartbeat.free_memory_mib,
                    "disk": heartbeat.free_disk_mib,
                    "missing": list(heartbeat.missing_walls),
                },
            )
            row = cursor.fetchone()
        if row is not None and row[0] is not None:
            if not may_let_in(heartbeat.missing_walls):
                note_unwalled(actor.host_id, actor.generation)
            elif row[1] == 0:
                # The first of this start: from now on the VM is counted on.
                note_ready(actor.host_id, actor.generation)
        if row is not None:
            _hand_on(actor, heartbeat)
    if row is not None and row[0] is None:
        # It was taken for stopped or gone meanwhile, and is not counted on before it joins.
        return HeartbeatAnswer(instruction="join_again", now=now)
    return HeartbeatAnswer(instruction="upgrade" if protocol < PROTOCOL else "go_on", now=now)


def _hand_on(actor: HostActor, heartbeat: Heartbeat) -> None:
    told = [one.workspace_id for one in heartbeat.services]
    told += [one.workspace_id for one in heartbeat.resources]
    told += [one.workspace_id for one in heartbeat.activity]
    if not told or not hooks.heartbeats_are_heard():
        return
    there = placed(actor, told)
    services = tuple(one for one in heartbeat.services if one.workspace_id in there)
    activity = tuple(one for one in heartbeat.activity if one.workspace_id in there)
    resources = tuple(one for one in heartbeat.resources if one.workspace_id in there)
    if services or resources or activity:
        theirs = {"services": services, "resources": resources, "activity": activity}
        hooks.beaten(actor, heartbeat.model_copy(update=theirs))
