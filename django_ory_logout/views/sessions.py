"""``whoami`` returns the signed-in user as JSON. ``sessions`` is a page that lists and ends the user's sessions."""

import logging
from http import HTTPStatus
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from .. import conf
from ..exceptions import KratosError, OryLogoutError, SecondFactorRequired, TemporaryError
from ..kratos import sessions as kratos_sessions
from ..kratos.request_user import state_of
from ..models import EndReason, LoginSession, LoginSessionQuerySet
from ..sessions import ending, index
from ..sessions.index import INDEX_KEY
from ..sessions.stored_login import StoredLogin
from .csrf import csrf_or
from .decorators import private, public
from .errors import json_error
from .kratos_login import second_factor_url

logger = logging.getLogger("django_ory_logout")


@public
@require_safe
def whoami(request: HttpRequest) -> JsonResponse:
    """200 with the user and the provider; 401 if nobody is signed in; 403 if Kratos asks for a second factor."""
    if not request.user.is_authenticated:
        return _not_authenticated(request, state_of(request).refusal)
    login = StoredLogin.read(request.session)
    names = ("provider", "issuer", "subject", "sid")
    return JsonResponse(
        {
            "authenticated": True,
            "username": request.user.get_username(),
            **{name: getattr(login, name, None) for name in names},
        }
    )


def _not_authenticated(request: HttpRequest, refusal: OryLogoutError | None) -> JsonResponse:
    if not isinstance(refusal, SecondFactorRequired):
        return JsonResponse({"authenticated": False}, status=HTTPStatus.UNAUTHORIZED)
    url = second_factor_url(request)
    return json_error(refusal.code, HTTPStatus.FORBIDDEN, authenticated=False, redirect_browser_to=url)


def _show_again(request: HttpRequest) -> HttpResponse:
    """The page with a new CSRF token, after a POST with an old one. Nothing ended."""
    response = _session_list(request, *_login_sessions(request))
    response.status_code = HTTPStatus.FORBIDDEN
    return response


@private
@login_required
@csrf_or(_show_again)
@require_http_methods(["GET", "HEAD", "POST"])
def sessions(request: HttpRequest) -> HttpResponse:
    """The user's login sessions. ``POST`` ends some: its ``end`` is the id of a session, or ``others``."""
    rows, current = _login_sessions(request)
    others = kratos_sessions.exclude_current(request, rows.exclude(pk=current) if current else rows)
    if request.method != "POST":
        return _session_list(request, rows, current)
    end = request.POST.get("end", "")
    try:
        if end == "others":
            _end_others(request, others)
        else:
            _end_one(request, others, _uuid(end))
    except TemporaryError as error:
        return _session_list(request, rows, current, error)
    except KratosError as error:
        logger.info("not ended at Kratos: %s", error)
    return HttpResponseRedirect(reverse("ory_logout:sessions"))


def _login_sessions(request: HttpRequest) -> tuple[LoginSessionQuerySet, str | None]:
    """The login sessions of the user, and the id of this browser's login session."""
    return index.rows().filter(user_id=str(request.user.pk)), request.session.get(INDEX_KEY, {}).get("id")


def _session_list(
    request: HttpRequest, rows: LoginSessionQuerySet, current: str | None, error: OryLogoutError | None = None
) -> HttpResponse:
    """The page with the user's sessions here, and with further sessions at Kratos."""
    active = rows.filter(ended_at=None, expires_at__gt=timezone.now())
    kratos_only, fault = [], error
    if kratos_sessions.is_signed_in(request):
        try:
            at_kratos = kratos_sessions.other_sessions(request)
            active = kratos_sessions.exclude_ended(request, active, at_kratos)
            sids = set(active.values_list("sid", flat=True))
            kratos_only = [session for session in at_kratos if session.id not in sids]
        except OryLogoutError as refused:
            fault = refused
    if fault:
        logger.warning("sessions at Kratos: %s", fault)
    context = {
        "login_sessions": _distinct(request, active, current),
        "current": current,
        "kratos_sessions": kratos_only,
        "kratos_fault": fault,
    }
    return render(request, "ory_logout/sessions.html", context, status=503 if error else None)


def _distinct(request: HttpRequest, active: LoginSessionQuerySet, current: str | None) -> list[LoginSession]:
    """This browser's row and, for each other session, the row used last. Rows can share a session at Kratos."""
    this = active.filter(pk=current) if current else active.none()
    others = kratos_sessions.exclude_current(request, active.exclude(pk__in=this)).order_by("-last_seen_at")
    rows = [*this, *others]
    by_session = {(row.issuer, row.sid) if conf.get().kratos_of(row.issuer) else row.pk: row for row in reversed(rows)}
    return sorted(by_session.values(), key=lambda row: row.last_seen_at, reverse=True)


def _end_others(request: HttpRequest, others: LoginSessionQuerySet) -> None:
    """End all rows here first, then the other sessions at Kratos."""
    ending.end_rows(others, EndReason.USER)
    if kratos_sessions.is_signed_in(request):
        kratos_sessions.end_other_sessions(request)


def _end_one(request: HttpRequest, others: LoginSessionQuerySet, session_id: UUID) -> None:
    """End one session. ``session_id`` is the id of a row here, or of a session that only Kratos knows."""
    row = others.filter(pk=session_id).first()
    sid = row.sid if row else str(session_id)
    ending.end_rows(others.filter(pk=session_id), EndReason.USER)
    if sid and kratos_sessions.is_signed_in(request) and (row is None or conf.get().kratos_of(row.issuer)):
        kratos_sessions.end_session(request, sid)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404 from error
