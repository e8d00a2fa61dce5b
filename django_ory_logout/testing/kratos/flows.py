"""Login and settings flows: their forms, and their JSON documents. A flow is kept until this server stops."""

from collections.abc import Mapping
from typing import Any

from . import documents
from .kratos import Kratos
from .records import Flow, Message
from .refusals import session_already_available

Json = dict[str, Any]

_ERRORS = 4_000_000
SIGN_IN_AGAIN = (1010003, "Please confirm this action by verifying that it is you.")
SECOND_FACTOR = (1010004, "Please complete the second authentication challenge.")
WRONG_PASSWORD = (
    4000006,
    "The provided credentials are invalid, check for spelling mistakes in your password or username, "
    "email address, or phone number.",
)
WRONG_CODE = (4000008, "The provided authentication code is invalid, please try again.")
SIGNED_IN_ALREADY = (4000001, str(session_already_available()))


_LIFESPAN = 10 * 60


def document(kratos: Kratos, flow: Flow) -> Json:
    optional: Mapping[str, str] = {"return_to": flow.return_to, "oauth2_login_challenge": flow.login_challenge}
    return {
        "id": flow.id,
        "organization_id": None,
        "type": flow.type,
        "expires_at": documents.time(flow.issued_at + _LIFESPAN),
        "issued_at": documents.time(flow.issued_at),
        "request_url": flow.request_url,
        **{name: value for name, value in optional.items() if value},
        "ui": _ui(kratos, flow),
        "refresh": flow.refresh,
        "requested_aal": flow.requested_aal,
        "state": "choose_method",
    }


def _ui(kratos: Kratos, flow: Flow) -> Json:
    messages = [_message(flow.message)] if flow.message else []
    return {
        "action": kratos.url(f"/self-service/{flow.name}?flow={flow.id}"),
        "method": "POST",
        "nodes": [_input("default", "csrf_token", "hidden", flow.csrf_token), *_nodes(flow)],
        **({"messages": messages} if messages else {}),
    }


def _message(message: Message) -> Json:
    return {"id": message[0], "text": message[1], "type": "error" if is_error(message) else "info"}


def is_error(message: Message) -> bool:
    """Whether the message is an error. Kratos' message numbers show it."""
    return message[0] >= _ERRORS


def _nodes(flow: Flow) -> list[Json]:
    if flow.totp_secret:
        secret = {"id": "totp_secret_key", "text": {"id": 1050006, "text": flow.totp_secret, "type": "info"}}
        shown = {"type": "text", "group": "totp", "attributes": {**secret, "node_type": "text"}, "messages": []}
        return [shown, *_totp()]
    if flow.requested_aal == "aal2":
        return _totp()
    return [
        _input("default", "identifier", "hidden" if flow.refresh else "text", flow.identifier),
        _input("password", "password", "password"),
        _input("password", "method", "submit", "password"),
    ]


def _totp() -> list[Json]:
    return [_input("totp", "totp_code", "text"), _input("totp", "method", "submit", "totp")]


def _input(group: str, name: str, kind: str, value: str = "") -> Json:
    attributes = {"name": name, "type": kind, "value": value, "disabled": False, "node_type": "input"}
    return {"type": "input", "group": group, "attributes": attributes, "messages": [], "meta": {}}
