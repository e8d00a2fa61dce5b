"""``urls.logout``: shall this person be logged out, of everything?"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ...exceptions import ChallengeHandled, HydraError, OryLogoutError, ProviderUnavailable
from ...ory.hydra import LogoutRequest
from .. import conf, hydra_logins, revocation
from ..subjects import is_subject
from .base import page, redirect


@page("logout")
def logout(request: HttpRequest, challenge: str) -> HttpResponse:
    """The logout page. Hydra leaves it to us to honour ``skip_logout_consent``."""
    if request.method == "POST" and request.POST.get("answer") == "accept":
        return _log_out(request, challenge)
    logout = _asked(challenge)
    if request.method == "POST":
        conf.get().admin.reject_logout_request(challenge)
        return render(request, "ory_hydra_ui/still_signed_in.html", {"logout": logout})
    if _nobody_is_asked(request, logout):
        return _log_out(request, challenge)
    # Nobody else's name is shown: any application can make Hydra send it here, with the ID token of somebody.
    person = request.user.get_username() if _is_here(request, logout) else ""
    context = {"logout": logout, "person": person, "other": _other(request, logout)}
    return render(request, "ory_hydra_ui/logout.html", context)


def _asked(challenge: str) -> LogoutRequest:
    logout = conf.get().admin.logout_request(challenge)
    # Hydra lets us accept it all the same, and says so to the person afterwards.
    if logout.expires_at and logout.expires_at <= timezone.now():
        raise HydraError("challenge_expired", "the logout request has expired")
    return logout


def _nobody_is_asked(request: HttpRequest, logout: LogoutRequest) -> bool:
    """An application that may log out unasked may do so for the person at this browser, and for nobody else.

    Any page can send a browser here with an ID token of its own maker's.
    """
    skip = bool(logout.rp_initiated and logout.client and logout.client.skip_logout_consent)
    return skip and not _other(request, logout)


def _log_out(request: HttpRequest, challenge: str) -> HttpResponse:
    """The session here ends first, whoever is signed in: nothing that Hydra says or does not say is in its way.

    Hydra ends the login of this browser with the one that was asked for, and tells only the applications of the latter.
    The others are told here, while Hydra still knows them.
    """
    sids = revocation.sign_out(request)
    try:
        logout = _asked(challenge)
    except OryLogoutError:
        revocation.revoke(sids)
        raise
    revocation.revoke([one for one in sids if one != logout.sid])
    return redirect(_accepted(logout))


def _accepted(logout: LogoutRequest) -> str:
    """Hydra ends the login session that was asked for; where to send the browser.

    No session here knows its ``sid`` any more.
    """
    try:
        return conf.get().admin.accept_logout_request(logout.challenge)
    except ProviderUnavailable as error:
        revocation.log_left(logout.sid, error)  # the page offers to try again, and perhaps nobody does
        raise
    except ChallengeHandled:
        raise  # it has ended
    except HydraError:
        revocation.revoke([logout.sid])
        raise


def _is_here(request: HttpRequest, logout: LogoutRequest) -> bool:
    """Whether the person who leaves is the one who is signed in to this site in this browser."""
    same = is_subject(conf.get().subject_of, request.user, logout.subject)
    return same or logout.sid in hydra_logins.read(request.session).sids


def _other(request: HttpRequest, logout: LogoutRequest) -> str:
    """Who else is signed in here."""
    elsewhere = request.user.is_authenticated and not _is_here(request, logout)
    return request.user.get_username() if elsewhere else ""
