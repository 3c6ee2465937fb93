"""`python3 -m scheduler_backend.smoke`: whether the running service really answers; says what does not."""

import http.client
import json
import os
import sys


def main() -> int:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "4000")), timeout=5)
    try:
        for path, key in (
            ("/health", "ok"),
            ("/api/rooms", "rooms"),
            ("/api/bookings?day=2026-05-04", "bookings"),
        ):
            connection.request("GET", path)
            answer = connection.getresponse()
            document = json.loads(answer.read())
            if answer.status != http.client.OK or key not in document:
                print(f"{path} answered {answer.status} without “{key}”.", file=sys.stderr)
                return 1
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"The backend does not answer: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    print("Rooms and bookings answer.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
