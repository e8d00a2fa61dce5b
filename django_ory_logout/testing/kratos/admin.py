"""The admin API for identities and their sessions. It requires no credentials."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from ..http import Answer, Request
from . import documents, paging
from .answers import of_json
from .kratos import Kratos
from .records import Identity, Session
from .refusals import Refusal
from .sessions import NOTHING, uuid

Record = TypeVar("Record")
_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


def create_identity(kratos: Kratos, request: Request) -> Answer:
    """Create an identity with a plain-text password. 409 if another identity has the identifier."""
    document = _document(request)
    traits = dict(document.get("traits") or {})
    if "email" not in traits:
        raise Refusal(HTTPStatus.BAD_REQUEST, 'missing properties: "email"')
    if kratos.find_identity(traits["email"]):
        raise Refusal(HTTPStatus.CONFLICT, "This identity conflicts with another identity that already exists.")
    identity = kratos.identity(**{**traits, "password": _password(document)})
    return of_json(_identity(kratos, identity), HTTPStatus.CREATED)


def _password(document: Mapping[str, Any]) -> str:
    match document:
        case {"credentials": {"password": {"config": {"password": str(password)}}}}:
            return password
    return ""


def _document(request: Request) -> Any:
    try:
        return json.loads(request.body)
    except ValueError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, message="unexpected EOF") from error


def list_identities(kratos: Kratos, request: Request) -> Answer:
    """All identities, or the identity that signs in by ``credentials_identifier``."""
    identifier = request.query.get("credentials_identifier")
    found = kratos.find_identity(identifier or "")
    listed = ([found] if found else []) if identifier else list(kratos.identities.values())
    return of_json([_identity(kratos, identity) for identity in listed])


def read_identity(kratos: Kratos, request: Request, identity_id: str) -> Answer:
    return of_json(_identity(kratos, _existing(kratos.identities, identity_id)))


def patch_identity(kratos: Kratos, request: Request, identity_id: str) -> Answer:
    """Activate or deactivate an identity. No other change is possible here."""
    identity = _existing(kratos.identities, identity_id)
    match _document(request):
        case [{"op": "replace", "path": "/state", "value": "active" | "inactive" as state}]:
            identity.state = state
        case _:
            raise Refusal(HTTPStatus.BAD_REQUEST, "This server can replace only /state.")
    return of_json(_identity(kratos, identity))


def delete_identity(kratos: Kratos, request: Request, identity_id: str) -> Answer:
    """Delete an identity and its sessions."""
    identity = _existing(kratos.identities, identity_id)
    kratos.delete_sessions(identity.id)
    del kratos.identities[identity.id]
    return NOTHING


def list_sessions(kratos: Kratos, request: Request, identity_id: str) -> Answer:
    """The sessions, the latest first. The list is empty if there is no such identity.

    ``active=true`` selects the sessions of a deactivated identity too, but each of them has ``active: false``.
    """
    listed = kratos.sessions_of(uuid(identity_id))
    if text := request.query.get("active"):
        active = _boolean(text)
        listed = [session for session in listed if kratos.is_valid(session) is active]
    shown, headers = paging.page(request, f"/admin/identities/{identity_id}/sessions", listed)
    return of_json([documents.session(kratos, session, listed=True) for session in shown], headers=headers)


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, message="could not parse parameter active") from error


def delete_sessions(kratos: Kratos, request: Request, identity_id: str) -> Answer:
    """Delete all sessions of an identity. 404 if it has none, or if there is no such identity."""
    if not kratos.delete_sessions(uuid(identity_id)):
        raise Refusal(HTTPStatus.NOT_FOUND)
    return NOTHING


def read_session(kratos: Kratos, request: Request, session_id: str) -> Answer:
    """A session, without its identity and devices unless ``expand`` names one of them."""
    session, expand = _session(kratos, session_id), request.query.get("expand", "")
    whole = documents.session(kratos, session)
    if expand and expand not in ("identity", "devices"):
        raise Refusal(HTTPStatus.BAD_REQUEST, f"Could not parse expand option: {expand}")
    return of_json({**documents.bare_session(kratos, session), **({expand: whole[expand]} if expand else {})})


def end_session(kratos: Kratos, request: Request, session_id: str) -> Answer:
    """End a session. Its record stays, but is not active."""
    kratos.end(_session(kratos, session_id).id)
    return NOTHING


def _session(kratos: Kratos, session_id: str) -> Session:
    return _existing(kratos.sessions, uuid(session_id))


def _existing(records: Mapping[str, Record], key: str) -> Record:
    if key not in records:
        raise Refusal(HTTPStatus.NOT_FOUND)
    return records[key]


def _identity(kratos: Kratos, identity: Identity) -> documents.Json:
    return {**documents.identity(kratos, identity), "metadata_admin": None}
