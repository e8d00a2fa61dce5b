"""``urls.consent``: may this application know that, and do that?"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ...ory.hydra import ConsentRequest
from .. import conf
from ..subjects import is_subject
from .base import page, redirect


@page("consent")
def consent(request: HttpRequest, challenge: str) -> HttpResponse:
    """The consent page. Skipped where the person agreed before, or the client is registered so."""
    consent = conf.get().admin.consent_request(challenge)
    if not is_subject(conf.get().subject_of, request.user, consent.subject):
        return _reject(consent, "The person is not signed in.")
    if consent.skip or consent.client.skip_consent:
        # Remembered where nobody was asked: without it, Hydra would answer prompt=none with consent_required.
        return _accept(request, consent, remember=consent.client.skip_consent)
    if request.method != "POST":
        return render(request, "ory_hydra_ui/consent.html", _context(consent) | {"person": request.user.get_username()})
    if request.POST.get("answer") != "accept":
        return _reject(consent, "The person does not agree.")
    return _accept(request, consent, remember="remember" in request.POST)


def _context(consent: ConsentRequest) -> dict[str, Any]:
    known = conf.get().scopes
    scopes = [(scope, known.get(scope, "")) for scope in consent.requested_scope]
    return {"consent": consent, "scopes": scopes}


def _accept(request: HttpRequest, consent: ConsentRequest, *, remember: bool) -> HttpResponse:
    config = conf.get()
    to = config.admin.accept_consent_request(
        consent.challenge,
        grant_scope=consent.requested_scope,
        grant_access_token_audience=consent.requested_access_token_audience,
        remember=remember,
        remember_for=config.consent_remember_for,
        id_token=config.claims(request.user, scopes=consent.requested_scope, client=consent.client),
    )
    return redirect(to)


def _reject(consent: ConsentRequest, description: str) -> HttpResponse:
    return redirect(conf.get().admin.reject_consent_request(consent.challenge, "access_denied", description))
