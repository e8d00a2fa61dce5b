"""The admin API: identities and their sessions, without any credentials."""

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
    """With a password in clear. 409 where the identifier is somebody's."""
    given = _document(request)
    traits = dict(given.get("traits") or {})
    if "email" not in traits:
        raise Refusal(HTTPStatus.BAD_REQUEST, 'missing properties: "email"')
    if kratos.called(traits["email"]):
        raise Refusal(HTTPStatus.CONFLICT, "This identity conflicts with another identity that already exists.")
    made = kratos.identity(**{**traits, "password": _password(given)})
    return of_json(_identity(kratos, made), HTTPStatus.CREATED)


def _password(given: Mapping[str, Any]) -> str:
    match given:
        case {"credentials": {"password": {"config": {"password": str(password)}}}}:
            return password
    return ""


def _document(request: Request) -> Any:
    try:
        return json.loads(request.body)
    except ValueError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, message="unexpected EOF") from error


def list_identities(kratos: Kratos, request: Request) -> Answer:
    """All, or the one that signs in by ``credentials_identifier``."""
    identifier = request.query.get("credentials_identifier")
    one = kratos.called(identifier or "")
    listed = ([one] if one else []) if identifier else list(kratos.identities.values())
    return of_json([_identity(kratos, identity) for identity in listed])


def read_identity(kratos: Kratos, request: Request, identity_id: str) -> Answer:
    return of_json(_identity(kratos, _existing(kratos.identities, identity_id)))


def patch_identity(kratos: Kratos, request: Request, identity_id: str) -> Answer:
    """Activate or deactivate it; nothing else can be changed here."""
    identity = _existing(kratos.identities, identity_id)
    match _document(request):
        case [{"op": "replace", "path": "/state", "value": "active" | "inactive" as state}]:
            identity.state = state
        case _:
            raise Refusal(HTTPStatus.BAD_REQUEST, "Only /state can be replaced.")
    return of_json(_identity(kratos, identity))


def delete_identity(kratos: Kratos, request: Request, identity_id: str) -> Answer:
    """Its sessions go with it."""
    identity = _existing(kratos.identities, identity_id)
    kratos.forget(identity.id)
    del kratos.identities[identity.id]
    return NOTHING


def list_sessions(kratos: Kratos, request: Request, identity_id: str) -> Answer:
    """The latest first; an empty list where there is no such identity.

    Those of a deactivated identity count as active, though each says that it is not.
    """
    listed = kratos.sessions_of(uuid(identity_id))
    if text := request.query.get("active"):
        active = _boolean(text)
        listed = [one for one in listed if kratos.lasts(one) is active]
    shown, headers = paging.page(request, f"/admin/identities/{identity_id}/sessions", listed)
    return of_json([documents.session(kratos, one, listed=True) for one in shown], headers=headers)


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, message="could not parse parameter active") from error


def delete_sessions(kratos: Kratos, request: Request, identity_id: str) -> Answer:
    """404 where there are none, and where there is no such identity."""
    if not kratos.forget(uuid(identity_id)):
        raise Refusal(HTTPStatus.NOT_FOUND)
    return NOTHING


def read_session(kratos: Kratos, request: Request, session_id: str) -> Answer:
    """Without its identity and devices, unless ``expand`` asks for them."""
    session, expand = _session(kratos, session_id), request.query.get("expand", "")
    whole = documents.session(kratos, session)
    if expand and expand not in ("identity", "devices"):
        raise Refusal(HTTPStatus.BAD_REQUEST, f"Could not parse expand option: {expand}")
    return of_json({**documents.bare_session(kratos, session), **({expand: whole[expand]} if expand else {})})


def end_session(kratos: Kratos, request: Request, session_id: str) -> Answer:
    """Its record stays, inactive."""
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
