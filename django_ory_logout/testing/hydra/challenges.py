"""Login and consent requests: the steps between an authorization request and its code.

A challenge stands for a flow. Each answer to a challenge makes a verifier, which stands for the flow with that answer.
A challenge can get several answers. A verifier is valid once. Errors are Authlib's ``OAuth2Error``.
"""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from authlib.oauth2.rfc6749.errors import AccessDeniedError, InvalidRequestError, OAuth2Error
from authlib.oidc.core.errors import ConsentRequiredError, LoginRequiredError

from . import documents
from .authorization import AuthorizationRequest, grant
from .documents import request_url
from .flow import Answer, Flow
from .provider import Provider
from .records import Consent, LoginSession

LOGIN, CONSENT = "login_challenge", "consent_challenge"
LOGGED_IN, CONSENTED = "login_verifier", "consent_verifier"

#: The claims of an ID token that a consent page cannot choose.
RESERVED = {"acr", "amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "jti", "nonce", "rat", "sid", "sub"}


# Login


def begin(provider: Provider, request: AuthorizationRequest, known: LoginSession | None, browser: str) -> str:
    """The challenge for the login page.

    A browser with a login session (``known``) goes there too, and the page must accept that session.
    """
    if known and request.accepts(known, provider.clock()):
        flow = Flow(request, browser, known.sid, known.subject, known.auth_time, login_skip=True)
    elif "none" in request.prompt:
        raise LoginRequiredError("Prompt none was requested, but no existing login session was found.")
    else:
        flow = Flow(request, browser, str(uuid4()))
    return provider.challenge_store.add(LOGIN, flow)


def login_flow(provider: Provider, challenge: str) -> Flow:
    flow: Flow = provider.challenge_store.get(LOGIN, challenge)
    return flow


def accept_login(provider: Provider, challenge: str, answer: Answer) -> str:
    """Log ``answer["subject"]`` in. Returns the URL to send the browser to."""
    subject = answer.get("subject")
    if not subject:
        raise InvalidRequestError("Field subject must not be empty.")
    flow = login_flow(provider, challenge)
    if flow.login_skip and subject != flow.subject:
        return request_url(provider, flow, prompt="login")
    auth_time = flow.auth_time if flow.login_skip else int(provider.clock())
    return _verify(provider, LOGGED_IN, replace(flow, login=answer, subject=subject, auth_time=auth_time))


def reject_login(provider: Provider, challenge: str, answer: Answer) -> str:
    """Refuse the login. Returns the URL to send the browser to."""
    return _verify(provider, LOGGED_IN, replace(login_flow(provider, challenge), login=_error(answer)))


def log_in(provider: Provider, verifier: str, browser: str) -> Flow:
    """Start or continue the login session of a browser that returns from the login page."""
    flow = _verified(provider, LOGGED_IN, verifier, browser)
    _raise_error(flow.login)
    if not flow.login_skip:
        remember, of_page = bool(flow.login.get("remember")), flow.login.get("identity_provider_session_id") or ""
        provider.add_login_session(LoginSession(flow.sid, flow.subject, flow.auth_time, remember, of_page))
    return flow


# Consent


def ask_consent(provider: Provider, flow: Flow) -> str:
    """The challenge for the consent page. The browser goes there even if an earlier consent is enough."""
    earlier = provider.remembered_consent(flow.subject, flow.request.client.client_id)
    enough = earlier is not None and set(flow.request.scope.split()) <= set(earlier.scope.split())
    skip = enough and "consent" not in flow.request.prompt
    if "none" in flow.request.prompt and not skip:
        raise ConsentRequiredError("Prompt none was requested, but no previous consent was found.")
    return provider.challenge_store.add(CONSENT, replace(flow, consent_skip=skip))


def consent_flow(provider: Provider, challenge: str) -> Flow:
    flow: Flow = provider.challenge_store.get(CONSENT, challenge)
    return flow


def accept_consent(provider: Provider, challenge: str, answer: Answer) -> str:
    """Grant ``answer["grant_scope"]``. Returns the URL to send the browser to."""
    flow = replace(consent_flow(provider, challenge), consent=answer, handled_at=provider.clock())
    return _verify(provider, CONSENTED, flow)


def reject_consent(provider: Provider, challenge: str, answer: Answer) -> str:
    """Refuse the consent. Returns the URL to send the browser to."""
    return _verify(provider, CONSENTED, replace(consent_flow(provider, challenge), consent=_error(answer)))


def finish(provider: Provider, verifier: str, browser: str) -> dict[str, str]:
    """Finish the flow of a browser that returns from the consent page. Returns parameters for the ``redirect_uri``."""
    flow = _verified(provider, CONSENTED, verifier, browser)
    _raise_error(flow.consent)
    answer = flow.consent
    consent = Consent(
        provider.login_sessions.get(flow.sid) or LoginSession(flow.sid, flow.subject, flow.auth_time),
        flow.request.client.client_id,
        " ".join(answer.get("grant_scope") or ()),
        flow.handled_at,
        flow.consent_request_id,
        remember=bool(answer.get("remember")),
        remember_for=answer.get("remember_for") or 0,
        reused=flow.consent_skip,
        claims=_claims(flow),
        request=documents.consent_request(provider, flow, challenge=""),
    )
    return grant(provider, flow.request, provider.consent(consent))


def _claims(flow: Flow) -> dict[str, Any]:
    """The claims of the pages for the ID token. From the provider's own claims, they set only ``acr`` and ``amr``."""
    chosen = (flow.consent.get("session") or {}).get("id_token") or {}
    of_login = {name: flow.login[name] for name in ("acr", "amr") if flow.login.get(name)}
    return {**{name: value for name, value in chosen.items() if name not in RESERVED}, **of_login}


# Verifiers


def _verify(provider: Provider, purpose: str, flow: Flow) -> str:
    return request_url(provider, flow, **{purpose: provider.challenge_store.add(purpose, flow)})


def _verified(provider: Provider, purpose: str, verifier: str, browser: str) -> Flow:
    try:
        flow: Flow = provider.challenge_store.pop(purpose, verifier)
    except OAuth2Error as error:
        raise AccessDeniedError(f"The {purpose.replace('_', ' ')} has already been used or is unknown.") from error
    if flow.browser != browser:
        description = "The request is not allowed. No CSRF value available in the session cookie."
        raise OAuth2Error(description, error="request_forbidden", status_code=HTTPStatus.FORBIDDEN)
    return flow


def _error(answer: Answer) -> dict[str, str]:
    """The error of a page, with only the characters that an error response can have (RFC 6749, 4.1.2.1)."""
    error = {"error": answer.get("error") or "request_denied", "description": answer.get("error_description") or ""}
    return {name: text.encode("ascii", "replace").decode().replace('"', "'") for name, text in error.items()}


def _raise_error(answer: Mapping[str, Any]) -> None:
    if "error" in answer:
        raise OAuth2Error(answer["description"], error=answer["error"])
