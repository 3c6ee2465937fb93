"""A daemon for tests of the simulator alone: it asks its metadata service who it is, and starts two processes that will not end.

What it finds is written to `seen.json` in the state directory of its configuration.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any


def ask(url: str, method: str, header: str, value: str) -> str:
    request = urllib.request.Request(url, method=method, headers={header: value})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode())


def main() -> None:
    config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    state = Path(config["state_dir"])
    state.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    # One in a session of its own, one that nobody is the parent of any more.
    stubborn = "trap '' TERM; while :; do sleep 1; done"
    subprocess.Popen(["/bin/sh", "-c", stubborn], start_new_session=True)
    subprocess.Popen(["/bin/sh", "-c", f'(setsid /bin/sh -c "{stubborn}" &)']).wait()
    seen: dict[str, Any] = {"config": config, "environment": dict(os.environ), "marker": time.time_ns()}
    seen["hides"] = not any(Path(config["hidden"]).iterdir()) if "hidden" in config else None
    base = config["metadata_endpoint"]
    token = ask(f"{base}/latest/api/token", "PUT", "X-aws-ec2-metadata-token-ttl-seconds", "60")
    seen["instance_id"] = ask(
        f"{base}/latest/meta-data/instance-id", "GET", "X-aws-ec2-metadata-token", token
    )
    partial = state / "seen.partial"
    partial.write_text(json.dumps(seen))
    partial.replace(state / "seen.json")
    print("the stand-in is up", flush=True)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
