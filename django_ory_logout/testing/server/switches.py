"""Switches for end-to-end tests, under ``/testing/``: JSON in, JSON out.

They require ``application/json``. A page of another origin cannot send it without a preflight request, so no web page
can control a provider on a developer's machine.
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
    def view(request: HttpRequest, site: ProviderSite) -> HttpResponse:
        if request.method != "POST":
            return JsonResponse({"error": "POST only"}, status=HTTPStatus.METHOD_NOT_ALLOWED)
        if request.content_type != "application/json":
            return JsonResponse({"error": "application/json only"}, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        return JsonResponse(act(site, json.loads(request.body)))

    return view


def sessions(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    """The login sessions, the oldest first."""
    listed = [
        {**asdict(session), "clients": site.provider.clients_of(session)}
        for session in site.provider.login_sessions.values()
    ]
    return JsonResponse({"sessions": listed})


def reports(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    """The results of the latest back-channel deliveries, the oldest first."""
    return JsonResponse(_reports(list(site.backchannel.reports)))


@_switch
def end(site: ProviderSite, order: Json) -> Json:
    """End sessions by ``sid`` or by ``sub``, deliver the logout tokens, and return the results."""
    return _reports(_end(site, **order))


@_switch
def overtake(site: ProviderSite, order: Json) -> Json:
    """End the login session of the next code, ``by`` its ``sid`` or ``sub``, before the token response."""

    def hook(session: LoginSession) -> None:
        _end(site, sub=session.subject) if order["by"] == "sub" else _end(site, sid=session.sid)

    site.provider.before_token_response = hook
    return {}


@_switch
def logout_token(site: ProviderSite, order: Json) -> Json:
    """A logout token for ``client_id`` with ``sid``, ``sub`` or both. It ends no session here and is not delivered."""
    return {"logout_token": site.provider.logout_token(**order)}


@_switch
def rotate_keys(site: ProviderSite, order: Json) -> Json:
    """Sign with a new key. With ``withdraw``, remove the old keys from the JWKS."""
    key = site.provider.rotate_keys()
    if order.get("withdraw"):
        site.provider.keys = [key]
    return {"kid": key.kid}


@_switch
def client(site: ProviderSite, order: Json) -> Json:
    """Change the registration of ``client_id``."""
    site.provider.register(replace(site.provider.clients[order["client_id"]], **order))
    return {"changed": sorted(order)}


@_switch
def fault(site: ProviderSite, order: Json) -> Json:
    """Answer each request for ``path`` with ``status``, until ``status`` is null."""
    if order["status"] is None:
        site.faults.pop(order["path"], None)
    else:
        site.faults[order["path"]] = order["status"]
    return {"faults": site.faults}


def _end(site: ProviderSite, *, sid: str = "", sub: str = "") -> list[Report]:
    return site.backchannel.deliver(site.provider.end_subject(sub) if sub else site.provider.end(sid))


def _reports(reports: list[Report]) -> Json:
    return {"deliveries": [asdict(report) for report in reports]}


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
