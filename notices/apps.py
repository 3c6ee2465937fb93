from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "notices"

    def ready(self) -> None:
        from envforge.notify import send_by  # noqa: PLC0415 - apps are not loaded before this point
        from notices.outbox import queue_email  # noqa: PLC0415

        send_by(queue_email)
