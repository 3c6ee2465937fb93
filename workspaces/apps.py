from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    name = "workspaces"
    verbose_name = "Workspaces"

    def ready(self) -> None:
        from orgs.places import offer_places  # noqa: PLC0415 - apps are not loaded before this point
        from orgs.roles import Scope  # noqa: PLC0415
        from workspaces.places import Workspaces  # noqa: PLC0415

        offer_places(Scope.WORKSPACE, Workspaces())
        self._listen_to_vms()

    def _listen_to_vms(self) -> None:
        from hosts import changes, hooks  # noqa: PLC0415 - as above
        from workspaces import beats, credentials, news, received, routes  # noqa: PLC0415

        hooks.on_lease("prepare_shell", credentials.fill_shell)
        hooks.on_lease("start_runtime", credentials.fill_runtime)
        hooks.on_result("prepare_shell", received.shell_prepared)
        hooks.on_result("read_contract", received.contract_read)
        hooks.on_result("start_runtime", received.runtime_started)
        hooks.on_result("stop_runtime", received.runtime_stopped)
        hooks.on_result("remove_workspace", received.workspace_left)
        hooks.on_report("contract_changed", beats.contract_changed)
        hooks.on_report("service_ended", beats.service_ended)
        hooks.on_heartbeat(beats.note_health)
        changes.on_host_change(news.note)
        changes.before_host_goes("workspaces.routes", routes.let_go)
