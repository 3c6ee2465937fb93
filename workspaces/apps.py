from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    name = "workspaces"
    verbose_name = "Workspaces"

    def ready(self) -> None:
        from orgs.places import offer_places  # noqa: PLC0415 - apps are not loaded before this point
        from orgs.roles import Scope  # noqa: PLC0415
        from workspaces.places import Workspaces  # noqa: PLC0415

        offer_places(Scope.WORKSPACE, Workspaces())
