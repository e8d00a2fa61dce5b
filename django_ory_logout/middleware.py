"""``LoginSessionMiddleware``, directly after ``SessionMiddleware``; ``KratosMiddleware``, after authentication."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, ResolverMatch, resolve
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.deprecation import MiddlewareMixin
from django.utils.html import escape
from django.views.decorators.debug import sensitive_variables

from . import conf
from .conf import KratosConfig
from .database import database_faults
from .exceptions import LogoutUnconfirmed, SetupError, TemporaryError
from .kratos import error_reports, login, request_user, token_sessions, whoami
from .ory.kratos import Credential
from .sessions.store import LoginSessionStore
from .views import unconfirmed
from .views.decorators import answers_faults, asks_kratos, read_user
from .views.requests import again_url, own_url
from .views.responses import error_json, error_page

#: A part of Django's error page for a ``NoReverseMatch`` if the site does not include our URLs.
_NO_URLS = b"ory_logout&#x27; is not a registered namespace"


class LoginSessionMiddleware:
    """Replaces ``request.session`` by a session store that asks the session index. It reads nothing by itself."""

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
            # Django's own error page can need the session, too.
            response = _own_response(request) if session.has_failed else None
            if response is None:
                raise
        return self._leave(request, response, session, is_confirmed)

    async def __acall__(self, request: HttpRequest) -> Any:
        is_confirmed = await sync_to_async(unconfirmed.retry)(request) if unconfirmed.is_pending(request) else False
        session = self._enter(request)
        response = await self.get_response(request)
        if is_confirmed or session.has_failed or _is_detached(request) or _setup_error(request, response):
            return await sync_to_async(self._leave)(request, response, session, is_confirmed)
        return response

    def process_view(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        """Load the user now, so that ``LoginRequiredMiddleware`` and other middleware cannot fail when they read it."""
        return read_user(request, view)

    async def _aprocess_view(self, request: HttpRequest, view: Any, *_args: Any) -> HttpResponse | None:
        return await sync_to_async(read_user)(request, view) if answers_faults(view) else None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a logout that a view could not confirm, ours or the site's."""
        return unconfirmed.page(request, exception) if isinstance(exception, LogoutUnconfirmed) else None

    def _enter(self, request: HttpRequest) -> LoginSessionStore:
        error_reports.hide_cookies(request, *(kratos.cookie_name for kratos in conf.get().kratos))
        session = LoginSessionStore.install_on(getattr(request, "session", None))
        request.session = session
        return session

    def _leave(
        self, request: Any, response: HttpResponse, session: LoginSessionStore, is_confirmed: bool
    ) -> HttpResponse:
        if session.has_failed and response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            response = _own_response(request) or response
        if _is_detached(request):
            if not isinstance(request.session, LoginSessionStore):
                request.session = session.transfer_to(request.session)
            try:
                request.session.reattach_or_end()
            except LogoutUnconfirmed as refused:
                response = unconfirmed.page(request, refused)
        error = _setup_error(request, response)
        if error:
            flow = "sign-in" if error.code == "login_url_unknown" else request.path
            response = error_page(request, error, flow=flow)
        if is_confirmed:
            unconfirmed.delete_cookie(response)
        return response


def _own_response(request: Any) -> HttpResponse | None:
    """The response of our view, if middleware failed before the view because it could not read the session."""
    match = _match(request)
    if request.resolver_match is not None or match is None or not answers_faults(match.func):
        return None
    request.resolver_match = match
    try:
        return read_user(request, match.func) or match.func(request, *match.args, **match.kwargs)
    except LogoutUnconfirmed as error:
        return unconfirmed.page(request, error)


def _match(request: HttpRequest) -> ResolverMatch | None:
    try:
        return resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return None


def _setup_error(request: HttpRequest, response: HttpResponse) -> SetupError | None:
    """Under ``DEBUG``, our error if ``response`` is Django's error page for a missing ``LOGIN_URL`` or our URLs."""
    if not settings.DEBUG:
        return None
    # Comparing a lazy LOGIN_URL would resolve it, which may raise.
    is_login = isinstance(settings.LOGIN_URL, str) and request.path == settings.LOGIN_URL
    if response.status_code == HTTPStatus.NOT_FOUND and is_login:
        missing = f"there is no page at LOGIN_URL, which is {settings.LOGIN_URL!r}"
        return SetupError("login_url_unknown", f'{missing}. Write: LOGIN_URL = "ory_logout:login"')
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
    """Whether the session was emptied, or replaced by a store that does not ask the index."""
    return not isinstance(request.session, LoginSessionStore) or request.session.is_detached


class KratosMiddleware(MiddlewareMixin):
    """Signs in the user of Kratos' session cookie or of an ``X-Session-Token``. Without both, it makes no call.

    It answers 503 if nothing can be decided now. ``request.kratos`` is a :class:`~.request_user.KratosState`; its
    ``refusal`` says why a cookie or token signs nobody in.
    """

    @sensitive_variables()
    def process_request(self, request: Any) -> HttpResponse | None:
        request.kratos = request_user.KratosState()
        kratos = login.default_kratos()
        match = _match(request)
        if kratos is None or (match and not asks_kratos(match.func)):
            return None
        credential = whoami.credential_of(request, kratos)
        if credential is None:
            return _end_session(request, kratos)
        try:
            with database_faults():
                _sign_in(request, kratos, credential)
        except TemporaryError as error:
            return _temporary_error(request, error)
        return None

    @sensitive_variables()
    def process_response(self, request: Any, response: HttpResponse) -> HttpResponse:
        token_session = request_user.state_of(request).token_session
        if token_session is None:
            return response
        if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            token_sessions.save(request.session, token_session.kratos, token_session.credential)
        request.session = token_session.cookie_session
        request.META.pop("CSRF_COOKIE_NEEDS_UPDATE", None)
        patch_vary_headers(response, ["X-Session-Token"])
        return response


def _end_session(request: Any, kratos: KratosConfig) -> HttpResponse | None:
    try:
        login.end_session_without_credential(request, kratos)
    except LogoutUnconfirmed as error:  # Django calls process_exception only for views
        return unconfirmed.page(request, error)
    return None


@sensitive_variables()
def _sign_in(request: Any, kratos: KratosConfig, credential: Credential) -> None:
    """For a token, use its session in place of the cookie's, until the response. The response sets no cookie."""
    if credential.is_token:
        request.kratos.token_session = token_sessions.load(request, kratos, credential)
    request.kratos.refusal = login.sign_in(request, kratos, credential)
    if credential.is_token and request.kratos.refusal is None:
        # A page of another site cannot send this header, so the request needs no CSRF check.
        request._dont_enforce_csrf_checks = True


def _temporary_error(request: HttpRequest, error: TemporaryError) -> HttpResponse:
    request_user.set_anonymous(request)
    if "X-Session-Token" in request.headers:
        response: HttpResponse = error_json(error)
    else:
        response = error_page(request, error, retry_url=own_url(request), again_url=again_url(request))
    add_never_cache_headers(response)
    return response
