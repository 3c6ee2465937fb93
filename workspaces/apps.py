from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    name = "workspaces"
    verbose_name = "Workspaces"

    def ready(self) -> None:
        from envforge.notify import link_source  # noqa: PLC0415 - apps are not loaded before this point
        from orgs.places import offer_places  # noqa: PLC0415
        from orgs.roles import Scope  # noqa: PLC0415
        from workspaces.cap_notices import SOURCE, usage_link  # noqa: PLC0415
        from workspaces.places import Workspaces  # noqa: PLC0415

        offer_places(Scope.WORKSPACE, Workspaces())
        link_source(SOURCE, usage_link)
        self._listen_to_vms()
        self._let_people_in()
        self._run_commands()
        self._offer_parts()
        self._remove_parts()

    def _remove_parts(self) -> None:
        from projects.closing import on_project_archived  # noqa: PLC0415 - as above
        from workspaces import managed, removals  # noqa: PLC0415
        from workspaces.operations.workspaces import archive_with_project  # noqa: PLC0415

        removals.remove_with("managed data", managed.remove)
        on_project_archived(archive_with_project)

    def _listen_to_vms(self) -> None:
        from hosts import changes, hooks  # noqa: PLC0415 - as above
        from workspaces import beats, credentials, declared, forge_credentials, news, received, routes  # noqa: PLC0415

        hooks.on_lease("prepare_shell", credentials.fill_shell)
        hooks.on_lease("prepare_shell", forge_credentials.fill)
        hooks.on_lease("start_runtime", credentials.fill_runtime, needed=credentials.runtime_has_secrets)
        hooks.on_result("prepare_shell", received.shell_prepared)
        hooks.on_result("prepare_shell", forge_credentials.fetched)
        hooks.on_result("read_contract", received.contract_read)
        hooks.on_result("start_runtime", received.runtime_started)
        hooks.on_result("stop_runtime", received.runtime_stopped)
        hooks.on_result("remove_workspace", received.workspace_left)
        hooks.on_report("contract_changed", beats.contract_changed)
        hooks.on_report("service_ended", beats.service_ended)
        hooks.on_heartbeat(beats.note_health)
        hooks.on_heartbeat(beats.note_resources)
        hooks.on_heartbeat(declared.note)
        changes.on_host_change(news.note)
        changes.before_host_goes("workspaces.routes", routes.let_go)

    def _let_people_in(self) -> None:
        from hosts import changes, hooks  # noqa: PLC0415 - as above
        from orgs.access import on_access_narrowed  # noqa: PLC0415
        from orgs.offboarding import on_offboarding  # noqa: PLC0415
        from workspaces import certificates, sessions  # noqa: PLC0415

        on_offboarding(
            "certificates", count=certificates.count_held, close=certificates.close_held, first=True
        )
        on_access_narrowed(certificates.access_narrowed)
        hooks.on_result("prepare_shell", certificates.repeat_on_new_vm)
        hooks.on_report("shell_connected", sessions.connected)
        hooks.on_report("shell_disconnected", sessions.disconnected)
        changes.on_host_change(sessions.host_changed)

    def _run_commands(self) -> None:
        from hosts import hooks  # noqa: PLC0415 - as above
        from workspaces import credentials, routes, runs  # noqa: PLC0415

        hooks.on_lease("run_command", credentials.fill_run)
        hooks.on_result("run_command", runs.ran)
        hooks.on_result("start_runtime", runs.setup_ran)
        hooks.on_output(runs.put_out)
        routes.on_route_change(runs.routes_changed)

    def _offer_parts(self) -> None:
        from workspaces import parts  # noqa: PLC0415 - as above
        from workspaces.page_parts import offer_part  # noqa: PLC0415

        offer_part(parts.COMMANDS)
        offer_part(parts.RESOURCES)
        offer_part(parts.SHELL)
