"""The site, with views for Kratos' tests."""

from asgiref.sync import sync_to_async
from django.contrib import auth
from django.contrib.auth.decorators import login_not_required, user_passes_test
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path

from .. import urls


@login_not_required
def log_out(request: HttpRequest) -> HttpResponse:
    """Call Django's logout, like a site without this app."""
    auth.logout(request)
    return HttpResponse()


@login_not_required
def write(request: HttpRequest) -> HttpResponse:
    """Store a count in the session."""
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(request.session["count"])


@login_not_required
def form(request: HttpRequest) -> HttpResponse:
    """A page with a form, which needs the CSRF cookie."""
    return HttpResponse(get_token(request))


@login_not_required
def fail(request: HttpRequest) -> HttpResponse:
    request.session["count"] = "never kept"
    raise RuntimeError("the view is broken")


@login_not_required
def refusal(request: HttpRequest) -> JsonResponse:
    """Return ``request.kratos.refusal``."""
    found = request.kratos.refusal  # type: ignore[attr-defined]
    return JsonResponse({"class": type(found).__name__, "code": getattr(found, "code", None)})


@user_passes_test(lambda user: user.is_staff)
def staff(request: HttpRequest) -> HttpResponse:
    return HttpResponse("staff")


@login_not_required
def log_in(request: HttpRequest) -> HttpResponse:
    """Sign in as if by a password."""
    auth.login(request, User.objects.get(username="cedar"), "django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


async def who(request: HttpRequest) -> JsonResponse:
    """Return ``request.user`` and ``request.auser()``."""
    user = await sync_to_async(lambda: str(request.user))()
    return JsonResponse({"user": user, "auser": str(await request.auser())})


urlpatterns = [
    path("staff/", staff),
    path("log-in/", log_in),
    path("who/", login_not_required(who)),
    path("refusal/", refusal),
    path("log-out/", log_out),
    path("write/", write),
    path("form/", form),
    path("fail/", fail),
    *urls.urlpatterns,
]
