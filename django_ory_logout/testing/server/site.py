"""What all views of the web face share."""

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
#: Ties verifiers to the browser. Hydra's is renewed with each request, of which then only the latest can go on.
BROWSER_COOKIE = "ory_hydra_login_csrf_dev"
REMEMBER_SECONDS = 24 * 60 * 60


class ProviderSite:
    """A provider, its back-channel, its logout requests, and the faults that were ordered for its paths."""

    def __init__(self, provider: Provider, backchannel: BackChannel | None = None) -> None:
        self.provider = provider
        self.backchannel = backchannel or BackChannel()
        self.logout_requests = LogoutRequests(provider)
        #: Path → status to answer with instead.
        self.faults: dict[str, int] = {}

    def login_session(self, request: HttpRequest) -> LoginSession | None:
        """The remembered login session of this browser."""
        sid = request.get_signed_cookie(SESSION_COOKIE, default="")
        return self.provider.login_sessions.get(sid or "")

    def remember(self, response: HttpResponse, sid: str, seconds: int | None) -> None:
        response.set_signed_cookie(
            SESSION_COOKIE, sid, max_age=seconds or REMEMBER_SECONDS, httponly=True, samesite="Lax"
        )

    def browser(self, request: HttpRequest) -> str:
        """What this browser is known by; something new for a new one."""
        return request.get_signed_cookie(BROWSER_COOKIE, default="") or generate_token(32)

    def recognize(self, response: HttpResponse, browser: str) -> None:
        response.set_signed_cookie(BROWSER_COOKIE, browser, httponly=True, samesite="Lax")

    def forget(self, response: HttpResponse) -> None:
        response.delete_cookie(SESSION_COOKIE, samesite="Lax")


View = Callable[[HttpRequest, ProviderSite], HttpResponse]


def page(
    request: HttpRequest,
    face: ProviderSite,
    name: str,
    context: Mapping[str, object] | None = None,
    *,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    """A page for people. The templates are found whatever the settings say."""
    common = {"issuer": face.provider.issuer, "clients": face.provider.clients.values()}
    return HttpResponse(rendered(f"{name}.html", {**common, **(context or {})}, request), status=status)


def rendered(template: str, context: Mapping[str, object], request: HttpRequest | None = None) -> str:
    return str(_engine().get_template(template).render(dict(context), request))


@cache
def _engine() -> DjangoTemplates:
    directory = Path(__file__).parent / "templates"
    return DjangoTemplates({"NAME": "provider", "DIRS": [directory], "APP_DIRS": False, "OPTIONS": {}})


def refusal(face: ProviderSite, error: OAuth2Error) -> HttpResponse:
    """Hydra's error page: the client never hears of it."""
    return found(face.provider.pages.error, **dict(error.get_body()))


def found(uri: str, **parameters: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(set_query(uri, **parameters) if parameters else uri)


def faulty(view: View) -> View:
    """Answer with the fault that was ordered for the path, if any. Nothing may be cached."""

    @wraps(view)
    def wrapped(request: HttpRequest, face: ProviderSite) -> HttpResponse:
        status = face.faults.get(request.path)
        response = HttpResponse(status=status) if status else view(request, face)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return wrapped
