"""Who is signed in, and where: ``whoami`` as JSON, ``sessions`` as a page that ends one or all others."""

from http import HTTPStatus
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from .. import sessions as index
from ..models import EndReason
from ..sessions import LOGIN, MARK
from .base import non_atomic, public, revoking_afterwards


@public
@require_safe
def whoami(request: HttpRequest) -> JsonResponse:
    """200 with who is signed in and by which provider; 401 when nobody is."""
    if not request.user.is_authenticated:
        return JsonResponse({"authenticated": False}, status=HTTPStatus.UNAUTHORIZED)
    login = request.session.get(LOGIN, {})
    names = ("provider", "issuer", "subject", "sid")
    return JsonResponse(
        {"authenticated": True, "username": request.user.get_username(), **{name: login.get(name) for name in names}}
    )


@non_atomic
@revoking_afterwards
@never_cache
@login_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def sessions(request: HttpRequest) -> HttpResponse:
    """A person's login sessions. ``POST``: ``end`` is the id of one to end, or ``others``."""
    current = request.session.get(MARK, {}).get("id")
    mine = index.rows().filter(user_id=str(request.user.pk), ended_at=None, expires_at__gt=timezone.now())
    if request.method != "POST":
        context = {"login_sessions": mine.order_by("-last_seen_at"), "current": current}
        return render(request, "ory_logout/sessions.html", context)
    chosen = request.POST.get("end", "")
    ending = mine.exclude(pk=current) if chosen == "others" else mine.filter(pk=_uuid(chosen)).exclude(pk=current)
    for row_id in ending.values_list("pk", flat=True):
        index.end_row(str(row_id), EndReason.USER)
    return HttpResponseRedirect(reverse("ory_logout:sessions"))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404 from error
