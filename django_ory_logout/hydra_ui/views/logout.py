"""``urls.logout``: the user confirms or refuses the logout of all applications."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ...exceptions import ChallengeHandled, HydraError, OryLogoutError, ProviderUnavailable
from ...ory.hydra import LogoutRequest
from ...views.errors import HiddenRedirect
from .. import conf, hydra_logins, revocation
from ..subjects import is_subject
from .base import challenge_page


@challenge_page("logout")
def logout(request: HttpRequest, challenge: str) -> HttpResponse:
    """The logout page. Hydra itself ignores ``skip_logout_consent``, so this page applies it."""
    if request.method == "POST" and request.POST.get("answer") == "accept":
        return _log_out(request, challenge)
    logout = _unexpired_request(challenge)
    if request.method == "POST":
        conf.get().admin.reject_logout_request(challenge)
        return render(request, "ory_hydra_ui/still_signed_in.html", {"logout": logout})
    other = _other(request, logout)
    # Any page can send a browser here with the ID token of another user. So the wish counts only for this user.
    if not other and logout.rp_initiated and logout.client and logout.client.skip_logout_consent:
        return _log_out(request, challenge)
    # Show no other user's name: any application can make Hydra send a browser here, with any user's ID token.
    person = request.user.get_username() if _is_here(request, logout) else ""
    context = {"logout": logout, "person": person, "other": other}
    return render(request, "ory_hydra_ui/logout.html", context)


def _unexpired_request(challenge: str) -> LogoutRequest:
    logout = conf.get().admin.logout_request(challenge)
    # Hydra accepts an expired request, and shows an error to the user afterwards.
    if logout.expires_at and logout.expires_at <= timezone.now():
        raise HydraError("challenge_expired", "the logout request has expired")
    return logout


def _log_out(request: HttpRequest, challenge: str) -> HttpResponse:
    """End the session here first, for any user, even if Hydra fails.

    Hydra ends the requested login session and that of this browser, and notifies only the applications of the first.
    So this site revokes the other login sessions before that, and Hydra notifies their applications too.
    """
    sids = revocation.sign_out(request)
    try:
        logout = _unexpired_request(challenge)
    except OryLogoutError:
        revocation.revoke(sids)
        raise
    revocation.revoke([sid for sid in sids if sid != logout.sid])
    return HiddenRedirect(_accept(logout))


def _accept(logout: LogoutRequest) -> str:
    """Let Hydra end the requested login session, whose ``sid`` no session here has now. Return the URL to go to."""
    try:
        return conf.get().admin.accept_logout_request(logout.challenge)
    except ProviderUnavailable as error:
        revocation.log_left(logout.sid, error)  # the page has a retry button, which the user may not use
        raise
    except ChallengeHandled:
        raise  # it has ended
    except HydraError:
        revocation.revoke([logout.sid])
        raise


def _is_here(request: HttpRequest, logout: LogoutRequest) -> bool:
    """Whether the logout is for the user of this browser, or for one of its login sessions."""
    same = is_subject(conf.get().subject_of, request.user, logout.subject)
    return same or logout.sid in hydra_logins.read(request.session).sids


def _other(request: HttpRequest, logout: LogoutRequest) -> str:
    """The name of another user who is signed in here; empty if there is none."""
    is_other = request.user.is_authenticated and not _is_here(request, logout)
    return request.user.get_username() if is_other else ""
