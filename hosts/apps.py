from django.apps import AppConfig


class HostsConfig(AppConfig):
    name = "hosts"
    verbose_name = "Hosts"

    def ready(self) -> None:
        from hosts import changes, hooks, volumes  # noqa: PLC0415 - models are loaded by now

        changes.on_host_change(volumes.heard)
        for kind in volumes.LETS_GO:
            hooks.on_result(kind, volumes.let_go)
