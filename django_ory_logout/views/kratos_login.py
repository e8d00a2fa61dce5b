"""Sign-in at Kratos: redirects to its login page and back."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
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
from ..kratos.logout import pending_logout
from ..kratos.request_user import state_of
from ..sessions.stored_login import StoredLogin
from .responses import error_page, signed_in_already, url_after_login


def login(request: HttpRequest, kratos: KratosConfig, next_url: str) -> HttpResponse:
    """Redirect to Kratos' login page, or to ``next_url`` if the user is signed in; or show an error page."""
    retry_url = login_url(kratos, next_url)
    refusal = state_of(request).refusal
    is_authenticated = request.user.is_authenticated
    if StoredLogin.read_if_opened_by(request.session, kratos.issuer):
        if is_authenticated:
            return _signed_in(request, next_url)
        refusal = SignInRefused("user_refused", "this user was deactivated after the sign-in")
    if isinstance(refusal, SecondFactorRequired):
        second_factor = at_kratos(kratos, next_url, aal="aal2")
        return error_page(request, refusal, retry_url=second_factor, action=_("Continue"))
    if isinstance(refusal, LoggedOutMeanwhile):
        return _log_out_again(request, kratos, next_url)
    if refusal and not isinstance(refusal, KratosError):
        return error_page(request, refusal, retry_url=reverse("ory_logout:logout"), action=_("Log out"))
    if "returned" in request.GET:
        error = InvalidMessage("kratos_cookie_missing", "the browser came back from Kratos without an active session")
        return error_page(request, error, retry_url=retry_url)
    return HttpResponseRedirect(at_kratos(kratos, next_url))


def _signed_in(request: HttpRequest, next_url: str) -> HttpResponse:
    """Redirect to ``next_url`` if somebody has just signed in.

    Otherwise show a page with status 403. Perhaps the browser comes from a page that the user has no right to open.
    A redirect to that page would start a loop.
    """
    if "returned" not in request.GET and not state_of(request).has_signed_in:
        return signed_in_already(request, next_url)
    return HttpResponseRedirect(url_after_login(next_url))


def _log_out_again(request: HttpRequest, kratos: KratosConfig, next_url: str) -> HttpResponse:
    """End the session at Kratos that has already ended here, then start a new sign-in."""
    result = pending_logout(request).send()
    if result.failed:
        again_url = "" if "retried" in request.GET else login_url(kratos, next_url, retried="1")
        return error_page(request, kratos_not_told(), retry_url=login_url(kratos, next_url), again_url=again_url)
    return result.relay(HttpResponseRedirect(at_kratos(kratos, next_url)))


def kratos_not_told() -> TemporaryError:
    return TemporaryError("kratos_not_told", "a session that was logged out here is still active at Kratos")


def login_url(kratos: KratosConfig, next_url: str, **query: str) -> str:
    """The URL of our login page for ``kratos``."""
    return f"{reverse('ory_logout:login')}?{urlencode({'provider': kratos.alias, 'next': next_url, **query})}"


def at_kratos(kratos: KratosConfig, next_url: str, **query: str) -> str:
    """The URL of Kratos' login page. The browser returns to our login page, which sends it to ``next_url``."""
    return_to = conf.get().site_url + login_url(kratos, next_url, returned="1")
    return f"{kratos.public_url}/self-service/login/browser?{urlencode({**query, 'return_to': return_to})}"


def second_factor_url(request: HttpRequest) -> str:
    """The URL at which Kratos asks for the second factor. ``return_to`` of ``request`` says where to go afterwards."""
    return at_kratos(next(iter(conf.get().kratos)), safe_next(request.GET.get("return_to")), aal="aal2")
