"""What reports of errors show of a request and of the code's variables (K3)."""

from django.http import HttpRequest, QueryDict
from django.views.debug import SafeExceptionReporterFilter

from envforge.secret_value import SecretValue


class AlwaysHiding(SafeExceptionReporterFilter):
    """Django's filter, in debug mode as well: what is marked as sensitive is hidden wherever it would be shown."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True


def take_value(request: HttpRequest, field: str) -> SecretValue:
    """A secret value out of a form; the request keeps none of it, so that no report of a later error finds it there.

    Browsers send the lines of a text area with CR LF; the value has the line ends that were typed.
    """
    value = SecretValue(request.POST.get(field, "").replace("\r\n", "\n"))
    kept: QueryDict = request.POST.copy()
    kept.pop(field, None)
    forget_body(request, form=kept)
    return value


def forget_body(request: HttpRequest, *, form: QueryDict | None = None) -> None:
    """Forget what the request's body was, once it has been read; `form` is what stays of it."""
    # Django keeps the bytes too, once anything has asked for them.
    for name, left in {"_body": b"", "_post": form if form is not None else QueryDict()}.items():
        setattr(request, name, left)
