from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path


@login_not_required
def home(request: HttpRequest) -> HttpResponse:
    """A public page that does not read the session."""
    return HttpResponse("home")


def private(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


async def private_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse((await request.auser()).get_username())


@login_not_required
def tags(request: HttpRequest) -> HttpResponse:
    """All template tags of the app."""
    text = "{% load ory_logout %}{% logout_button %}|{% logout_link %}|{% logout_url as url %}{{ url }}"
    return HttpResponse(engines["django"].from_string(text).render({}, request))


urlpatterns = [
    path("", home),
    path("private/", private),
    path("private-async/", private_async),
    path("tags/", tags),
    path("auth/", include("django_ory_logout.urls")),
    path("admin/", admin.site.urls),
]
