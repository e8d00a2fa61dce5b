"""Switches for end-to-end tests, under ``/testing/`` of Kratos: JSON in, JSON out, as those of :mod:`.switches`."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from ...http import Answer, Request
from ...kratos import documents, totp
from .site import KratosSite

Json = dict[str, Any]


def answer(face: KratosSite, request: Request) -> Answer | None:
    """None for a path that is no switch."""
    switch = SWITCHES.get(request.path)
    if switch is None:
        return None
    if request.method != "POST":
        return Answer.of_json({"error": "POST only"}, HTTPStatus.METHOD_NOT_ALLOWED)
    if request.headers.get("Content-Type") != "application/json":
        return Answer.of_json({"error": "application/json only"}, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    return Answer.of_json(switch(face, json.loads(request.body)))


def sessions(face: KratosSite, order: Json) -> Json:
    """The sessions, oldest first."""
    return {"sessions": [documents.session(face.kratos, one) for one in list(face.kratos.sessions.values())]}


def end(face: KratosSite, order: Json) -> Json:
    """End the session with ``session_id``; nobody is told."""
    return {"ended": face.kratos.end(order["session_id"])}


def configure(face: KratosSite, order: Json) -> Json:
    """Set ``required_aal``, ``persistent``, ``lifespan`` or ``allowed_return_urls``."""
    for name in ("required_aal", "persistent", "lifespan", "allowed_return_urls"):
        setattr(face.kratos, name, order.get(name, getattr(face.kratos, name)))
    return order


def second_factor(face: KratosSite, order: Json) -> Json:
    """Give who is called ``identifier`` a second factor: its secret, and the code of now."""
    identity = face.kratos.called(order["identifier"])
    secret = totp.new_secret()
    if identity:
        identity.totp_secret = secret
    return {"totp_secret": secret, "totp_code": totp.code(secret, face.kratos.clock())}


def fault(face: KratosSite, order: Json) -> Json:
    """Answer every request for ``path`` with ``status``, until ``status`` is null; the path ``""`` is all of them."""
    if order["status"] is None:
        face.faults.pop(order["path"], None)
    else:
        face.faults[order["path"]] = order["status"]
    return {"faults": face.faults}


SWITCHES: dict[str, Callable[[KratosSite, Json], Json]] = {
    "/testing/sessions": sessions,
    "/testing/end": end,
    "/testing/configure": configure,
    "/testing/second-factor": second_factor,
    "/testing/fault": fault,
}
