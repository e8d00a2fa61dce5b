"""The authorization endpoint. The browser goes there before and after the login page and the consent page."""

from authlib.oauth2.rfc6749.errors import OAuth2Error
from django.http import HttpRequest, HttpResponse

from ..hydra import authorization, challenges
from ..hydra.authorization import AuthorizationRequest
from ..hydra.flow import Flow
from .site import ProviderSite, found, page, refusal


def authorize(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    """``/oauth2/auth`` by GET or POST. Redirects to the login page, then to the consent page, then to the client."""
    query = {**request.GET.dict(), **request.POST.dict()}
    authorization_request = None
    try:
        authorization_request = authorization.parse(site.provider, query)
        if challenges.CONSENTED in query:
            return _finish(request, site, authorization_request, query[challenges.CONSENTED])
        if challenges.LOGGED_IN in query:
            return _ask_consent(request, site, query[challenges.LOGGED_IN])
        return _ask_login(request, site, authorization_request)
    except OAuth2Error as error:
        if authorization_request:
            error.redirect_uri, error.state = authorization_request.redirect_uri, authorization_request.state
        return _refuse(request, site, error, query.get("response_mode", ""))


def _ask_login(request: HttpRequest, site: ProviderSite, authorization_request: AuthorizationRequest) -> HttpResponse:
    browser = site.browser(request)
    challenge = challenges.begin(site.provider, authorization_request, site.login_session(request), browser)
    response = found(site.provider.pages.login, login_challenge=challenge)
    site.set_browser_cookie(response, browser)
    return response


def _ask_consent(request: HttpRequest, site: ProviderSite, verifier: str) -> HttpResponse:
    """Start the login session. A remembered login gets a cookie. Another login ends the earlier remembered session."""
    flow = challenges.log_in(site.provider, verifier, site.browser(request))
    response = found(site.provider.pages.consent, consent_challenge=challenges.ask_consent(site.provider, flow))
    if not flow.login_skip:
        _remember(request, site, response, flow)
    return response


def _remember(request: HttpRequest, site: ProviderSite, response: HttpResponse, flow: Flow) -> None:
    before = site.login_session(request)
    if flow.login.get("remember"):
        site.set_session_cookie(response, flow.sid, flow.login.get("remember_for"))
    elif before:
        site.provider.end(before.sid)
        site.delete_session_cookie(response)


def _finish(
    request: HttpRequest, site: ProviderSite, authorization_request: AuthorizationRequest, verifier: str
) -> HttpResponse:
    parameters = challenges.finish(site.provider, verifier, site.browser(request))
    return _send(request, site, authorization_request.redirect_uri, parameters, authorization_request.response_mode)


def _refuse(request: HttpRequest, site: ProviderSite, error: OAuth2Error, response_mode: str) -> HttpResponse:
    """Send an error to the client if the ``redirect_uri`` is valid, else to the error page."""
    if not error.redirect_uri:
        return refusal(site, error)
    return _send(request, site, error.redirect_uri, dict(error.get_body()), response_mode)


def _send(
    request: HttpRequest, site: ProviderSite, redirect_uri: str, parameters: dict[str, str], response_mode: str
) -> HttpResponse:
    if response_mode == "form_post":
        return page(request, site, "form_post", {"redirect_uri": redirect_uri, "parameters": parameters})
    return found(redirect_uri, **parameters)
