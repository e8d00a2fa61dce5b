"""Who is signed in, and where: ``whoami`` as JSON, ``sessions`` as a page that ends one or all others."""

import logging
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from .. import conf
from ..exceptions import KratosError, OryLogoutError, SecondFactorRequired, TemporaryError
from ..kratos import sessions as my_sessions
from ..kratos.request_user import state_of
from ..models import EndReason, LoginSession, LoginSessionQuerySet
from ..sessions import ending, index
from ..sessions.index import INDEX_KEY
from ..sessions.stored_login import StoredLogin
from .csrf import csrf_or
from .decorators import always_answering, non_atomic, public, readable, revoking_afterwards
from .kratos_login import second_factor_url

logger = logging.getLogger("django_ory_logout")


@public
@require_safe
def whoami(request: HttpRequest) -> JsonResponse:
    """200 with who is signed in and by which provider; 401: nobody; 403: Kratos asks for a second factor."""
    if not request.user.is_authenticated:
        return _nobody(request, state_of(request).refusal)
    login = StoredLogin.read(request.session)
    names = ("provider", "issuer", "subject", "sid")
    return JsonResponse(
        {
            "authenticated": True,
            "username": request.user.get_username(),
            **{name: getattr(login, name, None) for name in names},
        }
    )


def _nobody(request: HttpRequest, refusal: OryLogoutError | None) -> JsonResponse:
    said: dict[str, Any] = {"authenticated": False}
    if not isinstance(refusal, SecondFactorRequired):
        return JsonResponse(said, status=HTTPStatus.UNAUTHORIZED)
    said |= {"error": refusal.code, "redirect_browser_to": second_factor_url(request)}
    return JsonResponse(said, status=HTTPStatus.FORBIDDEN)


def _shown_again(request: HttpRequest) -> HttpResponse:
    """The page with a fresh CSRF token: the form that came had an old one, and nothing ended."""
    response = _listed(request, *_mine(request))
    response.status_code = HTTPStatus.FORBIDDEN
    return response


@non_atomic
@revoking_afterwards
@never_cache
@readable
@always_answering
@login_required
@csrf_or(_shown_again)
@require_http_methods(["GET", "HEAD", "POST"])
def sessions(request: HttpRequest) -> HttpResponse:
    """A person's login sessions. ``POST``: ``end`` is the id of one to end, or ``others``."""
    mine, current = _mine(request)
    others = my_sessions.exclude_current(request, mine.exclude(pk=current) if current else mine)
    if request.method != "POST":
        return _listed(request, mine, current)
    chosen = request.POST.get("end", "")
    try:
        if chosen == "others":
            _end_others(request, others)
        else:
            _end_one(request, others, _uuid(chosen))
    except TemporaryError as error:
        return _listed(request, mine, current, error)
    except KratosError as error:
        logger.info("not ended at Kratos: %s", error)
    return HttpResponseRedirect(reverse("ory_logout:sessions"))


def _mine(request: HttpRequest) -> tuple[LoginSessionQuerySet, str | None]:
    """The login sessions of the person, and which of them is that of this browser."""
    return index.rows().filter(user_id=str(request.user.pk)), request.session.get(INDEX_KEY, {}).get("id")


def _listed(
    request: HttpRequest, mine: LoginSessionQuerySet, current: str | None, error: OryLogoutError | None = None
) -> HttpResponse:
    """The sessions here, and those that the person has at Kratos besides."""
    living = mine.filter(ended_at=None, expires_at__gt=timezone.now())
    elsewhere, fault = [], error
    if my_sessions.is_signed_in(request):
        try:
            at_kratos = my_sessions.other_sessions(request)
            living = my_sessions.exclude_ended(request, living, at_kratos)
            here = set(living.values_list("sid", flat=True))
            elsewhere = [one for one in at_kratos if one.id not in here]
        except OryLogoutError as refused:
            fault = refused
    if fault:
        logger.warning("sessions at Kratos: %s", fault)
    context = {
        "login_sessions": _one_of_each(request, living, current),
        "current": current,
        "elsewhere": elsewhere,
        "kratos_fault": fault,
    }
    return render(request, "ory_logout/sessions.html", context, status=503 if error else None)


def _one_of_each(request: HttpRequest, living: LoginSessionQuerySet, current: str | None) -> list[LoginSession]:
    """The row of this browser, and for each other session at Kratos the one that was seen last."""
    this = living.filter(pk=current) if current else living.none()
    others = my_sessions.exclude_current(request, living.exclude(pk__in=this)).order_by("-last_seen_at")
    rows = [*this, *others]
    by_session = {(row.issuer, row.sid) if conf.get().kratos_of(row.issuer) else row.pk: row for row in reversed(rows)}
    return sorted(by_session.values(), key=lambda row: row.last_seen_at, reverse=True)


def _end_others(request: HttpRequest, others: LoginSessionQuerySet) -> None:
    """Here first: all of them, whatever opened them."""
    ending.end_rows(others, EndReason.USER)
    if my_sessions.is_signed_in(request):
        my_sessions.end_other_sessions(request)


def _end_one(request: HttpRequest, others: LoginSessionQuerySet, chosen: UUID) -> None:
    """One of this site, or one that Kratos alone knows: both go by a UUID."""
    row = others.filter(pk=chosen).first()
    sid = row.sid if row else str(chosen)
    ending.end_rows(others.filter(pk=chosen), EndReason.USER)
    if sid and my_sessions.is_signed_in(request) and (row is None or conf.get().kratos_of(row.issuer)):
        my_sessions.end_session(request, sid)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404 from error
