"""The pages of a meeting-room scheduler, with a WebSocket of its own, on the standard library alone."""
