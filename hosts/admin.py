"""Support's fleet board: every organization's VMs by ids, states, times and counts, and what nobody owns (N3)."""

from typing import Any

from django.contrib.admin import AdminSite, display
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from envforge.templatetags.moments import moment
from hosts import walls, words
from hosts.models import Host, Orphan, Placement
from orgs.admin.lists import ReadOnlyList


class Fleet(ReadOnlyList):
    """Every VM that is not ended, those that are in trouble first."""

    address = "fleet"
    title = "Fleet"
    columns = (
        *(
            "id",
            "org_id",
            "role",
            "size",
            "wanted",
            "observed",
            "observed_at",
            "mend",
            "generation",
            "failures",
        ),
        *("trouble", "instance_id", "zone", "running_since", "heard_at", "created_at", "ended_at"),
        "missing_walls",
    )
    ordering = ("-failures", "-id")
    list_display = (
        "id",
        "org_id",
        "kind",
        "state",
        "trouble_said",
        "walls_said",
        "heard",
        "placed",
        "instance_id",
        "zone",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        there = Placement.objects.filter(host_id=OuterRef("id"), ended_at=None).order_by().values("host_id")
        rows: QuerySet[Any] = super().get_queryset(request).filter(ended_at=None)
        counted: QuerySet[Any] = rows.annotate(
            placed=Coalesce(
                Subquery(there.annotate(n=Count("id")).values("n"), output_field=IntegerField()), 0
            )
        )
        return counted

    @display(description="Kind")
    def kind(self, host: Host) -> str:
        return f"{host.size} {host.role}"

    @display(description="Wanted, observed")
    def state(self, host: Host) -> str:
        mended = f", {host.mend}" if host.mend else ""
        return (
            f"{host.wanted}, {host.observed}{mended} (generation {host.generation}, {host.failures} failed)"
        )

    @display(description="Trouble")
    def trouble_said(self, host: Host) -> str:
        return words.says(host.trouble) or "none"

    @display(description="Walls")
    def walls_said(self, host: Host) -> str:
        return walls.says(host.missing_walls) or (
            "all stand" if host.missing_walls is not None else "not told"
        )

    @display(description="Last heard")
    def heard(self, host: Host) -> str:
        return moment(host.heard_at) if host.heard_at else "never"

    @display(description="Workspaces")
    def placed(self, host: Any) -> int:
        return int(host.placed)


class Orphans(ReadOnlyList):
    """Instances that carry our tags and that no VM of an organization has."""

    address = "orphans"
    title = "Orphans"
    columns = ("instance_id", "state", "tagged_org", "tagged_host", "launched_at", "found_at")
    ordering = ("-found_at",)
    list_display = ("instance_id", "state", "tagged_org", "tagged_host", "launched", "found")

    @display(description="Launched")
    def launched(self, orphan: Orphan) -> str:
        return moment(orphan.launched_at)

    @display(description="Found")
    def found(self, orphan: Orphan) -> str:
        return moment(orphan.found_at)


def register(site: AdminSite) -> None:
    """Put the board on support's site."""
    site.register(Host, Fleet)
    site.register(Orphan, Orphans)
