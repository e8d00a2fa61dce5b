"""Hydra's paths, and our own paths."""

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt, csrf_protect, requires_csrf_token

from ..hydra import endpoints
from . import machine, pages, questions, sign_in, sign_out, switches
from .site import ProviderSite, View, faulty

#: Requests from sites and machines. Some answers contain a form of ours.
_VIEWS: dict[str, View] = {
    **dict.fromkeys(endpoints.PATHS, machine.answer),
    "/oauth2/auth": sign_in.authorize,
    "/oauth2/sessions/logout": sign_out.end_session,
    **switches.VIEWS,
}
#: The forms that our own pages send.
_PAGES: dict[str, View] = {
    "/": pages.home,
    "/end": pages.end,
    "/error": pages.error,
    "/login": questions.login,
    "/consent": questions.consent,
    "/logout": questions.logout,
    "/signed-out": sign_out.signed_out,
}


class URLConf:
    """A ``ROOT_URLCONF`` for one provider site. A process can have several."""

    def __init__(self, site: ProviderSite) -> None:
        views = {
            **{route: csrf_exempt(requires_csrf_token(faulty(view))) for route, view in _VIEWS.items()},
            **{route: csrf_protect(faulty(view)) for route, view in _PAGES.items()},
        }
        self.urlpatterns: list[URLPattern] = [
            path(route.removeprefix("/"), view, {"site": site}, name=route) for route, view in views.items()
        ]
        self.site = site

    def handler404(self, request: HttpRequest, exception: Exception) -> HttpResponse:
        return pages.not_found(request, self.site)
