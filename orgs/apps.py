from django.apps import AppConfig


class OrgsConfig(AppConfig):
    name = "orgs"
    verbose_name = "Organizations"

    def ready(self) -> None:
        from envforge.notify import link_source  # noqa: PLC0415 - apps are not loaded before this point
        from orgs import sessions  # noqa: PLC0415
        from orgs.links import invitation_link  # noqa: PLC0415
        from orgs.offboarding import close_tokens, on_offboarding  # noqa: PLC0415

        link_source("invitation", invitation_link)
        on_offboarding("sessions", sessions.close_sessions)
        on_offboarding("tokens", close_tokens)
