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
GATEWAY_REQUESTS = Counter(
    "envforge_gateway_requests_total", "What gateways asked and were answered", ["route", "status"]
)
GATEWAY_STREAMS = Gauge("envforge_gateway_streams", "Gateways that are told what to forget")
LINK_DENIALS = Counter("envforge_link_denials_total", "What was refused to visitors with links", ["reason"])
DENIALS = Counter("envforge_denials_total", "Refusals of visible targets", ["action"])


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics of this process in Prometheus' text format; without the token there is nothing here."""
    given = request.headers.get("Authorization", "")
    if not settings.METRICS_TOKEN or not constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}"):
        raise NotVisible
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
