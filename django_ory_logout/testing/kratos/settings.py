"""The settings flow of native applications, only for a second factor."""

from http import HTTPStatus

from ..http import Answer, Request
from . import flows, forms, totp
from .answers import of_json
from .credentials import session_of
from .kratos import Kratos
from .records import Flow, Session
from .refusals import Refusal


def begin_natively(kratos: Kratos, request: Request) -> Answer:
    """Begin a flow that offers a TOTP secret."""
    _require_session(kratos, request)
    url = kratos.url(request.path)
    flow = Flow("settings", "api", kratos.clock(), url, totp_secret=totp.new_secret())
    kratos.flows[flow.id] = flow
    return of_json(flows.document(kratos, flow))


def submit(kratos: Kratos, request: Request) -> Answer:
    """Store the TOTP secret if the code is right. The session has its second factor then."""
    flow, answer = forms.submitted(kratos, request, "settings")
    session = _require_session(kratos, request)
    if not totp.is_valid(flow.totp_secret, answer.get("totp_code", ""), kratos.clock()):
        return forms.again(kratos, request, flow, flows.WRONG_CODE)
    session.identity.totp_secret = flow.totp_secret
    kratos.reauthenticate(session, "totp")
    return of_json(flows.document(kratos, flow))


def _require_session(kratos: Kratos, request: Request) -> Session:
    session = session_of(kratos, request)
    if session is None:
        raise Refusal(
            HTTPStatus.UNAUTHORIZED,
            "This endpoint can only be accessed with a valid session. Please log in and try again.",
            error_id="session_inactive",
            message="request does not have a valid authentication session",
        )
    return session
