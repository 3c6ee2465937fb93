from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "projects"
    verbose_name = "Projects"

    def ready(self) -> None:
        from orgs.places import offer_places  # noqa: PLC0415 - apps are not loaded before this point
        from orgs.roles import Scope  # noqa: PLC0415
        from projects.places import Projects, bound_secrets  # noqa: PLC0415
        from secrets_ref.bindings import tell_bindings  # noqa: PLC0415

        offer_places(Scope.PROJECT, Projects())
        tell_bindings(bound_secrets)
