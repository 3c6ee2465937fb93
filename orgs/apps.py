from django.apps import AppConfig


class OrgsConfig(AppConfig):
    name = "orgs"
    verbose_name = "Organizations"

    def ready(self) -> None:
        from envforge.notify import link_source  # noqa: PLC0415 - apps are not loaded before this point
        from orgs import holdings, sessions  # noqa: PLC0415
        from orgs.links import invitation_link  # noqa: PLC0415
        from orgs.offboarding import on_offboarding  # noqa: PLC0415

        link_source("invitation", invitation_link)
        on_offboarding("sessions", count=sessions.count_sessions, close=sessions.close_sessions)
        # Before the agents: their tokens end with an event of their own.
        on_offboarding("tokens", count=holdings.count_tokens, close=holdings.close_tokens)
        on_offboarding("agents", count=holdings.count_agents, close=holdings.close_agents)
        on_offboarding("invitations", count=holdings.count_invitations, close=holdings.close_invitations)
