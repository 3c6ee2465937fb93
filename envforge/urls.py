"""Every address of the control plane; this module alone composes the apps."""

from django.urls import path

from audit import console as audit_console
from envforge import health, metrics
from orgs import console as orgs_console

urlpatterns = [
    path("", orgs_console.home, name="home"),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("metrics", metrics.metrics, name="metrics"),
    path(".well-known/envforge-audit-keys.json", audit_console.signing_keys, name="audit-keys"),
]

handler400 = "envforge.problems.bad_request"
handler403 = "envforge.problems.permission_denied"
handler404 = "envforge.problems.not_found"
handler500 = "envforge.problems.server_error"
