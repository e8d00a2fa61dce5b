"""The JSON documents of Hydra's admin API."""

from datetime import UTC, datetime
from typing import Any

from ..uris import set_query
from . import registration
from .end_session import LogoutRequest
from .flow import Flow
from .provider import Provider
from .records import Consent, Grant

Json = dict[str, Any]


def request_url(provider: Provider, flow: Flow, **more: str) -> str:
    """The URL of the authorization request, with ``more`` parameters."""
    return set_query(provider.url("/oauth2/auth"), **{**flow.request.query, **more})


def login_request(provider: Provider, flow: Flow, challenge: str) -> Json:
    return {
        **_request(provider, flow, challenge),
        "skip": flow.login_skip,
        "session_id": flow.sid,
    }


def consent_request(provider: Provider, flow: Flow, challenge: str) -> Json:
    return {
        **_request(provider, flow, challenge),
        "consent_request_id": flow.consent_request_id,
        "skip": flow.consent_skip,
        "login_challenge": flow.login_id,
        "login_session_id": flow.sid,
        "acr": flow.login.get("acr") or "",
        "amr": flow.login.get("amr") or [],
        "context": flow.consent.get("context") or flow.login.get("context"),
    }


def _request(provider: Provider, flow: Flow, challenge: str) -> Json:
    query = flow.request.query
    context = {
        "acr_values": query.get("acr_values", "").split(),
        "display": query.get("display"),
        "login_hint": query.get("login_hint"),
        "ui_locales": query.get("ui_locales", "").split(),
    }
    return {
        "challenge": challenge,
        "subject": flow.subject,
        "requested_scope": flow.request.scope.split(),
        "requested_access_token_audience": [],
        "oidc_context": {name: value for name, value in context.items() if value},
        "client": _client(provider, flow.request.client.client_id),
        "request_url": request_url(provider, flow),
    }


def consent_session(provider: Provider, consent: Consent) -> Json:
    """A consent in the list. Its ``login_session_id`` is empty if the login session has ended."""
    session = consent.login_session
    is_active = provider.login_sessions.get(session.sid) is session
    return {
        "consent_request_id": consent.consent_request_id,
        "grant_scope": consent.scope.split(),
        "grant_access_token_audience": [],
        "session": {"access_token": {}, "id_token": dict(consent.claims)},
        "remember": consent.remember,
        "remember_for": consent.remember_for,
        "handled_at": _time(consent.handled_at),
        "context": None,
        "consent_request": {
            "challenge": "",
            "consent_request_id": consent.consent_request_id,
            "subject": session.subject,
            **consent.request,
            "client": _client(provider, consent.client_id),
            "login_session_id": session.sid if is_active else "",
        },
    }


def logout_request(provider: Provider, request: LogoutRequest, challenge: str) -> Json:
    return {
        "challenge": challenge,
        "subject": request.subject,
        "sid": request.sid,
        "request_url": request.request_url,
        "rp_initiated": request.rp_initiated,
        "requested_at": _time(request.requested_at) if request.requested_at else None,
        "expires_at": _time(request.expires_at) if request.expires_at else None,
        "client": _client(provider, request.client_id) if request.rp_initiated else None,
    }


def introspection(provider: Provider, use: str, grant: Grant) -> Json:
    """The answer for an active token (RFC 7662, 2.2). ``sub`` is the real subject, also for pairwise clients."""
    return {
        "active": True,
        "scope": grant.consent.scope,
        "client_id": grant.consent.client_id,
        "sub": grant.consent.login_session.subject,
        "exp": int(grant.expires),
        "aud": [],
        "iss": provider.issuer,
        "token_type": "Bearer",
        "token_use": use,
    }


def _client(provider: Provider, client_id: str) -> Json:
    client = provider.clients.get(client_id)
    return registration.document(client) if client else {"client_id": client_id}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
