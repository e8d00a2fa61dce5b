"""Forms that a client submits to a flow."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ..http import Answer, Request
from . import csrf, flows
from .answers import of_json, see_other
from .kratos import Kratos
from .records import Flow, Message
from .redirects import wants_json
from .refusals import Refusal
from .sessions import uuid


def found(kratos: Kratos, flow_id: str, name: str) -> Flow:
    """The flow. Raises 404 if it is unknown."""
    flow = kratos.flows.get(flow_id)
    if flow is None or flow.name != name:
        raise Refusal(HTTPStatus.NOT_FOUND)
    return flow


def submitted(kratos: Kratos, request: Request, name: str) -> tuple[Flow, Mapping[str, Any]]:
    """The flow of ``?flow=`` and the submitted form."""
    if not request.query.get("flow"):
        raise Refusal(HTTPStatus.BAD_REQUEST, "The flow query parameter is missing or malformed.")
    flow, answer = found(kratos, uuid(request.query["flow"]), name), _answer(request)
    require_browser(request, flow, answer.get("csrf_token", ""))
    return flow, answer


def _answer(request: Request) -> Mapping[str, Any]:
    if request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        return request.form
    try:
        return dict(json.loads(request.body))
    except (ValueError, TypeError) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"Unable to decode JSON payload: {error}") from error


def require_browser(request: Request, flow: Flow, token: str) -> None:
    """Raises 403 if a flow comes from another browser than its own, or without its token."""
    if flow.type == "browser" and not flow.csrf_token == token == csrf.token(request):
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "Please retry the flow and optionally clear your cookies. The request was rejected to protect you from "
            "Cross-Site-Request-Forgery (CSRF) which could cause account takeover, leaking personal information, "
            "and other serious security issues.",
            error_id="security_csrf_violation",
            message="the request was rejected to protect you from Cross-Site-Request-Forgery",
        )


def again(kratos: Kratos, request: Request, flow: Flow, message: Message) -> Answer:
    """Show the flow again with an error message: at the login page, or as JSON."""
    flow.message = message
    if flow.type == "browser" and not wants_json(request):
        return see_other(f"{kratos.login_url}?flow={flow.id}")
    return of_json(flows.document(kratos, flow), HTTPStatus.BAD_REQUEST)
