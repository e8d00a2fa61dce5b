"""Login sessions, consents and tokens."""

from urllib.parse import urlencode

from authlib.oauth2.rfc6749.errors import InvalidRequestError

from ...http import Answer, Request
from .. import documents
from ..records import Consent
from .api import NOTHING, Admin, parameter

PAGE_SIZE = 250


def end_login_sessions(admin: Admin, request: Request) -> Answer:
    """End one session by ``sid``, with notices, or all of a ``subject``, without notices. ``sid`` has priority."""
    sid, subject = request.query.get("sid"), request.query.get("subject")
    if sid:
        admin.deliver(admin.provider.end(sid))
    elif subject:
        admin.provider.delete_login_sessions(subject)
    else:
        raise InvalidRequestError("Either subject or sid query parameters need to be defined.")
    return NOTHING


def list_consents(admin: Admin, request: Request) -> Answer:
    """The consents, the latest first. Leaves out reused consents, and consents past their ``remember_for``."""
    provider, subject = admin.provider, parameter(request, "subject")
    sid = request.query.get("login_session_id")
    listed = [
        documents.consent_session(provider, consent)
        for consent in reversed(provider.consents)
        if consent.login_session.subject == subject and not consent.reused and consent.is_valid(provider.clock())
    ]
    if sid:
        listed = [document for document in listed if document["consent_request"]["login_session_id"] == sid]
    size, start = (_number(request, name, default) for name, default in (("page_size", PAGE_SIZE), ("page_token", 0)))
    tokens = {"first": 0} | ({"next": start + size} if len(listed) > start + size else {})
    links = [_link(request, page_token, rel) for rel, page_token in tokens.items()]
    return Answer.of_json(listed[start : start + size], headers={"Link": ",".join(links)})


def _number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name) or str(default)
    if not text.isdecimal():
        raise InvalidRequestError("Unable to parse pagination parameters.")
    return int(text)


def _link(request: Request, page_token: int, rel: str) -> str:
    query = urlencode({**request.query, "page_token": page_token})
    return f'</admin{request.path}?{query}>; rel="{rel}"'


def revoke_consents(admin: Admin, request: Request) -> Answer:
    """Revoke the consents of a subject for one ``client`` or for ``all``, or one consent by its id. Otherwise 400."""
    query = request.query
    subject, client_id, request_id = (query.get(name, "") for name in ("subject", "client", "consent_request_id"))
    by_id = request_id and not subject and not client_id
    by_subject = subject and not request_id and bool(client_id) != (query.get("all") == "true")
    if not by_id and not by_subject:
        raise InvalidRequestError("Invalid combination of query parameters.")

    def is_chosen(consent: Consent) -> bool:
        if request_id:
            return consent.consent_request_id == request_id
        return consent.login_session.subject == subject and client_id in ("", consent.client_id)

    admin.provider.revoke_consents(is_chosen)
    return NOTHING


def delete_access_tokens(admin: Admin, request: Request) -> Answer:
    """Delete the access tokens of a client. Its refresh tokens stay."""
    admin.provider.grants.delete_access_tokens(parameter(request, "client_id"))
    return NOTHING


def introspect(admin: Admin, request: Request) -> Answer:
    """Whether an access or refresh token is active. The answer for an inactive token has no details."""
    found = admin.provider.grants.grant_of(request.form.get("token", ""))
    return Answer.of_json(documents.introspection(admin.provider, *found) if found else {"active": False})
