"""RP-initiated logout: ``logout`` ends the session here and sends the browser on, ``logout_callback`` takes it back."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from ..exceptions import LogoutUnconfirmed
from ..flows import logout as journey
from ..flows.login import safe_next
from ..kratos.logout import pending_logout
from ..oidc.messages import EndSessionRequest
from ..sessions import events
from ..sessions.store import LoginSessionStore
from . import unconfirmed
from .csrf import csrf_or
from .decorators import public, skip_kratos
from .responses import logged_out, redirect_after_logout, user_context


def _confirmation(request: HttpRequest) -> HttpResponse:
    """The page that asks. It is the answer to a button with an old CSRF token too: 403, for nothing ended."""
    parameters = request.POST if request.method == "POST" else request.GET
    context = {
        "next": safe_next(parameters.get("next")),
        "opened_by_provider": LoginSessionStore.of(request).may_have_login_session
        or pending_logout(request).credential is not None,
        **user_context(request),
    }
    return render(request, "ory_logout/logout.html", context, status=403 if request.method == "POST" else None)


@skip_kratos
@public
@csrf_or(_confirmation)
@require_http_methods(["GET", "HEAD", "POST"])
def logout(request: HttpRequest) -> HttpResponse:
    """``POST`` logs out, here first. ``GET`` asks, and ends nothing. ``next``: where to go then."""
    if request.method != "POST":
        return _confirmation(request)
    next_url = safe_next(request.POST.get("next"))
    leaving = pending_logout(request)
    login, was_opened = journey.sign_out(request)
    if unconfirmed.is_pending(request):
        raise LogoutUnconfirmed("logout_unconfirmed", "an earlier logout of this browser is still open")
    told = leaving.send()
    state = journey.new_state(next_url, incomplete=told.failed)
    asked = journey.end_session_request(login, state) if login else None
    if login and asked:
        events.sent_to_provider(login.issuer, login.sid, journey.state_id(state))
        return told.relay(_to_provider(request, asked))
    # After an unconfirmed logout, nothing is left here by which the provider could be told.
    was_opened = was_opened or "was_opened" in request.POST
    not_told = told.failed or (was_opened and not leaving.is_only_provider)
    return told.relay(redirect_after_logout(request, next_url, **{"provider_not_told": True} if not_told else {}))


@skip_kratos
@public
@require_safe
def logout_callback(request: HttpRequest) -> HttpResponse:
    """Where the provider sends the browser (RP-Initiated Logout 3). A ``state`` that is not ours ends nothing."""
    returned = journey.return_from_provider(request, request.GET.get("state", ""))
    if not returned.started_here:
        return logged_out(request, not_started_here=True)
    return redirect_after_logout(
        request, safe_next(returned.next), **{"provider_not_told": True} if returned.incomplete else {}
    )


def _to_provider(request: HttpRequest, end_session: EndSessionRequest) -> HttpResponse:
    if end_session.by_post:
        return render(request, "ory_logout/end_session.html", {"end_session": end_session})
    return _WithHint(end_session.url)


class _WithHint(HttpResponseRedirect):
    """A redirect to the end session endpoint, whose ID token does not show in a report of a later fault."""

    def __repr__(self) -> str:
        return "<redirect to the end session endpoint>"
