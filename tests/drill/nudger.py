"""A program that nudges a harmless task many times at once: `python -m tests.drill.nudger JOURNAL COUNT`.

The ids of what the broker took stand in the journal, written at the end.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import django


def main(journal: str, count: str) -> None:
    """Nudge COUNT times."""
    django.setup()
    from celery.signals import after_task_publish

    from envforge.health import heartbeat
    from envforge.nudge import nudge

    taken: list[str] = []

    def published(headers: dict[str, Any], **_: Any) -> None:
        taken.append(headers["id"])

    after_task_publish.connect(published, weak=False)
    for _ in range(int(count)):
        nudge(heartbeat)
    at = time.monotonic()
    lines = [json.dumps({"what": "published", "task": task, "at": at}) + "\n" for task in taken]
    Path(journal).write_text("".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
