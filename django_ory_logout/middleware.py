"""``LoginSessionMiddleware``, directly after ``SessionMiddleware``; ``KratosMiddleware``, after authentication."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import Resolver404, resolve
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.debug import sensitive_variables

from . import conf
from .conf import KratosConfig
from .exceptions import Undecided
from .kratos import carried, people, reports, sign_in, whoami
from .ory.kratos import Credential
from .stores import indexed
from .views.base import asks_kratos, database_faults, error_page, wants_json

logger = logging.getLogger("django_ory_logout")


class LoginSessionMiddleware:
    """Puts a session store that asks the index in place of ``request.session``. Touches neither store nor database."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        reports.leave_out(request, *(one.cookie_name for one in conf.get().kratos))
        session = request.session
        request.session = indexed(type(session))(session.session_key)
        return self.get_response(request)


class KratosMiddleware(MiddlewareMixin):
    """Signs in whom Kratos' cookie or an ``X-Session-Token`` stands for, and asks for neither where there is none.

    What cannot be decided now is answered with 503. ``request.kratos_refusal`` says why somebody with a credential is
    not signed in by it (:class:`~.exceptions.OryLogoutError`), or is ``None``.
    """

    @sensitive_variables()
    def process_request(self, request: Any) -> HttpResponse | None:
        request.kratos_refusal = None
        kratos = sign_in.configured()
        if kratos is None:
            return None
        if not _asks_kratos(request):
            return None
        credential = whoami.credential_of(request, kratos)
        if credential is None:
            sign_in.leave(request, kratos)
            return None
        if credential.is_token:
            return self._enter_by_token(request, kratos, credential)
        return _entered(request, kratos, credential)

    @sensitive_variables()
    def process_response(self, request: Any, response: HttpResponse) -> HttpResponse:
        held = getattr(request, "_ory_kratos_carried", None)
        if held is None:
            return response
        cookies, kratos, credential = held
        if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            carried.save(request.session, kratos, credential)
        request.session = cookies
        request.META.pop("CSRF_COOKIE_NEEDS_UPDATE", None)
        patch_vary_headers(response, ["X-Session-Token"])
        return response

    @sensitive_variables()
    def _enter_by_token(self, request: Any, kratos: KratosConfig, credential: Credential) -> HttpResponse | None:
        """The session of a token takes the place of a cookie's until the response, which sets no cookie."""
        try:
            with database_faults():
                request._ory_kratos_carried = carried.load(request, kratos, credential), kratos, credential
        except Undecided as error:
            return _undecided(request, error)
        response = _entered(request, kratos, credential)
        if response is None and request.kratos_refusal is None:
            # Who can send this header is no page of somebody else's, and needs no cookie.
            request._dont_enforce_csrf_checks = True
        return response


@sensitive_variables()
def _entered(request: Any, kratos: KratosConfig, credential: Credential) -> HttpResponse | None:
    try:
        with database_faults():
            request.kratos_refusal = sign_in.enter(request, kratos, credential)
    except Undecided as error:
        return _undecided(request, error)
    return None


def _asks_kratos(request: HttpRequest) -> bool:
    """Whether the view wants to know: ours that end sessions do not wait for Kratos."""
    try:
        return asks_kratos(resolve(request.path_info, getattr(request, "urlconf", None)).func)
    except Resolver404:
        return True


def _undecided(request: HttpRequest, error: Undecided) -> HttpResponse:
    people.nobody(request)
    if wants_json(request) or "X-Session-Token" in request.headers:
        logger.warning("sign-in failed: %s", error)
        response: HttpResponse = JsonResponse({"error": error.code}, status=HTTPStatus.SERVICE_UNAVAILABLE)
        response["Retry-After"] = "5"
    else:
        response = error_page(request, error, retry_url=request.get_full_path())
    add_never_cache_headers(response)
    return response
