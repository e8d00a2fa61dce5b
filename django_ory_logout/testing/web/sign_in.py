"""The authorization endpoint, and the page to choose a demo person."""

from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode

from authlib.oauth2.rfc6749.errors import AccessDeniedError, OAuth2Error
from authlib.oidc.core.errors import LoginRequiredError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from .. import authorization
from ..authorization import AuthorizationRequest
from .face import Face, found, page, refusal


def authorize(request: HttpRequest, face: Face) -> HttpResponse:
    """``/oauth2/auth`` by GET or POST. ``auto=1`` with a ``login_hint`` asks nobody; ``remember=0`` goes with it."""
    query = {**request.GET.dict(), **request.POST.dict()}
    provider = face.provider
    try:
        asked = authorization.parse(provider, query)
        known = face.login_session(request)
        if known and asked.accepts(known, provider.clock()):
            return _send(
                request, face, asked.redirect_uri, authorization.respond(provider, asked, known), asked.response_mode
            )
        if "none" in asked.prompt:
            raise LoginRequiredError(redirect_uri=asked.redirect_uri, state=asked.state)
    except OAuth2Error as error:
        return _refuse(request, face, error, query.get("response_mode", ""))
    hinted = provider.person_called(asked.login_hint)
    if hinted and query.get("auto"):
        return _enter(request, face, asked, hinted.subject, remember=query.get("remember") != "0")
    context = {"client": asked.client, "persons": provider.persons.values(), "hinted": hinted, "known": known}
    return page(request, face, "sign_in", {**context, "authorization_request": urlencode(query)})


@require_POST
def choose(request: HttpRequest, face: Face) -> HttpResponse:
    """A person was chosen, or the person said no."""
    query = dict(parse_qsl(request.POST.get("authorization_request", "")))
    try:
        asked = authorization.parse(face.provider, query)
        if "deny" in request.POST:
            raise AccessDeniedError(redirect_uri=asked.redirect_uri, state=asked.state)
    except OAuth2Error as error:
        return _refuse(request, face, error, query.get("response_mode", ""))
    person = face.provider.persons.get(request.POST.get("subject", ""))
    if person is None:
        return page(request, face, "error", {"error": "Nobody was chosen."}, status=HTTPStatus.BAD_REQUEST)
    return _enter(request, face, asked, person.subject, remember="remember" in request.POST)


def _enter(
    request: HttpRequest, face: Face, asked: AuthorizationRequest, subject: str, *, remember: bool
) -> HttpResponse:
    """A new login session. Only a remembered one has a cookie; another silently ends what was remembered before."""
    before = face.login_session(request)
    login_session = face.provider.sign_in(subject, remember=remember)
    parameters = authorization.respond(face.provider, asked, login_session)
    response = _send(request, face, asked.redirect_uri, parameters, asked.response_mode)
    if remember:
        face.remember(response, login_session)
    elif before:
        face.provider.end(before.sid)
        face.forget(response)
    return response


def _refuse(request: HttpRequest, face: Face, error: OAuth2Error, response_mode: str) -> HttpResponse:
    """An error goes back to the client where its ``redirect_uri`` is good, and to the error page where not."""
    if not error.redirect_uri:
        return refusal(face, error)
    return _send(request, face, error.redirect_uri, dict(error.get_body()), response_mode)


def _send(
    request: HttpRequest, face: Face, redirect_uri: str, parameters: dict[str, str], response_mode: str
) -> HttpResponse:
    if response_mode == "form_post":
        return page(request, face, "form_post", {"redirect_uri": redirect_uri, "parameters": parameters})
    return found(redirect_uri, **parameters)
