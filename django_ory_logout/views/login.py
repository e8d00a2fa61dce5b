"""Sign-in: ``login`` redirects to the provider, ``callback`` handles the authorization response."""

from collections.abc import Mapping
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from .. import conf
from ..database import database_faults
from ..exceptions import OryLogoutError
from ..flows import login as flow
from ..flows.login import PendingSignIn
from ..kratos.login import requested_kratos
from ..sessions.stored_login import StoredLogin
from . import cookies, kratos_login
from .decorators import public, skip_kratos
from .errors import json_error
from .requests import forget_query, is_navigation, single_values
from .responses import error_page, signed_in_already, url_after_login

#: Title and message if a signed-in browser comes with an unknown ``state``.
_SIGNED_IN = (
    gettext_lazy("You are signed in already"),
    gettext_lazy("This sign-in was not completed, and nothing has changed: you are still signed in."),
)


@csrf_exempt
@public
@require_http_methods(["GET", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """Start a sign-in.

    Parameters: ``next``, where to go afterwards, and ``provider``, an alias of ``PROVIDERS``. For a sign-in that a
    third party starts (Core 4): ``iss``, ``login_hint``, ``target_link_uri``. A signed-in user can sign in again only
    by POST.
    """
    try:
        parameters = single_values(request.POST if request.method == "POST" else request.GET)
        next_url = flow.safe_next(parameters.get("next") or parameters.get("target_link_uri"))
        kratos = requested_kratos(parameters)
        if kratos and is_navigation(request):
            return kratos_login.login(request, kratos, next_url)
        if kratos:
            return _login_required_json(request, kratos.alias)
        provider = flow.provider_of(parameters)
    except OryLogoutError as error:
        return error_page(request, error, retry_url=reverse("ory_logout:login"))
    is_retry = "retried" in parameters
    try:
        with database_faults():
            if not is_navigation(request):
                return _login_required_json(request, provider.alias)
            if not is_retry and _is_sent_back(request, parameters, provider.alias):
                return signed_in_already(request, next_url, provider.alias)
            hint = parameters.get("login_hint")
            last = cookies.last_done(request)
            pending, url = flow.begin(request, provider, next_url, hint, is_retry=is_retry, last=last)
            flow.note_other_host(request, pending)
    except OryLogoutError as error:
        return _failed(request, error, next_url, provider.alias, is_retry=is_retry)
    response = HttpResponseRedirect(url)
    cookies.set_pending(request, response, pending)
    return response


def _login_required_json(request: HttpRequest, alias: str) -> HttpResponse:
    """For a script or an image: 401 with the URL of the login page; 403 if the user is signed in and lacks a right."""
    if request.user.is_authenticated:
        return json_error("access_denied", HTTPStatus.FORBIDDEN)
    login_url = conf.get().site_url + _login_url("", alias)
    return json_error("login_required", HTTPStatus.UNAUTHORIZED, login_url=login_url)


def _is_sent_back(request: HttpRequest, parameters: Mapping[str, str], alias: str) -> bool:
    """Whether the browser may come from a page that the user has no right to open. Another sign-in would start a loop.

    Such a page sends no POST and no parameters of a third party. One sign-in at another provider is still allowed,
    because it may help.
    """
    if request.method == "POST" or not request.user.is_authenticated:
        return False
    if "next" not in parameters and {"iss", "login_hint"} & parameters.keys():
        return False
    is_named = bool({"iss", "provider"} & parameters.keys())
    login = StoredLogin.read(request.session)
    return not is_named or (login is not None and login.provider == alias)


@csrf_exempt  # the cookie of the ``state`` binds the request to this browser
@skip_kratos
@public
@sensitive_post_parameters("code", "state")
@require_http_methods(["GET", "POST"])
def callback(request: HttpRequest, alias: str = "") -> HttpResponse:
    """Handle the authorization response (Core 3.1.2.5). With several providers, each has an ``alias``."""
    pending, cookie = None, ""
    received = request.POST if request.method == "POST" else request.GET
    forget_query(request)
    try:
        parameters = single_values(received)
        state = parameters.get("state", "")
        cookie, signed = cookies.pending_of(request, state)
        pending = PendingSignIn.read(signed, state)
        with database_faults():
            flow.finish(request, pending, parameters, alias)
    except OryLogoutError as error:
        if pending:
            response = _failed(request, error, pending.next, pending.provider, is_retry=pending.is_retry)
        elif error.code == "state_unknown" and _is_signed_in_by(request, alias):
            # Mostly, the user pressed the browser's Back button after a later sign-in.
            response = error_page(request, error, retry_url=url_after_login(""), action=_("Continue"), said=_SIGNED_IN)
        else:
            response = error_page(request, error, retry_url=reverse("ory_logout:login"))
        if cookie:
            cookies.delete(response, cookie)
        return response
    response = HttpResponseRedirect(url_after_login(pending.next))
    cookies.delete(response, cookie)
    cookies.set_done(request, response, pending)
    return response


def _is_signed_in_by(request: HttpRequest, alias: str) -> bool:
    """Whether this browser is signed in by a provider whose redirect URI ends with ``alias``."""
    login = StoredLogin.read(request.session) if request.user.is_authenticated else None
    provider = conf.get().providers.get(login.provider) if login else None
    return provider is not None and provider.callback_alias == alias


def _failed(request: HttpRequest, error: OryLogoutError, next_url: str, alias: str, *, is_retry: bool) -> HttpResponse:
    """The page of ``error``. It tries again by itself once if that can help."""
    again_url = "" if is_retry else _login_url(next_url, alias, retried="1")
    return error_page(request, error, retry_url=_login_url(next_url, alias), again_url=again_url)


def _login_url(next_url: str, alias: str, **further: str) -> str:
    query = {"next": next_url, "provider": alias, **further}
    given = {name: value for name, value in query.items() if value}
    return f"{reverse('ory_logout:login')}?{urlencode(given)}"
