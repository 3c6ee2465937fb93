"""What can be done to a VM behind EC2's back: for `./dev vm`, drills and tests.

Each writes down what is intended, and the simulator sees to it within a moment; so it holds across its restarts too. A stop
and start through EC2, or a reboot, ends all of it.
"""

import os
import signal
from pathlib import Path

from local_cloud.processes import inspect
from local_cloud.vms import traces
from local_cloud.vms.machines import Machine


class NoSuchVmError(Exception):
    """There is no VM of this id, or it does not run; the message says which."""


def find(state: Path, instance_id: str) -> Machine:
    """The VM of an instance. Raises NoSuchVmError."""
    machine = Machine(state / instance_id)
    if "/" in instance_id or machine.record is None:
        raise NoSuchVmError(f"There is no VM {instance_id}. ./dev vm list names them.")
    return machine


def crash(state: Path, instance_id: str) -> None:
    """Every process of the VM ends at once; EC2 goes on saying that the instance runs. Raises NoSuchVmError."""
    machine = _running(state, instance_id)
    machine.set_intent(crashed=True)
    machine.stop(0.0)


def freeze(state: Path, instance_id: str) -> None:
    """The daemon stands still, its connections open, and is not ended. Raises NoSuchVmError."""
    _running(state, instance_id).set_intent(frozen=True)


def thaw(state: Path, instance_id: str) -> None:
    """The daemon goes on. Raises NoSuchVmError."""
    _running(state, instance_id).set_intent(frozen=False)


def kill_daemon(state: Path, instance_id: str) -> None:
    """The daemon alone is killed; the VM's init starts it again, as systemd would. Raises NoSuchVmError."""
    machine = _running(state, instance_id)
    pid = machine.daemon_pid
    if pid is None:
        raise NoSuchVmError(f"The daemon of {instance_id} does not run at this moment.")
    os.kill(pid, signal.SIGKILL)


def hold(machine: Machine) -> None:
    """Bring the daemon to a standstill or let it go on, as intended."""
    pid = machine.daemon_pid
    process = inspect(pid) if pid is not None else None
    if process is None:
        return
    frozen = machine.intent.frozen
    if frozen and process.state != "T":
        traces.send(process, signal.SIGSTOP)
    elif not frozen and process.state == "T":
        traces.send(process, signal.SIGCONT)


def _running(state: Path, instance_id: str) -> Machine:
    machine = find(state, instance_id)
    if not machine.is_on:
        raise NoSuchVmError(f"The VM {instance_id} does not run.")
    return machine
