"""Views of the site that tests the session index."""

from django.contrib import auth
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path

from django_ory_logout.exceptions import LoggedOutMeanwhile
from django_ory_logout.flows import login
from django_ory_logout.views.requests import non_atomic


@non_atomic
def sign_in(request: HttpRequest) -> HttpResponse:
    try:
        login.finish(request, login.PendingSignIn("default", ""), {})
    except LoggedOutMeanwhile:
        return HttpResponse(status=409)
    return HttpResponse()


def public(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=200 if request.user.is_authenticated else 401)


def missing(request: HttpRequest) -> HttpResponse:
    """Read the user, although the answer does not depend on it. A transaction, if there is one, is rolled back."""
    raise Http404 if request.user.is_authenticated else Http404("for nobody")


def rotate(request: HttpRequest) -> HttpResponse:
    """Rotate the session key, as a password change does."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    auth.update_session_auth_hash(request, request.user)
    return HttpResponse()


def write(request: HttpRequest) -> HttpResponse:
    """Read early. The middleware saves late."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    request.session["note"] = "late"
    return HttpResponse()


def log_out(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    auth.logout(request)
    return HttpResponse()


async def awho(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=200 if (await request.auser()).is_authenticated else 401)


async def arotate(request: HttpRequest) -> HttpResponse:
    # aupdate_session_auth_hash() does this before it reads request.user, which Django 5.2 cannot do in async code.
    await request.session.acycle_key()
    return HttpResponse()


async def awrite(request: HttpRequest) -> HttpResponse:
    await request.session.aset("note", "by an async view")
    await request.session.asave()
    return HttpResponse()


async def alog_out(request: HttpRequest) -> HttpResponse:
    await auth.alogout(request)
    return HttpResponse()


urlpatterns = [
    path(f"{view.__name__.replace('_', '-')}/", view)
    for view in (sign_in, public, who, missing, rotate, write, log_out, awho, arotate, awrite, alog_out)
]
