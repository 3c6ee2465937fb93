"""Response headers that Django and django-csp do not set."""

from django.http.response import HttpResponseBase

from envforge.middleware import Middleware

PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()"


class HeadersMiddleware(Middleware):
    """Closes browser features nobody uses, and keeps answers to signed-in people out of shared caches."""

    def after(self, response: HttpResponseBase) -> None:
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cache-Control", "private, no-store")
