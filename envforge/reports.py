"""What reports of errors show of a request and of the code's variables."""

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class AlwaysHiding(SafeExceptionReporterFilter):
    """Django's filter, in debug mode as well: what is marked as sensitive is hidden wherever it would be shown (K3)."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True
