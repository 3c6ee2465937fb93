from django.apps import AppConfig


class DevlinksConfig(AppConfig):
    name = "devlinks"
    verbose_name = "Dev links"

    def ready(self) -> None:
        from devlinks import ending, purges, runtimes, selectors  # noqa: PLC0415 - apps are not loaded before this point
        from orgs.access import on_access_narrowed  # noqa: PLC0415
        from orgs.endings import on_sign_in_ended  # noqa: PLC0415
        from orgs.member_parts import tell_on_member  # noqa: PLC0415
        from orgs.offboarding import on_offboarding  # noqa: PLC0415
        from workspaces import removals  # noqa: PLC0415
        from workspaces.page_parts import Part, offer_part, tell_links  # noqa: PLC0415
        from workspaces.routes import before_routes_go, on_route_change  # noqa: PLC0415

        on_offboarding("dev_links", count=ending.count_links, close=ending.close_links)
        on_offboarding("dev_sessions", count=ending.count_sessions, close=ending.close_sessions)
        on_sign_in_ended(ending.sign_in_ended)
        on_access_narrowed(ending.access_narrowed)
        on_route_change(runtimes.route_changed)
        before_routes_go("devlinks", purges.routes_are_gone)
        removals.on_let_go(ending.workspace_let_go)
        removals.remove_with("dev links", ending.remove_of_workspace)
        offer_part(Part("dev_links", "main", 20, "devlinks/_links.html", selectors.on_page))
        tell_links(selectors.links_now)
        tell_on_member("dev links", selectors.on_member)
