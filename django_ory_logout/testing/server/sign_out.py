"""The end session endpoint and the front-channel page. The logout page comes between them."""

from authlib.oauth2.rfc6749.errors import OAuth2Error
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from ..hydra import end_session as logout
from ..hydra.end_session import LogoutRequest
from .site import ProviderSite, found, page, refusal

REFRESH_SECONDS = 7


def end_session(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    """``/oauth2/sessions/logout`` by GET or POST, and again with the verifier from the logout page."""
    query = {**request.GET.dict(), **request.POST.dict()}
    try:
        if "logout_verifier" in query:
            return _end(request, site, site.logout_requests.verified(query["logout_verifier"]))
        logout_request = logout.parse(site.provider, query, site.login_session(request))
    except OAuth2Error as error:
        return refusal(site, error)
    if isinstance(logout_request, str):
        return found(logout_request)
    return found(
        site.provider.pages.logout, logout_challenge=site.logout_requests.add(logout_request, request.get_full_path())
    )


def _end(request: HttpRequest, site: ProviderSite, logout_request: LogoutRequest) -> HttpResponse:
    ended = logout.end(site.provider, logout_request, site.login_session(request))
    site.backchannel.deliver_in_background(ended.deliveries)
    response = _frontchannel(request, site, logout_request, ended.frontchannel_uris)
    site.delete_session_cookie(response)
    return response


def _frontchannel(
    request: HttpRequest, site: ProviderSite, logout_request: LogoutRequest, uris: list[str]
) -> HttpResponse:
    """The page of iframes (Front-Channel Logout, 4). It redirects by script, or by ``Refresh`` without script."""
    if not uris:
        return found(logout_request.redirect_uri)
    response = page(request, site, "frontchannel", {"uris": uris, "redirect_uri": logout_request.redirect_uri})
    response["Refresh"] = f"{REFRESH_SECONDS}; url={logout_request.redirect_uri}"
    return response


@require_safe
def signed_out(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    return page(request, site, "signed_out")
