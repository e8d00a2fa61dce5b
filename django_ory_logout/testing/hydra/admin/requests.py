"""Read, accept and reject login, consent and logout requests. The site that serves the pages sends these calls."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from ...http import Answer, Request
from .. import challenges, documents
from ..provider import Provider
from .api import NOTHING, Admin, document, parameter

Give = Callable[[Provider, str, Mapping[str, Any]], str]


def read_login(admin: Admin, request: Request) -> Answer:
    challenge = parameter(request, challenges.LOGIN)
    flow = challenges.login_flow(admin.provider, challenge)
    return Answer.of_json(documents.login_request(admin.provider, flow, challenge))


def read_consent(admin: Admin, request: Request) -> Answer:
    challenge = parameter(request, challenges.CONSENT)
    flow = challenges.consent_flow(admin.provider, challenge)
    return Answer.of_json(documents.consent_request(admin.provider, flow, challenge))


def answered(name: str, give: Give) -> Callable[[Admin, Request], Answer]:
    """A call that answers the challenge in the parameter ``name``."""

    def call(admin: Admin, request: Request) -> Answer:
        return _redirect(give(admin.provider, parameter(request, name), document(request)))

    return call


def read_logout(admin: Admin, request: Request) -> Answer:
    """410 after the browser has come back with the verifier."""
    challenge = request.query.get("logout_challenge", "")
    logout_request = admin.logout_requests.get(challenge)
    if logout_request.handled:
        return _redirect(logout_request.request_url, HTTPStatus.GONE)
    return Answer.of_json(documents.logout_request(admin.provider, logout_request, challenge))


def accept_logout(admin: Admin, request: Request) -> Answer:
    return _redirect(admin.logout_requests.accept(request.query.get("logout_challenge", "")))


def reject_logout(admin: Admin, request: Request) -> Answer:
    admin.logout_requests.reject(request.query.get("logout_challenge", ""))
    return NOTHING


def _redirect(redirect_to: str, status: int = HTTPStatus.OK) -> Answer:
    return Answer.of_json({"redirect_to": redirect_to}, status)
