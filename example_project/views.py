from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from django_ory_logout import sessions


def home(request: HttpRequest) -> HttpResponse:
    """For everybody: who is signed in here, and since when."""
    return render(request, "home.html", {"login_session": sessions.current(request), "issuer": _issuer()})


@login_required
def private(request: HttpRequest) -> HttpResponse:
    return render(request, "private.html", {"login_session": sessions.current(request)})


def _issuer() -> str:
    issuer: str = settings.ORY_LOGOUT["PROVIDERS"]["default"]["ISSUER"]
    return issuer
