"""The paths of the calls below ``/admin``."""

from http import HTTPStatus

from authlib.oauth2.rfc6749.errors import OAuth2Error

from ...http import Answer, Request
from .. import challenges
from . import clients, keys, requests, sessions
from .api import Admin, Call

_CALLS: dict[tuple[str, str], Call] = {
    ("DELETE", "/oauth2/auth/sessions/login"): sessions.end_login_sessions,
    ("GET", "/oauth2/auth/sessions/consent"): sessions.list_consents,
    ("DELETE", "/oauth2/auth/sessions/consent"): sessions.revoke_consents,
    ("DELETE", "/oauth2/tokens"): sessions.delete_access_tokens,
    ("POST", "/oauth2/introspect"): sessions.introspect,
    ("GET", "/keys/hydra.openid.id-token"): keys.read,
    ("POST", "/clients"): clients.create,
    ("GET", "/clients/"): clients.read,
    ("PUT", "/clients/"): clients.put,
    ("PATCH", "/clients/"): clients.patch,
    ("DELETE", "/clients/"): clients.delete,
    ("GET", "/oauth2/auth/requests/login"): requests.read_login,
    ("PUT", "/oauth2/auth/requests/login/accept"): requests.answered(challenges.LOGIN, challenges.accept_login),
    ("PUT", "/oauth2/auth/requests/login/reject"): requests.answered(challenges.LOGIN, challenges.reject_login),
    ("GET", "/oauth2/auth/requests/consent"): requests.read_consent,
    ("PUT", "/oauth2/auth/requests/consent/accept"): requests.answered(challenges.CONSENT, challenges.accept_consent),
    ("PUT", "/oauth2/auth/requests/consent/reject"): requests.answered(challenges.CONSENT, challenges.reject_consent),
    ("GET", "/oauth2/auth/requests/logout"): requests.read_logout,
    ("PUT", "/oauth2/auth/requests/logout/accept"): requests.accept_logout,
    ("PUT", "/oauth2/auth/requests/logout/reject"): requests.reject_logout,
}
#: The path of a client. Its id follows.
_CLIENT = "/clients/"
_NOT_FOUND = Answer(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n")


def answer(admin: Admin, request: Request) -> Answer:
    """Answer a call. Its path comes without ``/admin``. For an unknown path, the 404 is not an OAuth error."""
    is_client = request.path.startswith(_CLIENT) and "/" not in request.path.removeprefix(_CLIENT)
    call = _CALLS.get((request.method, _CLIENT if is_client else request.path))
    if call is None:
        return _NOT_FOUND
    try:
        return call(admin, request)
    except OAuth2Error as error:
        return Answer.of_json(dict(error.get_body()), error.status_code)
