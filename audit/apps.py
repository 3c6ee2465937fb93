from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from audit import denials  # noqa: PLC0415 - apps are not loaded before this point
        from envforge.errors import on_denial  # noqa: PLC0415

        on_denial(denials.record)
