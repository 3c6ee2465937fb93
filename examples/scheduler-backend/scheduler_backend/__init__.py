"""The backend of a meeting-room scheduler: JSON under /api, kept in SQLite, on the standard library alone."""
