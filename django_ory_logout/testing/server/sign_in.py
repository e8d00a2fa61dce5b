"""The authorization endpoint, between whose parts the login and the consent page stand."""

from authlib.oauth2.rfc6749.errors import OAuth2Error
from django.http import HttpRequest, HttpResponse

from ..hydra import authorization, challenges
from ..hydra.authorization import AuthorizationRequest
from ..hydra.flow import Flow
from .site import ProviderSite, found, page, refusal


def authorize(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    """``/oauth2/auth`` by GET or POST: to the login page; from there to the consent page; from there to the client."""
    query = {**request.GET.dict(), **request.POST.dict()}
    asked = None
    try:
        asked = authorization.parse(face.provider, query)
        if challenges.CONSENTED in query:
            return _finish(request, face, asked, query[challenges.CONSENTED])
        if challenges.LOGGED_IN in query:
            return _ask_consent(request, face, query[challenges.LOGGED_IN])
        return _ask_login(request, face, asked)
    except OAuth2Error as error:
        if asked:
            error.redirect_uri, error.state = asked.redirect_uri, asked.state
        return _refuse(request, face, error, query.get("response_mode", ""))


def _ask_login(request: HttpRequest, face: ProviderSite, asked: AuthorizationRequest) -> HttpResponse:
    browser = face.browser(request)
    challenge = challenges.begin(face.provider, asked, face.login_session(request), browser)
    response = found(face.provider.pages.login, login_challenge=challenge)
    face.recognize(response, browser)
    return response


def _ask_consent(request: HttpRequest, face: ProviderSite, verifier: str) -> HttpResponse:
    """Only a remembered login has a cookie; another silently ends what was remembered before."""
    flow = challenges.log_in(face.provider, verifier, face.browser(request))
    response = found(face.provider.pages.consent, consent_challenge=challenges.ask_consent(face.provider, flow))
    if not flow.login_skip:
        _remember(request, face, response, flow)
    return response


def _remember(request: HttpRequest, face: ProviderSite, response: HttpResponse, flow: Flow) -> None:
    before = face.login_session(request)
    if flow.login.get("remember"):
        face.remember(response, flow.sid, flow.login.get("remember_for"))
    elif before:
        face.provider.end(before.sid)
        face.forget(response)


def _finish(request: HttpRequest, face: ProviderSite, asked: AuthorizationRequest, verifier: str) -> HttpResponse:
    parameters = challenges.finish(face.provider, verifier, face.browser(request))
    return _send(request, face, asked.redirect_uri, parameters, asked.response_mode)


def _refuse(request: HttpRequest, face: ProviderSite, error: OAuth2Error, response_mode: str) -> HttpResponse:
    """An error goes back to the client where its ``redirect_uri`` is good, and to the error page where not."""
    if not error.redirect_uri:
        return refusal(face, error)
    return _send(request, face, error.redirect_uri, dict(error.get_body()), response_mode)


def _send(
    request: HttpRequest, face: ProviderSite, redirect_uri: str, parameters: dict[str, str], response_mode: str
) -> HttpResponse:
    if response_mode == "form_post":
        return page(request, face, "form_post", {"redirect_uri": redirect_uri, "parameters": parameters})
    return found(redirect_uri, **parameters)
