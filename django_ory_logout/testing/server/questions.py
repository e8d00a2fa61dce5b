"""The provider's own login, consent and logout pages. They answer challenges. Another site could serve them instead."""

from functools import wraps
from http import HTTPStatus

from authlib.oauth2.rfc6749.errors import OAuth2Error
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from ..hydra import challenges
from .site import REMEMBER_SECONDS, ProviderSite, View, found, page


def _with_challenge(view: View) -> View:
    """Show an error page for an error, such as an unknown or expired challenge."""

    @wraps(view)
    def wrapped(request: HttpRequest, site: ProviderSite) -> HttpResponse:
        try:
            return view(request, site)
        except OAuth2Error as error:
            return page(request, site, "error", dict(error.get_body()), status=HTTPStatus.BAD_REQUEST)

    return wrapped


@_with_challenge
def login(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    """Choose a demo person. With ``auto=1`` and a ``login_hint``, there is no question; ``remember=0`` works too."""
    provider, challenge = site.provider, request.GET.get(challenges.LOGIN, "")
    flow = challenges.login_flow(provider, challenge)
    hinted, query = provider.find_person(flow.request.login_hint), flow.request.query
    if flow.login_skip:
        return _accept(site, challenge, flow.subject, remember=True)
    if hinted and query.get("auto"):
        return _accept(site, challenge, hinted.subject, remember=query.get("remember") != "0")
    if "deny" in request.POST:
        return found(challenges.reject_login(provider, challenge, {"error": "access_denied"}))
    if request.method == "POST":
        return _choose(request, site, challenge)
    context = {"client": flow.request.client, "persons": provider.persons.values(), "hinted": hinted}
    return page(request, site, "sign_in", {**context, "known": site.login_session(request)})


def _choose(request: HttpRequest, site: ProviderSite, challenge: str) -> HttpResponse:
    person = site.provider.persons.get(request.POST.get("subject", ""))
    if person is None:
        return page(request, site, "error", {"error": "Nobody was chosen."}, status=HTTPStatus.BAD_REQUEST)
    return _accept(site, challenge, person.subject, remember="remember" in request.POST)


def _accept(site: ProviderSite, challenge: str, subject: str, *, remember: bool) -> HttpResponse:
    answer = {"subject": subject, "remember": remember, "remember_for": REMEMBER_SECONDS}
    return found(challenges.accept_login(site.provider, challenge, answer))


@require_safe
@_with_challenge
def consent(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    """Grant all requested scopes without a question, and remember the consent without limit."""
    challenge = request.GET.get(challenges.CONSENT, "")
    flow = challenges.consent_flow(site.provider, challenge)
    answer = {"grant_scope": flow.request.scope.split(), "remember": True}
    return found(challenges.accept_consent(site.provider, challenge, answer))


@_with_challenge
def logout(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    """Ask the user whether to log out, unless the client is registered to skip the question."""
    challenge = request.GET.get("logout_challenge", "")
    logout_request = site.logout_requests.get(challenge)
    client, person = (
        site.provider.clients.get(logout_request.client_id),
        site.provider.persons.get(logout_request.subject),
    )
    if "accept" in request.POST or (client and client.skip_logout_consent):
        return found(site.logout_requests.accept(challenge))
    if "reject" in request.POST:
        site.logout_requests.reject(challenge)
        return page(request, site, "signed_in", {"subject": logout_request.subject})
    return page(request, site, "sign_out", {"logout_request": logout_request, "client": client, "person": person})
