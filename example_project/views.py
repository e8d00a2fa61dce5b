from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from django_ory_logout.models import LoginSession
from django_ory_logout.sessions import MARK


def home(request: HttpRequest) -> HttpResponse:
    """For everybody: who is signed in here, and since when."""
    return render(request, "home.html", {"login_session": _login_session(request), "issuer": _issuer()})


@login_required
def private(request: HttpRequest) -> HttpResponse:
    return render(request, "private.html", {"login_session": _login_session(request)})


def _login_session(request: HttpRequest) -> LoginSession | None:
    """The login session of this browser; None for somebody who signed in with a password, as in the admin."""
    mark = request.session.get(MARK)
    return LoginSession.objects.filter(pk=mark["id"]).first() if mark else None


def _issuer() -> str:
    issuer: str = settings.ORY_LOGOUT["PROVIDERS"]["default"]["ISSUER"]
    return issuer
