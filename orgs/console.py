"""The console's first page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What EnvForge is, for whoever comes to the address."""
    return render(request, "home.html")
