"""RP-initiated logout: ``logout`` ends the session here and redirects; ``logout_callback`` is for the way back."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from ..exceptions import LogoutUnconfirmed
from ..flows import logout as flow
from ..flows.login import safe_next
from ..kratos.logout import pending_logout
from ..oidc.messages import EndSessionRequest
from ..sessions import events
from ..sessions.store import LoginSessionStore
from . import unconfirmed
from .csrf import csrf_or
from .decorators import public, skip_kratos
from .errors import HiddenRedirect
from .responses import logged_out, redirect_after_logout


def _confirmation(request: HttpRequest) -> HttpResponse:
    """The page that asks whether to log out. After a POST with an old CSRF token: 403, because nothing ended."""
    parameters = request.POST if request.method == "POST" else request.GET
    context = {
        "next": safe_next(parameters.get("next")),
        "opened_by_provider": LoginSessionStore.of(request).may_have_login_session
        or pending_logout(request).credential is not None,
        "signed_in": request.user.is_authenticated,
    }
    return render(request, "ory_logout/logout.html", context, status=403 if request.method == "POST" else None)


@skip_kratos
@public
@csrf_or(_confirmation)
@require_http_methods(["GET", "HEAD", "POST"])
def logout(request: HttpRequest) -> HttpResponse:
    """``POST`` logs out, here first. ``GET`` asks and ends nothing. ``next``: where to go afterwards."""
    if request.method != "POST":
        return _confirmation(request)
    next_url = safe_next(request.POST.get("next"))
    kratos_logout = pending_logout(request)
    login, was_opened = flow.sign_out(request)
    if unconfirmed.is_pending(request):
        raise LogoutUnconfirmed("logout_unconfirmed", "an earlier logout of this browser is still open")
    result = kratos_logout.send()
    state = flow.new_state(next_url, incomplete=result.failed)
    end_session = flow.end_session_request(login, state) if login else None
    if login and end_session:
        events.sent_to_provider(login.issuer, login.sid, flow.state_id(state))
        return result.relay(_to_provider(request, end_session))
    # After an unconfirmed logout, the ID token for the end-session request is lost.
    was_opened = was_opened or "was_opened" in request.POST
    not_told = result.failed or (was_opened and not kratos_logout.is_only_provider)
    return result.relay(redirect_after_logout(request, next_url, provider_not_told=not_told))


@skip_kratos
@public
@require_safe
def logout_callback(request: HttpRequest) -> HttpResponse:
    """The post-logout redirect URI (RP-Initiated Logout 3). A ``state`` that is not ours ends nothing."""
    result = flow.return_from_provider(request, request.GET.get("state", ""))
    if not result.started_here:
        return logged_out(request, not_started_here=True)
    return redirect_after_logout(request, safe_next(result.next), provider_not_told=result.incomplete)


def _to_provider(request: HttpRequest, end_session: EndSessionRequest) -> HttpResponse:
    if end_session.by_post:
        return render(request, "ory_logout/end_session.html", {"end_session": end_session})
    return HiddenRedirect(end_session.url)
