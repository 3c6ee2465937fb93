"""The wake of a sleeping runtime whose VM runs, from the request over the API until it is observed awake.

The product is whole: web process, worker, PostgreSQL, Valkey, AWS endpoint, a simulated VM with the real daemon behind its walls. Beside it, in
turns within the same run, JupyterHub spawns the same process with the same command. From both, what the process itself takes to start is
subtracted, as measured by running it with nothing around it.
"""

import os
import shutil
import socket

from bench._figures import Figures, ms, p50, quick

# isort: split
from bench import _jupyterhub
from bench._waking import APP, STAGES, Waking, own_start

GOAL_MS = 150.0


def main() -> int:
    rounds = 3 if quick() else 15
    figures = Figures(f"Waking a runtime on a VM that runs, {rounds} times (median / p95)")
    python = shutil.which("python3", path=os.defpath) or "python3"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    waking = Waking()
    waking.prepare()
    with _jupyterhub.running((python, str(APP))) as hub:
        # The first of each pays for what only a first one needs.
        own, spawned = [own_start(python, port)], []
        hub.spawn()
        hub.stop()
        waking.sleep()
        waking.wake(own[0])
        own.clear()
        woken = []
        for _ in range(rounds):
            own.append(own_start(python, port))
            spawned.append(hub.spawn())
            hub.stop()
            waking.sleep()
            woken.append(waking.wake(own[-1]))
    waking.close()
    whole = [one.whole_s for one in woken]
    figures.tell("the app by itself, from exec to its first answer", ms(own))
    figures.tell("JupyterHub, from the request to up and led to", ms(spawned))
    figures.tell("a wake, from the request to awake", ms(whole))
    for index, stage in enumerate(STAGES):
        figures.tell(f"  {stage}", ms([one.stages[index] for one in woken]))
    theirs, ours = p50(spawned) - p50(own), p50(whole) - p50(own)
    figures.tell("JupyterHub's own time", f"{theirs * 1000:.1f} ms")
    figures.at_most("our own time", ours * 1000, GOAL_MS, " ms")
    figures.at_most("against JupyterHub's", ours / theirs, 1.0)
    return figures.finish()


if __name__ == "__main__":
    raise SystemExit(main())
