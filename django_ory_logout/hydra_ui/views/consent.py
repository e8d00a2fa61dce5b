"""``urls.consent``: may this application know that, and do that?"""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ...ory.hydra import ConsentRequest
from .. import conf
from ..subjects import active_user, known_subject
from .base import page, redirect


@page("consent")
def consent(request: HttpRequest, challenge: str) -> HttpResponse:
    """The consent page. Skipped where the person agreed before, or the client is registered so."""
    consent = conf.get().admin.consent_request(challenge)
    user = _person(request, consent)
    if user is None:
        return _reject(consent, "The person is not signed in any more.")
    if consent.skip or consent.client.skip_consent:
        # Remembered where nobody was asked: without it, Hydra would answer prompt=none with consent_required.
        return _accept(consent, user, remember=consent.client.skip_consent)
    if request.method != "POST":
        return render(request, "ory_hydra_ui/consent.html", _context(consent, user))
    if request.POST.get("answer") != "accept":
        return _reject(consent, "The person does not agree.")
    return _accept(consent, user, remember="remember" in request.POST)


def _person(request: HttpRequest, consent: ConsentRequest) -> AbstractBaseUser | None:
    """Who is asked: an active user, and whoever is signed in to this site in this browser, if anybody is."""
    subjects = conf.get().subjects
    if request.user.is_authenticated and known_subject(subjects, request.user) != consent.subject:
        return None
    return active_user(subjects, consent.subject)


def _context(consent: ConsentRequest, user: AbstractBaseUser) -> dict[str, Any]:
    known = conf.get().scopes
    scopes = [(scope, known.get(scope, "")) for scope in consent.requested_scope]
    return {"consent": consent, "scopes": scopes, "person": user.get_username()}


def _accept(consent: ConsentRequest, user: AbstractBaseUser, *, remember: bool) -> HttpResponse:
    config = conf.get()
    to = config.admin.accept_consent_request(
        consent.challenge,
        grant_scope=consent.requested_scope,
        grant_access_token_audience=consent.requested_access_token_audience,
        remember=remember,
        remember_for=config.consent_remember_for,
        id_token=config.claims(user, scopes=consent.requested_scope, client=consent.client),
    )
    return redirect(to)


def _reject(consent: ConsentRequest, description: str) -> HttpResponse:
    return redirect(conf.get().admin.reject_consent_request(consent.challenge, "access_denied", description))
