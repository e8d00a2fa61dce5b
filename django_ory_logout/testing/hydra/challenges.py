"""Login and consent requests: what happens between an authorization request and its code.

A challenge is the flow itself, sealed, and so is the verifier that an answer gives. A challenge keeps no record of its
answer; a verifier is good once. What is refused is Authlib's ``OAuth2Error``.
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


def begin(provider: Provider, asked: AuthorizationRequest, known: LoginSession | None, browser: str) -> str:
    """The challenge for the login page. It is asked even where the browser is ``known``, and then has to agree."""
    if known and asked.accepts(known, provider.clock()):
        flow = Flow(asked, browser, known.sid, known.subject, known.auth_time, login_skip=True)
    elif "none" in asked.prompt:
        raise LoginRequiredError("Prompt none was requested, but no existing login session was found.")
    else:
        flow = Flow(asked, browser, str(uuid4()))
    return provider.sealed.seal(LOGIN, flow)


def login_flow(provider: Provider, challenge: str) -> Flow:
    flow: Flow = provider.sealed.open(LOGIN, challenge)
    return flow


def accept_login(provider: Provider, challenge: str, answer: Answer) -> str:
    """Log ``answer["subject"]`` in; where to send the browser."""
    subject = answer.get("subject")
    if not subject:
        raise InvalidRequestError("Field subject must not be empty.")
    flow = login_flow(provider, challenge)
    if flow.login_skip and subject != flow.subject:
        return request_url(provider, flow, prompt="login")
    auth_time = flow.auth_time if flow.login_skip else int(provider.clock())
    return _verify(provider, LOGGED_IN, replace(flow, login=answer, subject=subject, auth_time=auth_time))


def reject_login(provider: Provider, challenge: str, answer: Answer) -> str:
    """Log nobody in; where to send the browser."""
    return _verify(provider, LOGGED_IN, replace(login_flow(provider, challenge), login=_error(answer)))


def log_in(provider: Provider, verifier: str, browser: str) -> Flow:
    """The browser is back from the login page: its login session begins, or goes on."""
    flow = _verified(provider, LOGGED_IN, verifier, browser)
    _raise_error(flow.login)
    if not flow.login_skip:
        remember, of_page = bool(flow.login.get("remember")), flow.login.get("identity_provider_session_id") or ""
        provider.open(LoginSession(flow.sid, flow.subject, flow.auth_time, remember, of_page))
    return flow


# Consent


def ask_consent(provider: Provider, flow: Flow) -> str:
    """The challenge for the consent page, which is asked even where an earlier consent is enough."""
    earlier = provider.remembered_consent(flow.subject, flow.asked.client.client_id)
    enough = earlier is not None and set(flow.asked.scope.split()) <= set(earlier.scope.split())
    skip = enough and "consent" not in flow.asked.prompt
    if "none" in flow.asked.prompt and not skip:
        raise ConsentRequiredError("Prompt none was requested, but no previous consent was found.")
    return provider.sealed.seal(CONSENT, replace(flow, consent_skip=skip))


def consent_flow(provider: Provider, challenge: str) -> Flow:
    flow: Flow = provider.sealed.open(CONSENT, challenge)
    return flow


def accept_consent(provider: Provider, challenge: str, answer: Answer) -> str:
    """Agree to ``answer["grant_scope"]``; where to send the browser."""
    flow = replace(consent_flow(provider, challenge), consent=answer, handled_at=provider.clock())
    return _verify(provider, CONSENTED, flow)


def reject_consent(provider: Provider, challenge: str, answer: Answer) -> str:
    """Do not agree; where to send the browser."""
    return _verify(provider, CONSENTED, replace(consent_flow(provider, challenge), consent=_error(answer)))


def finish(provider: Provider, verifier: str, browser: str) -> dict[str, str]:
    """The browser is back from the consent page: the parameters that it takes to the ``redirect_uri``."""
    flow = _verified(provider, CONSENTED, verifier, browser)
    _raise_error(flow.consent)
    answer = flow.consent
    consent = Consent(
        provider.login_sessions.get(flow.sid) or LoginSession(flow.sid, flow.subject, flow.auth_time),
        flow.asked.client.client_id,
        " ".join(answer.get("grant_scope") or ()),
        flow.handled_at,
        flow.consent_request_id,
        remember=bool(answer.get("remember")),
        remember_for=answer.get("remember_for") or 0,
        reused=flow.consent_skip,
        claims=_claims(flow),
        request=documents.consent_request(provider, flow, challenge=""),
    )
    return grant(provider, flow.asked, provider.consent(consent))


def _claims(flow: Flow) -> dict[str, Any]:
    """What the pages put into the ID token: of the provider's own claims no more than ``acr`` and ``amr``."""
    chosen = (flow.consent.get("session") or {}).get("id_token") or {}
    of_login = {name: flow.login[name] for name in ("acr", "amr") if flow.login.get(name)}
    return {**{name: value for name, value in chosen.items() if name not in RESERVED}, **of_login}


# Verifiers


def _verify(provider: Provider, purpose: str, flow: Flow) -> str:
    return request_url(provider, flow, **{purpose: provider.sealed.seal(purpose, flow)})


def _verified(provider: Provider, purpose: str, verifier: str, browser: str) -> Flow:
    try:
        flow: Flow = provider.sealed.use(purpose, verifier)
    except OAuth2Error as error:
        raise AccessDeniedError(f"The {purpose.replace('_', ' ')} has already been used or is unknown.") from error
    if flow.browser != browser:
        description = "The request is not allowed. No CSRF value available in the session cookie."
        raise OAuth2Error(description, error="request_forbidden", status_code=HTTPStatus.FORBIDDEN)
    return flow


def _error(answer: Answer) -> dict[str, str]:
    """A page's refusal, in the characters that an error response may have (RFC 6749, 4.1.2.1)."""
    told = {"error": answer.get("error") or "request_denied", "description": answer.get("error_description") or ""}
    return {name: text.encode("ascii", "replace").decode().replace('"', "'") for name, text in told.items()}


def _raise_error(answer: Mapping[str, Any]) -> None:
    if "error" in answer:
        raise OAuth2Error(answer["description"], error=answer["error"])
