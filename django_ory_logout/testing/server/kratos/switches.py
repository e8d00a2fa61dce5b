"""Switches for end-to-end tests, under ``/testing/`` of Kratos: JSON in, JSON out, as in :mod:`..switches`."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from ...http import Answer, Request
from ...kratos import documents, totp
from .site import KratosSite

Json = dict[str, Any]


def answer(site: KratosSite, request: Request) -> Answer | None:
    """The answer of a switch. None if the path is not a switch."""
    switch = SWITCHES.get(request.path)
    if switch is None:
        return None
    if request.method != "POST":
        return Answer.of_json({"error": "POST only"}, HTTPStatus.METHOD_NOT_ALLOWED)
    if request.headers.get("Content-Type") != "application/json":
        return Answer.of_json({"error": "application/json only"}, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    return Answer.of_json(switch(site, json.loads(request.body)))


def sessions(site: KratosSite, order: Json) -> Json:
    """The sessions, the oldest first."""
    return {"sessions": [documents.session(site.kratos, session) for session in list(site.kratos.sessions.values())]}


def end(site: KratosSite, order: Json) -> Json:
    """End the session with ``session_id``. Kratos sends no notices."""
    return {"ended": site.kratos.end(order["session_id"])}


def configure(site: KratosSite, order: Json) -> Json:
    """Set ``required_aal``, ``persistent``, ``lifespan`` or ``allowed_return_urls``."""
    for name in ("required_aal", "persistent", "lifespan", "allowed_return_urls"):
        setattr(site.kratos, name, order.get(name, getattr(site.kratos, name)))
    return order


def second_factor(site: KratosSite, order: Json) -> Json:
    """Give the identity of ``identifier`` a second factor. Returns its secret and the current code."""
    identity = site.kratos.find_identity(order["identifier"])
    secret = totp.new_secret()
    if identity:
        identity.totp_secret = secret
    return {"totp_secret": secret, "totp_code": totp.code(secret, site.kratos.clock())}


def fault(site: KratosSite, order: Json) -> Json:
    """Answer each request for ``path`` with ``status``, until ``status`` is null. The path ``""`` means all paths."""
    if order["status"] is None:
        site.faults.pop(order["path"], None)
    else:
        site.faults[order["path"]] = order["status"]
    return {"faults": site.faults}


SWITCHES: dict[str, Callable[[KratosSite, Json], Json]] = {
    "/testing/sessions": sessions,
    "/testing/end": end,
    "/testing/configure": configure,
    "/testing/second-factor": second_factor,
    "/testing/fault": fault,
}
