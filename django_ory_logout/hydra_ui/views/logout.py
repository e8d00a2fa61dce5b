"""``urls.logout``: shall this person be logged out, of everything?"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ...exceptions import HydraError, ProviderUnavailable
from ...ory.hydra import LogoutRequest
from .. import conf, revocation, sessions
from ..subjects import is_subject
from .base import page, redirect


@page("logout")
def logout(request: HttpRequest, challenge: str) -> HttpResponse:
    """The logout page. Hydra leaves it to us to honour ``skip_logout_consent``."""
    logout = _asked(challenge)
    if request.method == "POST" and request.POST.get("answer") != "accept":
        conf.get().admin.reject_logout_request(challenge)
        return render(request, "ory_hydra_ui/still_signed_in.html", {"logout": logout})
    if request.method == "POST" or _nobody_is_asked(request, logout):
        return _accept(request, logout)
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


def _accept(request: HttpRequest, logout: LogoutRequest) -> HttpResponse:
    """The session here ends first: nothing that Hydra says or does not say is in its way."""
    if request.user.is_authenticated:
        # Whoever it is: Hydra ends the login of this browser with the one that was asked for, and tells only the
        # applications of the latter. The others are told here, while Hydra still knows them.
        revocation.sign_out(request, sid=logout.sid)
    try:
        return redirect(conf.get().admin.accept_logout_request(logout.challenge))
    except ProviderUnavailable as error:
        # The page offers to try again. If nobody does, no session here knows this sid any more.
        revocation.log_left(logout.sid, error)
        raise


def _is_here(request: HttpRequest, logout: LogoutRequest) -> bool:
    """Whether the person who leaves is the one who is signed in to this site in this browser."""
    same = is_subject(conf.get().subject_of, request.user, logout.subject)
    return same or logout.sid in sessions.read(request.session).sids


def _other(request: HttpRequest, logout: LogoutRequest) -> str:
    """Who else is signed in here."""
    elsewhere = request.user.is_authenticated and not _is_here(request, logout)
    return request.user.get_username() if elsewhere else ""
