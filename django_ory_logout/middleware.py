"""``LoginSessionMiddleware``, directly after ``SessionMiddleware``; ``KratosMiddleware``, after authentication."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, resolve
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.deprecation import MiddlewareMixin
from django.utils.html import escape
from django.views.decorators.debug import sensitive_variables

from . import conf
from .conf import KratosConfig
from .exceptions import LogoutUnconfirmed, SetupError, TemporaryError
from .kratos import error_reports, login, request_user, token_sessions, whoami
from .ory.kratos import Credential
from .sessions.store import LoginSessionStore
from .views import unconfirmed
from .views.decorators import answers_faults, asks_kratos, database_faults, read_user
from .views.responses import error_json, error_page

logger = logging.getLogger("django_ory_logout")

#: What stands on Django's page for a ``NoReverseMatch`` where the namespace of our URLs is not there.
_NO_URLS = b"ory_logout&#x27; is not a registered namespace"


class LoginSessionMiddleware:
    """Puts a session store that asks the index in place of ``request.session``. Touches neither store nor database."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            self.process_view = self._aprocess_view  # type: ignore[method-assign,assignment]

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self.__acall__(request)
        is_confirmed = unconfirmed.retry(request)
        session = self._enter(request)
        try:
            response = self.get_response(request)
        except Exception:
            # Django's own page for a fault can need the session, too.
            response = _own_answer(request) if session.has_failed else None
            if response is None:
                raise
        return self._leave(request, response, session, is_confirmed)

    async def __acall__(self, request: HttpRequest) -> Any:
        is_confirmed = await sync_to_async(unconfirmed.retry)(request) if unconfirmed.is_pending(request) else False
        session = self._enter(request)
        response = await self.get_response(request)
        if is_confirmed or session.has_failed or _is_detached(request) or _set_up_wrongly(request, response):
            return await sync_to_async(self._leave)(request, response, session, is_confirmed)
        return response

    def process_view(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        """Keep a fault from middleware that asks who is signed in, as Django's ``LoginRequiredMiddleware`` does."""
        return read_user(request, view)

    async def _aprocess_view(self, request: HttpRequest, view: Any, *_args: Any) -> HttpResponse | None:
        return await sync_to_async(read_user)(request, view) if answers_faults(view) else None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a logout that no view, ours or the site's, could confirm."""
        return unconfirmed.page(request, exception) if isinstance(exception, LogoutUnconfirmed) else None

    def _enter(self, request: HttpRequest) -> LoginSessionStore:
        error_reports.hide_cookies(request, *(one.cookie_name for one in conf.get().kratos))
        session = LoginSessionStore.install_on(getattr(request, "session", None))
        request.session = session
        return session

    def _leave(
        self, request: Any, response: HttpResponse, session: LoginSessionStore, is_confirmed: bool
    ) -> HttpResponse:
        if session.has_failed and response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            response = _own_answer(request) or response
        if _is_detached(request):
            if not isinstance(request.session, LoginSessionStore):
                request.session = session.transfer_to(request.session)
            try:
                request.session.reattach_or_end()
            except LogoutUnconfirmed as refused:
                response = unconfirmed.page(request, refused)
        error = _set_up_wrongly(request, response)
        if error:
            flow = "sign-in" if error.code == "login_url_unknown" else request.path
            response = error_page(request, error, flow=flow)
        if is_confirmed:
            unconfirmed.delete_cookie(response)
        return response


def _own_answer(request: Any) -> HttpResponse | None:
    """The answer of a view of ours that ``request`` did not reach: middleware read the session, which failed."""
    if request.resolver_match is not None:
        return None
    try:
        match = resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return None
    if not answers_faults(match.func):
        return None
    request.resolver_match = match
    try:
        return read_user(request, match.func) or match.func(request, *match.args, **match.kwargs)
    except LogoutUnconfirmed as error:
        return unconfirmed.page(request, error)


def _set_up_wrongly(request: HttpRequest, response: HttpResponse) -> SetupError | None:
    """What the site forgot, where ``response`` is Django's own page for it under ``DEBUG``."""
    if not settings.DEBUG:
        return None
    # A lazy one would be resolved by the comparison, which may raise.
    is_login = isinstance(settings.LOGIN_URL, str) and request.path == settings.LOGIN_URL
    if response.status_code == HTTPStatus.NOT_FOUND and is_login:
        written = f"there is no page at LOGIN_URL, which is {settings.LOGIN_URL!r}"
        return SetupError("login_url_unknown", f'{written}. Write: LOGIN_URL = "ory_logout:login"')
    if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR and _NO_URLS in getattr(response, "content", b""):
        return SetupError("urls_missing", conf.URLS_MISSING)
    if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR and _fails_at_login_url(response):
        written = f"LOGIN_URL is {conf.named(settings.LOGIN_URL)}, which names no page"
        return SetupError("login_url_unknown", f'{written}. Write: LOGIN_URL = "ory_logout:login"')
    return None


def _fails_at_login_url(response: HttpResponse) -> bool:
    """Whether ``response`` is Django's page for the fault that ``LOGIN_URL`` causes."""
    try:
        resolve_url(settings.LOGIN_URL)
    except (NoReverseMatch, TypeError) as error:
        page = getattr(response, "content", b"")
        return b"resolve_url" in page and escape(str(error)).encode() in page
    return False


def _is_detached(request: HttpRequest) -> bool:
    """Whether the session was emptied, or replaced by one that does not ask the index."""
    return not isinstance(request.session, LoginSessionStore) or request.session.is_detached


class KratosMiddleware(MiddlewareMixin):
    """Signs in whom Kratos' cookie or an ``X-Session-Token`` stands for, and asks for neither where there is none.

    What cannot be decided now is answered with 503. ``request.kratos`` is a :class:`~.request_user.KratosState`: its
    ``refusal`` says why somebody with a credential is not signed in by it.
    """

    @sensitive_variables()
    def process_request(self, request: Any) -> HttpResponse | None:
        request.kratos = request_user.KratosState()
        kratos = login.default_kratos()
        if kratos is None:
            return None
        if not _asks_kratos(request):
            return None
        credential = whoami.credential_of(request, kratos)
        if credential is None:
            login.end_session_without_credential(request, kratos)
            return None
        if credential.is_token:
            return self._enter_by_token(request, kratos, credential)
        return _entered(request, kratos, credential)

    @sensitive_variables()
    def process_response(self, request: Any, response: HttpResponse) -> HttpResponse:
        by_token = request_user.state_of(request).token_session
        if by_token is None:
            return response
        if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            token_sessions.save(request.session, by_token.kratos, by_token.credential)
        request.session = by_token.cookie_session
        request.META.pop("CSRF_COOKIE_NEEDS_UPDATE", None)
        patch_vary_headers(response, ["X-Session-Token"])
        return response

    @sensitive_variables()
    def _enter_by_token(self, request: Any, kratos: KratosConfig, credential: Credential) -> HttpResponse | None:
        """The session of a token takes the place of a cookie's until the response, which sets no cookie."""
        try:
            with database_faults():
                request.kratos.token_session = token_sessions.load(request, kratos, credential)
        except TemporaryError as error:
            return _temporary_error(request, error)
        response = _entered(request, kratos, credential)
        if response is None and request.kratos.refusal is None:
            # Who can send this header is no page of somebody else's, and needs no cookie.
            request._dont_enforce_csrf_checks = True
        return response


@sensitive_variables()
def _entered(request: Any, kratos: KratosConfig, credential: Credential) -> HttpResponse | None:
    try:
        with database_faults():
            request.kratos.refusal = login.sign_in(request, kratos, credential)
    except TemporaryError as error:
        return _temporary_error(request, error)
    return None


def _asks_kratos(request: HttpRequest) -> bool:
    """Whether the view wants to know: ours that end sessions do not wait for Kratos."""
    try:
        return asks_kratos(resolve(request.path_info, getattr(request, "urlconf", None)).func)
    except Resolver404:
        return True


def _temporary_error(request: HttpRequest, error: TemporaryError) -> HttpResponse:
    request_user.set_anonymous(request)
    if "X-Session-Token" in request.headers:
        response: HttpResponse = error_json(error)
    else:
        response = error_page(request, error, retry_url=request.get_full_path())
    add_never_cache_headers(response)
    return response
