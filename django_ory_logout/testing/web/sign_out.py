"""The end session endpoint, its confirmation page and the front-channel page."""

from dataclasses import asdict
from http import HTTPStatus

from authlib.oauth2.rfc6749.errors import OAuth2Error
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from .. import end_session as logout
from ..end_session import LogoutRequest
from .face import Face, found, page, refusal

_SALT = "logout_challenge"
CHALLENGE_SECONDS = 30 * 60
REFRESH_SECONDS = 7


def end_session(request: HttpRequest, face: Face) -> HttpResponse:
    """``/oauth2/sessions/logout`` by GET or POST."""
    query = {**request.GET.dict(), **request.POST.dict()}
    try:
        asked = logout.parse(face.provider, query, face.login_session(request))
    except OAuth2Error as error:
        return refusal(face, error)
    if isinstance(asked, str):
        return found(asked)
    client = face.provider.clients.get(asked.client_id)
    if client and client.skip_logout_consent:
        return _accept(request, face, asked)
    return found(face.provider.url("/logout"), logout_challenge=signing.dumps(asdict(asked), salt=_SALT))


def confirm(request: HttpRequest, face: Face) -> HttpResponse:
    """The page that asks, and its answer. A challenge that was used before is good again, as in Hydra's head."""
    challenge = request.GET.get("logout_challenge", "")
    try:
        asked = LogoutRequest(**signing.loads(challenge, salt=_SALT, max_age=CHALLENGE_SECONDS))
    except signing.BadSignature:
        context = {"error": "This logout request is too old."}
        return page(request, face, "error", context, status=HTTPStatus.BAD_REQUEST)
    if "accept" in request.POST:
        return _accept(request, face, asked)
    if "reject" in request.POST:
        return page(request, face, "signed_in", {"subject": asked.subject})
    client, person = face.provider.clients.get(asked.client_id), face.provider.persons.get(asked.subject)
    return page(request, face, "sign_out", {"asked": asked, "client": client, "person": person})


def _accept(request: HttpRequest, face: Face, asked: LogoutRequest) -> HttpResponse:
    ended = logout.accept(face.provider, asked, face.login_session(request))
    face.backchannel.deliver_in_background(ended.deliveries)
    response = _frontchannel(request, face, asked, ended.frontchannel_uris)
    face.forget(response)
    return response


def _frontchannel(request: HttpRequest, face: Face, asked: LogoutRequest, uris: list[str]) -> HttpResponse:
    """The page of iframes (Front-Channel Logout, 4); it leaves by script, and without script by ``Refresh``."""
    if not uris:
        return found(asked.redirect_uri)
    response = page(request, face, "frontchannel", {"uris": uris, "redirect_uri": asked.redirect_uri})
    response["Refresh"] = f"{REFRESH_SECONDS}; url={asked.redirect_uri}"
    return response


@require_safe
def signed_out(request: HttpRequest, face: Face) -> HttpResponse:
    return page(request, face, "signed_out")
