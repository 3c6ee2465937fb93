"""Prometheus metrics, for whoever holds the metrics token."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest

from envforge.errors import NotVisible

EVENTS_APPENDED = Counter(
    "envforge_audit_events_appended_total", "Audit events written, committed or not", ["kind"]
)
SIGN_INS_REFUSED = Counter("envforge_sign_ins_refused_total", "Sign-ins that did not come about", ["reason"])
HOST_REQUESTS = Counter(
    "envforge_host_requests_total", "What VMs asked and were answered", ["route", "status"]
)
HOST_POLLS = Gauge("envforge_host_polls_waiting", "VMs that wait for something to do")
DENIALS = Counter("envforge_denials_total", "Refusals of visible targets", ["action"])


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics of this process in Prometheus' text format; without the token there is nothing here."""
    given = request.headers.get("Authorization", "")
    if not settings.METRICS_TOKEN or not constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}"):
        raise NotVisible
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
