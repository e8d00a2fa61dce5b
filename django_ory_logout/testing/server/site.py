"""Common parts of all views."""

from collections.abc import Callable, Mapping
from functools import cache, wraps
from http import HTTPStatus
from pathlib import Path

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.errors import OAuth2Error
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.backends.django import DjangoTemplates

from ..hydra.backchannel import BackChannel
from ..hydra.end_session import LogoutRequests
from ..hydra.provider import Provider
from ..hydra.records import LoginSession
from ..uris import set_query

#: Hydra's name for its cookie when it runs with `--dev`: `Lax` and not `Secure`.
SESSION_COOKIE = "ory_hydra_session_dev"
#: Links verifiers to the browser. Hydra sets a new cookie at each request, so only the newest request can continue.
BROWSER_COOKIE = "ory_hydra_login_csrf_dev"
REMEMBER_SECONDS = 24 * 60 * 60


class ProviderSite:
    """A provider, its back-channel, its logout requests, and the faults that a test set for its paths."""

    def __init__(self, provider: Provider, backchannel: BackChannel | None = None) -> None:
        self.provider = provider
        self.backchannel = backchannel or BackChannel()
        self.logout_requests = LogoutRequests(provider)
        #: Path → status of the answer.
        self.faults: dict[str, int] = {}

    def login_session(self, request: HttpRequest) -> LoginSession | None:
        """The remembered login session of the browser."""
        sid = request.get_signed_cookie(SESSION_COOKIE, default="")
        return self.provider.login_sessions.get(sid or "")

    def set_session_cookie(self, response: HttpResponse, sid: str, seconds: int | None) -> None:
        response.set_signed_cookie(
            SESSION_COOKIE, sid, max_age=seconds or REMEMBER_SECONDS, httponly=True, samesite="Lax"
        )

    def browser(self, request: HttpRequest) -> str:
        """The id of the browser. A browser without the cookie gets a new id."""
        return request.get_signed_cookie(BROWSER_COOKIE, default="") or generate_token(32)

    def set_browser_cookie(self, response: HttpResponse, browser: str) -> None:
        response.set_signed_cookie(BROWSER_COOKIE, browser, httponly=True, samesite="Lax")

    def delete_session_cookie(self, response: HttpResponse) -> None:
        response.delete_cookie(SESSION_COOKIE, samesite="Lax")


View = Callable[[HttpRequest, ProviderSite], HttpResponse]


def page(
    request: HttpRequest,
    site: ProviderSite,
    name: str,
    context: Mapping[str, object] | None = None,
    *,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    """A page for users. It does not need Django's template settings."""
    common = {"issuer": site.provider.issuer, "clients": site.provider.clients.values()}
    return HttpResponse(rendered(f"{name}.html", {**common, **(context or {})}, request), status=status)


def rendered(template: str, context: Mapping[str, object], request: HttpRequest | None = None) -> str:
    return str(_engine().get_template(template).render(dict(context), request))


@cache
def _engine() -> DjangoTemplates:
    directory = Path(__file__).parent / "templates"
    return DjangoTemplates({"NAME": "provider", "DIRS": [directory], "APP_DIRS": False, "OPTIONS": {}})


def refusal(site: ProviderSite, error: OAuth2Error) -> HttpResponse:
    """Redirect to Hydra's error page. The client gets no error."""
    return found(site.provider.pages.error, **dict(error.get_body()))


def found(uri: str, **parameters: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(set_query(uri, **parameters) if parameters else uri)


def faulty(view: View) -> View:
    """Answer with the fault that a test set for the path, if there is one. No answer may be cached."""

    @wraps(view)
    def wrapped(request: HttpRequest, site: ProviderSite) -> HttpResponse:
        status = site.faults.get(request.path)
        response = HttpResponse(status=status) if status else view(request, site)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return wrapped
