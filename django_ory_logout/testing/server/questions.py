"""The provider's own login, consent and logout pages. They answer challenges, as another site could in their place."""

from functools import wraps
from http import HTTPStatus

from authlib.oauth2.rfc6749.errors import OAuth2Error
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from ..hydra import challenges
from .site import REMEMBER_SECONDS, ProviderSite, View, found, page


def _with_challenge(view: View) -> View:
    """What is refused, as a challenge that is unknown or too old, ends at an error page."""

    @wraps(view)
    def wrapped(request: HttpRequest, face: ProviderSite) -> HttpResponse:
        try:
            return view(request, face)
        except OAuth2Error as error:
            return page(request, face, "error", dict(error.get_body()), status=HTTPStatus.BAD_REQUEST)

    return wrapped


@_with_challenge
def login(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    """Choose a demo person. ``auto=1`` with a ``login_hint`` asks nobody; ``remember=0`` goes with it."""
    provider, challenge = face.provider, request.GET.get(challenges.LOGIN, "")
    flow = challenges.login_flow(provider, challenge)
    hinted, query = provider.person_called(flow.asked.login_hint), flow.asked.query
    if flow.login_skip:
        return _enter(face, challenge, flow.subject, remember=True)
    if hinted and query.get("auto"):
        return _enter(face, challenge, hinted.subject, remember=query.get("remember") != "0")
    if "deny" in request.POST:
        return found(challenges.reject_login(provider, challenge, {"error": "access_denied"}))
    if request.method == "POST":
        return _choose(request, face, challenge)
    context = {"client": flow.asked.client, "persons": provider.persons.values(), "hinted": hinted}
    return page(request, face, "sign_in", {**context, "known": face.login_session(request)})


def _choose(request: HttpRequest, face: ProviderSite, challenge: str) -> HttpResponse:
    person = face.provider.persons.get(request.POST.get("subject", ""))
    if person is None:
        return page(request, face, "error", {"error": "Nobody was chosen."}, status=HTTPStatus.BAD_REQUEST)
    return _enter(face, challenge, person.subject, remember="remember" in request.POST)


def _enter(face: ProviderSite, challenge: str, subject: str, *, remember: bool) -> HttpResponse:
    answer = {"subject": subject, "remember": remember, "remember_for": REMEMBER_SECONDS}
    return found(challenges.accept_login(face.provider, challenge, answer))


@require_safe
@_with_challenge
def consent(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    """Agree to all that is asked for, for ever, and ask nobody."""
    challenge = request.GET.get(challenges.CONSENT, "")
    flow = challenges.consent_flow(face.provider, challenge)
    answer = {"grant_scope": flow.asked.scope.split(), "remember": True}
    return found(challenges.accept_consent(face.provider, challenge, answer))


@_with_challenge
def logout(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    """Ask whether to log out, but where the client is registered to skip that."""
    challenge = request.GET.get("logout_challenge", "")
    asked = face.logout_requests.get(challenge)
    client, person = face.provider.clients.get(asked.client_id), face.provider.persons.get(asked.subject)
    if "accept" in request.POST or (client and client.skip_logout_consent):
        return found(face.logout_requests.accept(challenge))
    if "reject" in request.POST:
        face.logout_requests.reject(challenge)
        return page(request, face, "signed_in", {"subject": asked.subject})
    return page(request, face, "sign_out", {"asked": asked, "client": client, "person": person})
