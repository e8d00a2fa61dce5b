"""Sign-in at Kratos: the way to its login page and back."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from .. import conf
from ..conf import KratosConfig
from ..exceptions import (
    InvalidMessage,
    KratosError,
    LoggedOutMeanwhile,
    SecondFactorRequired,
    SignInRefused,
    TemporaryError,
)
from ..flows.login import safe_next
from ..kratos import logout as journey
from ..kratos.request_user import state_of
from ..sessions.stored_login import StoredLogin
from .responses import error_page, signed_in_already


def login(request: HttpRequest, kratos: KratosConfig, next_url: str) -> HttpResponse:
    """Send the browser to Kratos' login page, unless it is signed in; or say what is in the way."""
    retry_url = login_url(kratos, next_url)
    refusal = state_of(request).refusal
    is_authenticated = request.user.is_authenticated
    if StoredLogin.read_if_opened_by(request.session, kratos.issuer):
        if is_authenticated:
            return _signed_in(request, next_url)
        refusal = SignInRefused("user_refused", "this user was deactivated after the sign-in")
    if isinstance(refusal, SecondFactorRequired):
        return error_page(request, refusal, retry_url=step_up_url(kratos, next_url), action=_("Continue"))
    if isinstance(refusal, LoggedOutMeanwhile):
        return _log_out_again(request, kratos, next_url)
    if refusal and not isinstance(refusal, KratosError):
        return error_page(request, refusal, retry_url=reverse("ory_logout:logout"), action=_("Log out"))
    if "returned" in request.GET:
        error = InvalidMessage("kratos_cookie_missing", "the browser came back from Kratos without a living session")
        return error_page(request, error, retry_url=retry_url)
    return HttpResponseRedirect(at_kratos(kratos, next_url))


def _signed_in(request: HttpRequest, next_url: str) -> HttpResponse:
    """Go on to ``next_url``; but if no sign-in was missing, a page that sent the browser here would do so again."""
    if "returned" not in request.GET and not state_of(request).has_signed_in:
        return signed_in_already(request, next_url)
    return HttpResponseRedirect(next_url or resolve_url(settings.LOGIN_REDIRECT_URL))


def _log_out_again(request: HttpRequest, kratos: KratosConfig, next_url: str) -> HttpResponse:
    """Kratos still has a session that was logged out here: it has to end before another can begin."""
    told = journey.pending_logout(request).tell()
    if told.failed:
        again_url = "" if "retried" in request.GET else login_url(kratos, next_url, retried="1")
        return error_page(request, not_told(), retry_url=login_url(kratos, next_url), again_url=again_url)
    return told.relay(HttpResponseRedirect(at_kratos(kratos, next_url)))


def not_told() -> TemporaryError:
    return TemporaryError("kratos_not_told", "a session that was logged out here lives on at Kratos")


def login_url(kratos: KratosConfig, next_url: str, **query: str) -> str:
    """Our login page, for that Kratos."""
    return f"{reverse('ory_logout:login')}?{urlencode({'provider': kratos.alias, 'next': next_url, **query})}"


def at_kratos(kratos: KratosConfig, next_url: str, **query: str) -> str:
    """Kratos' login page, which sends the browser back to ours, and ours to ``next_url``."""
    return_to = conf.get().site_url + login_url(kratos, next_url, returned="1")
    return f"{kratos.public_url}/self-service/login/browser?{urlencode({**query, 'return_to': return_to})}"


def step_up_url(kratos: KratosConfig, next_url: str) -> str:
    """Where Kratos asks for the second factor."""
    return at_kratos(kratos, next_url, aal="aal2")


def second_factor_url(request: HttpRequest) -> str:
    """The same for a program, whose page says by ``return_to`` where the browser goes then."""
    return step_up_url(next(iter(conf.get().kratos)), safe_next(request.GET.get("return_to")))
