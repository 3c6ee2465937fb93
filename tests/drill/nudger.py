"""A program that nudges a harmless task many times at once: `python -m tests.drill.nudger COUNT`."""

import sys

import django


def main(count: str) -> None:
    """Nudge COUNT times."""
    django.setup()
    from envforge.health import heartbeat
    from envforge.nudge import nudge

    for _ in range(int(count)):
        nudge(heartbeat)


if __name__ == "__main__":
    main(*sys.argv[1:])
