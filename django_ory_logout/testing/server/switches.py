"""Switches for end-to-end tests, under ``/testing/``: JSON in, JSON out.

They want ``application/json``, which a page of another origin cannot send without asking first: no web page steers a
provider that runs on somebody's machine.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from ..hydra.backchannel import Report
from ..hydra.records import LoginSession
from .site import ProviderSite, View

Json = dict[str, Any]


def _switch(act: Callable[[ProviderSite, Json], Json]) -> View:
    @wraps(act)
    def view(request: HttpRequest, face: ProviderSite) -> HttpResponse:
        if request.method != "POST":
            return JsonResponse({"error": "POST only"}, status=HTTPStatus.METHOD_NOT_ALLOWED)
        if request.content_type != "application/json":
            return JsonResponse({"error": "application/json only"}, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        return JsonResponse(act(face, json.loads(request.body)))

    return view


def sessions(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    """The login sessions, oldest first."""
    listed = [
        {**asdict(session), "clients": face.provider.clients_of(session)}
        for session in face.provider.login_sessions.values()
    ]
    return JsonResponse({"sessions": listed})


def reports(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    """What came of the latest back-channel deliveries, oldest first."""
    return JsonResponse(_reports(list(face.backchannel.reports)))


@_switch
def end(face: ProviderSite, order: Json) -> Json:
    """End by ``sid`` or by ``sub``, deliver, and tell what the clients answered."""
    return _reports(_end(face, **order))


@_switch
def overtake(face: ProviderSite, order: Json) -> Json:
    """End the login session of the next code, ``by`` its ``sid`` or ``sub``, before the tokens are given."""

    def hook(session: LoginSession) -> None:
        _end(face, sub=session.subject) if order["by"] == "sub" else _end(face, sid=session.sid)

    face.provider.before_token_response = hook
    return {}


@_switch
def logout_token(face: ProviderSite, order: Json) -> Json:
    """A logout token for ``client_id`` with ``sid``, ``sub`` or both, which ends nothing here and is not delivered."""
    return {"logout_token": face.provider.logout_token(**order)}


@_switch
def rotate_keys(face: ProviderSite, order: Json) -> Json:
    """Sign with a new key; with ``withdraw`` the old ones leave the JWKS."""
    key = face.provider.rotate_keys()
    if order.get("withdraw"):
        face.provider.keys = [key]
    return {"kid": key.kid}


@_switch
def client(face: ProviderSite, order: Json) -> Json:
    """Change the registration of ``client_id``."""
    face.provider.register(replace(face.provider.clients[order["client_id"]], **order))
    return {"changed": sorted(order)}


@_switch
def fault(face: ProviderSite, order: Json) -> Json:
    """Answer every request for ``path`` with ``status``, until ``status`` is null."""
    if order["status"] is None:
        face.faults.pop(order["path"], None)
    else:
        face.faults[order["path"]] = order["status"]
    return {"faults": face.faults}


def _end(face: ProviderSite, *, sid: str = "", sub: str = "") -> list[Report]:
    return face.backchannel.deliver(face.provider.end_subject(sub) if sub else face.provider.end(sid))


def _reports(made: list[Report]) -> Json:
    return {"deliveries": [asdict(report) for report in made]}


VIEWS: dict[str, View] = {
    "/testing/sessions": sessions,
    "/testing/reports": reports,
    "/testing/end": end,
    "/testing/overtake": overtake,
    "/testing/logout-token": logout_token,
    "/testing/rotate-keys": rotate_keys,
    "/testing/client": client,
    "/testing/fault": fault,
}
