from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie

from django_ory_logout.sessions import index

from . import provider

#: Allow only the site's own script files. The styles are in the pages.
CONTENT_SECURITY_POLICY = "default-src 'self'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


def home(request: HttpRequest) -> HttpResponse:
    """A public page: it shows who is signed in, and since when."""
    context = {
        "login_session": index.current(request),
        "provider_url": provider.url(),
        "by_kratos_alone": provider.is_kratos_alone(),
    }
    return render(request, "home.html", context)


@login_required
def private(request: HttpRequest) -> HttpResponse:
    return render(request, "private.html", {"login_session": index.current(request)})


@never_cache
@ensure_csrf_cookie
def spa(request: HttpRequest) -> HttpResponse:
    """A public page: its script asks the site who is signed in."""
    response = render(request, "spa.html", {"csrf_cookie": settings.CSRF_COOKIE_NAME})
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


@never_cache
def profile(request: HttpRequest) -> HttpResponse:
    """An example of the site's own JSON API, for scripts and native clients."""
    user: Any = request.user
    if not user.is_authenticated:
        return JsonResponse({"error": "nobody is signed in"}, status=HTTPStatus.UNAUTHORIZED)
    return JsonResponse({"name": user.get_full_name() or user.email or user.get_username()})
