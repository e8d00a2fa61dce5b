"""RP-initiated logout: ``logout`` ends the session here and sends the browser on, ``logout_callback`` takes it back."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from .. import logout as journey
from ..login import safe_next
from ..oidc.messages import EndSessionRequest
from ..sessions import LOGIN
from .base import public


@public
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def logout(request: HttpRequest) -> HttpResponse:
    """``POST`` logs out, here first. ``GET`` asks, and ends nothing. ``next``: where to go then."""
    if request.method != "POST":
        context = {
            "next": safe_next(request.GET.get("next")),
            "opened_by_provider": LOGIN in request.session,
            **_who(request),
        }
        return render(request, "ory_logout/logout.html", context)
    next_url = safe_next(request.POST.get("next"))
    signed_out = journey.sign_out(request, next_url)
    if signed_out.request:
        return _to_provider(request, signed_out.request)
    if signed_out.opened_by_provider:
        return _logged_out(request, provider_not_told=True, next=next_url)
    return _onward(request, next_url)


@public
@require_safe
def logout_callback(request: HttpRequest) -> HttpResponse:
    """Where the provider sends the browser (RP-Initiated Logout 3). A ``state`` that is not ours ends nothing."""
    returned = journey.return_from_provider(request, request.GET.get("state", ""))
    if returned.started_here:
        return _onward(request, safe_next(returned.next))
    return _logged_out(request, not_started_here=True)


def _to_provider(request: HttpRequest, end_session: EndSessionRequest) -> HttpResponse:
    if end_session.by_post:
        return render(request, "ory_logout/end_session.html", {"end_session": end_session})
    return _WithHint(end_session.url)


class _WithHint(HttpResponseRedirect):
    """A redirect to the end session endpoint, whose ID token does not show in a report of a later fault."""

    def __repr__(self) -> str:
        return "<redirect to the end session endpoint>"


def _onward(request: HttpRequest, next_url: str) -> HttpResponse:
    if next_url:
        return HttpResponseRedirect(next_url)
    if settings.LOGOUT_REDIRECT_URL:
        return HttpResponseRedirect(resolve_url(settings.LOGOUT_REDIRECT_URL))
    return _logged_out(request)


def _logged_out(request: HttpRequest, **context: bool | str) -> HttpResponse:
    return render(request, "ory_logout/logged_out.html", {**context, **_who(request)})


def _who(request: HttpRequest) -> dict[str, bool]:
    # The site's templates may lack the context processor for ``request``.
    return {"signed_in": request.user.is_authenticated}
