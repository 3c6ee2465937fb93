"""Where Celery looks for this package's tasks."""

from envforge.health import clear_expired_sessions, heartbeat

__all__ = ["clear_expired_sessions", "heartbeat"]
