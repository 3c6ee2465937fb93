"""Every address of support's host; composes the apps' support pages as `envforge.urls` does their console."""

from django.urls import path

from hosts import admin as hosts_admin
from orgs.admin.site import site
from orgs.console import sign_in

hosts_admin.register(site)

urlpatterns = [
    path("sign-in", sign_in.page, name="sign-in"),
    path("auth/start", sign_in.start, name="auth-start"),
    path("auth/callback", sign_in.callback, name="auth-callback"),
    path("auth/sign-out", sign_in.sign_out, name="sign-out"),
    path("", site.urls),
]

handler400 = "envforge.problems.bad_request"
handler403 = "envforge.problems.permission_denied"
handler404 = "envforge.problems.not_found"
handler500 = "envforge.problems.server_error"
