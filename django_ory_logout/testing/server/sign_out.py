"""The end session endpoint and the front-channel page; between them the logout page stands."""

from authlib.oauth2.rfc6749.errors import OAuth2Error
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from ..hydra import end_session as logout
from ..hydra.end_session import LogoutRequest
from .site import ProviderSite, found, page, refusal

REFRESH_SECONDS = 7


def end_session(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    """``/oauth2/sessions/logout`` by GET or POST, and again with the verifier that the logout page was given."""
    query = {**request.GET.dict(), **request.POST.dict()}
    try:
        if "logout_verifier" in query:
            return _end(request, face, face.logout_requests.verified(query["logout_verifier"]))
        asked = logout.parse(face.provider, query, face.login_session(request))
    except OAuth2Error as error:
        return refusal(face, error)
    if isinstance(asked, str):
        return found(asked)
    return found(face.provider.pages.logout, logout_challenge=face.logout_requests.add(asked, request.get_full_path()))


def _end(request: HttpRequest, face: ProviderSite, asked: LogoutRequest) -> HttpResponse:
    ended = logout.end(face.provider, asked, face.login_session(request))
    face.backchannel.deliver_in_background(ended.deliveries)
    response = _frontchannel(request, face, asked, ended.frontchannel_uris)
    face.forget(response)
    return response


def _frontchannel(request: HttpRequest, face: ProviderSite, asked: LogoutRequest, uris: list[str]) -> HttpResponse:
    """The page of iframes (Front-Channel Logout, 4); it leaves by script, and without script by ``Refresh``."""
    if not uris:
        return found(asked.redirect_uri)
    response = page(request, face, "frontchannel", {"uris": uris, "redirect_uri": asked.redirect_uri})
    response["Refresh"] = f"{REFRESH_SECONDS}; url={asked.redirect_uri}"
    return response


@require_safe
def signed_out(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    return page(request, face, "signed_out")
