"""Try to reach what must not be reached; run as a workspace's account, where its code will run (THREATS H1).

Prints JSON: the network namespace it ran in, and the targets that answered. A refused connection counts as an answer, since
it comes from whoever lies behind the wall; the firewall says "prohibited" instead. Standard library only.
"""

import errno
import json
import os
import selectors
import socket
import sys
import time

WITHIN_S = 1.0
ANSWERS = (0, errno.ECONNREFUSED)


def answered(targets: list[tuple[str, int]]) -> list[str]:
    """Which of the targets answered to a TCP connection within the time."""
    reached = []
    waiting = selectors.DefaultSelector()
    attempts: dict[int, tuple[socket.socket, str]] = {}
    for address, port in targets:
        attempt = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        attempt.setblocking(False)
        result = attempt.connect_ex((address, port))
        if result == errno.EINPROGRESS:
            attempts[attempt.fileno()] = (attempt, f"{address} port {port}")
            waiting.register(attempt, selectors.EVENT_WRITE)
        elif result in ANSWERS:
            reached.append(f"{address} port {port}")
    until = time.monotonic() + WITHIN_S
    while attempts and (left := until - time.monotonic()) > 0:
        for key, _ in waiting.select(left):
            attempt, target = attempts.pop(key.fd)
            if attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in ANSWERS:
                reached.append(target)
            waiting.unregister(attempt)
            attempt.close()
    return reached


def main(targets: str) -> int:
    """Answer for a JSON list of addresses with ports."""
    asked = [(address, int(port)) for address, port in json.loads(targets)]
    network = os.readlink("/proc/self/ns/net")  # noqa: PTH115 - no path, the number of a namespace
    sys.stdout.write(json.dumps({"network": network, "uid": os.getuid(), "reached": answered(asked)}))
    return 0
