"""``urls.consent``: the user allows or refuses the scopes of an application."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ...ory.hydra import ConsentRequest
from ...views.errors import HiddenRedirect
from .. import conf
from ..authorization_prompt import AuthorizationPrompt
from ..subjects import is_subject
from .base import challenge_page


@challenge_page("consent")
def consent(request: HttpRequest, challenge: str) -> HttpResponse:
    """The consent page. It is skipped if the user has agreed before, or the client needs no consent."""
    consent = conf.get().admin.consent_request(challenge)
    if not is_subject(conf.get().subject_of, request.user, consent.subject):
        return _reject(consent, "The person is not signed in.")
    if consent.skip or _is_trusted(consent):
        # Remember a skipped consent. Otherwise Hydra answers prompt=none with consent_required.
        return _accept(request, consent, remember=consent.client.skip_consent)
    if request.method != "POST":
        scopes = [(scope, conf.get().scopes.get(scope, "")) for scope in consent.requested_scope]
        context = {"consent": consent, "scopes": scopes, "person": request.user.get_username()}
        return render(request, "ory_hydra_ui/consent.html", context)
    if request.POST.get("answer") != "accept":
        return _reject(consent, "The person does not agree.")
    return _accept(request, consent, remember="remember" in request.POST)


def _is_trusted(consent: ConsentRequest) -> bool:
    """Whether the client is registered with ``skip_consent``, and the request has no ``prompt=consent``.

    With ``prompt=consent``, an application asks the user again, for example before an important action. Core 3.1.2.1
    requires the page then, and Hydra sends no ``skip``. These pages cannot read a request object. Then the registration
    decides, because otherwise ``skip_consent`` would have no effect.
    """
    return consent.client.skip_consent and not AuthorizationPrompt.parse(consent.request_url).consent


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
    return HiddenRedirect(to)


def _reject(consent: ConsentRequest, description: str) -> HttpResponse:
    return HiddenRedirect(conf.get().admin.reject_consent_request(consent.challenge, "access_denied", description))
