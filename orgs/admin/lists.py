"""Lists over all organizations, as support's own database role reads them: ids, states, times and counts (N3)."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.admin import AdminSite, display
from django.db.models import BigIntegerField, Count, F, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin

from audit.models import ChainHead
from envforge.templatetags.moments import moment
from orgs.models import Membership, Organization, StaffGrant, SupportVisit
from orgs.support import OUTSIDE


class ReadOnlyList(ModelAdmin):  # type: ignore[misc]
    """A list and nothing else; the columns are named, since the role may read no others."""

    address: ClassVar[str]
    title: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    actions = None
    list_display_links = None
    sortable_by = ()
    show_full_result_count = False
    list_per_page = 50
    list_disable_select_all = True
    compressed_fields = True

    @property
    def name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_changelist"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.using(OUTSIDE).only(*self.columns)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        answer: HttpResponse = super().changelist_view(request, {"title": self.title})
        return answer

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """No filter from the address: each would be a question about a column."""
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Organizations(ReadOnlyList):
    """Every organization by its id."""

    address = "organizations"
    title = "Organizations"
    columns = ("id", "created_at")
    ordering = ("-id",)
    list_display = ("id", "created", "members", "events", "chain", "enter")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        people = Membership.objects.filter(org_id=OuterRef("id")).order_by().values("org_id")
        chain = ChainHead.objects.filter(org_id=OuterRef("id"))
        rows: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = rows.annotate(
            members=Coalesce(
                Subquery(people.annotate(n=Count("id")).values("n"), output_field=IntegerField()), 0
            ),
            sealed=Coalesce(Subquery(chain.values("seq"), output_field=BigIntegerField()), 0),
            unsigned=Coalesce(
                Subquery(
                    chain.annotate(n=F("seq") - F("signed_seq")).values("n"),
                    output_field=BigIntegerField(),
                ),
                0,
            ),
        )
        return counted

    @display(description="Created")
    def created(self, organization: Any) -> str:
        return moment(organization.created_at)

    @display(description="Members")
    def members(self, organization: Any) -> int:
        return int(organization.members)

    @display(description="Events")
    def events(self, organization: Any) -> int:
        return int(organization.sealed)

    @display(description="Chain")
    def chain(self, organization: Any) -> str:
        return f"{organization.unsigned} unsigned" if organization.unsigned else "signed"

    @display(description="")
    def enter(self, organization: Any) -> str:
        return format_html(
            '<a class="act" href="{}?organization={}">Enter</a>', reverse("admin:enter"), organization.id
        )


class Visits(ReadOnlyList):
    """Every visit of support's; why it was is for those inside."""

    address = "visits"
    title = "Visits"
    columns = ("id", "org_id", "entered_at", "until", "left_at")
    ordering = ("-entered_at",)
    list_display = ("org_id", "entered", "ends", "left")

    @display(description="Entered")
    def entered(self, visit: SupportVisit) -> str:
        return moment(visit.entered_at)

    @display(description="Until")
    def ends(self, visit: SupportVisit) -> str:
        return _clock(visit.until)

    @display(description="Over since")
    def left(self, visit: SupportVisit) -> str:
        over = visit.left_at or (visit.until if visit.until <= timezone.now() else None)
        return moment(over) if over else "now inside"


class Grants(ReadOnlyList):
    """Who of EnvForge's own people is support staff; they are nobody's customers, so their names stand here."""

    address = "staff"
    title = "Staff"
    ordering = ("-granted_at",)
    list_display = ("who", "state", "granted_by", "granted", "expires")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[StaffGrant]":
        return StaffGrant.objects.select_related("person").only(
            "person__name", "granted_by", "granted_at", "expires_at", "ended_at", "cause"
        )

    @display(description="Person")
    def who(self, grant: StaffGrant) -> str:
        return grant.person.name

    @display(description="State")
    def state(self, grant: StaffGrant) -> str:
        return grant.state(timezone.now())

    @display(description="Granted")
    def granted(self, grant: StaffGrant) -> str:
        return moment(grant.granted_at)

    @display(description="Expires")
    def expires(self, grant: StaffGrant) -> str:
        return _clock(grant.expires_at)


def _clock(at: datetime) -> str:
    return f"{at.day} {at:%b %Y %H:%M} UTC"


def register(site: AdminSite) -> None:
    """Put the lists on support's site."""
    site.register(Organization, Organizations)
    site.register(SupportVisit, Visits)
    site.register(StaffGrant, Grants)
