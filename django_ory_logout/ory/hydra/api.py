"""Send requests to Hydra's admin API, and map its errors to exceptions.

If Hydra refuses a call, it raises :exc:`HydraError`. If Hydra cannot answer now, it raises :exc:`ProviderUnavailable`.
Both contain only the path of the call, the status and Hydra's name for the error. For wrong client metadata they
contain Hydra's description too, because we sent that metadata.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from ... import http
from ...exceptions import ChallengeHandled, HydraError, OryLogoutError, ProviderUnavailable, SetupError
from ...oidc.messages import FORM
from .. import api
from .documents import redirect_to

Codes = Mapping[int, str]

#: The meaning of each status from Hydra. A wrong address, a gateway or a proxy sends the same statuses without Hydra's
#: error format: then OF_API applies.
OF_CHALLENGE: Codes = {HTTPStatus.NOT_FOUND: "challenge_unknown", HTTPStatus.UNAUTHORIZED: "challenge_expired"}
OF_CLIENT: Codes = {
    HTTPStatus.NOT_FOUND: "client_unknown",
    HTTPStatus.CONFLICT: "client_exists",
    HTTPStatus.BAD_REQUEST: "client_metadata_invalid",
}
OF_API: Codes = {
    HTTPStatus.NOT_FOUND: "hydra_not_found",
    HTTPStatus.UNAUTHORIZED: "hydra_unauthorized",
    HTTPStatus.FORBIDDEN: "hydra_unauthorized",
}


class AdminAPI(api.AdminAPI):
    """Hydra's admin API: one method for each kind of call."""

    def get(self, path: str, **query: str) -> http.Response:
        return _checked(self._send("GET", path, query), f"GET {path}")

    def delete(self, path: str, **query: str) -> None:
        """Delete the objects that ``query`` selects. Success is 204 only: a 200 can come from a proxy."""
        _checked(self._send("DELETE", path, query), f"DELETE {path}", HTTPStatus.NO_CONTENT)

    def post_form(self, path: str, **form: str) -> http.Response:
        response = http.post(api.url(self._base, path), urlencode(form), {"Content-Type": FORM, **self._headers()})
        return _checked(response, f"POST {path}")

    def ask_for_client(
        self, method: str, client_id: str = "", document: object = None, expected: HTTPStatus = HTTPStatus.OK
    ) -> dict[str, Any]:
        """Read or write a client. Without ``client_id``, create one."""
        path = f"/clients/{quote(client_id, safe='')}" if client_id else "/clients"
        response = self._send(method, path, document=document)
        if response.status == HTTPStatus.BAD_REQUEST and (reason := _word(response, "error_description")):
            raise HydraError("client_metadata_invalid", repr(reason[-300:]))
        return _checked(response, f"{method} {path}", expected, OF_CLIENT).json()

    def ask_for_request(
        self, method: str, kind: str, challenge: str, document: object = None, expected: HTTPStatus = HTTPStatus.OK
    ) -> http.Response:
        """Read or answer a request of a ``kind`` (``login``, or ``login/accept``)."""
        path, name = f"/oauth2/auth/requests/{kind}", kind.partition("/")[0]
        response = self._send(method, path, {f"{name}_challenge": challenge}, document)
        if response.status == HTTPStatus.GONE:
            raise ChallengeHandled(redirect_to(response.json()))
        if response.status == HTTPStatus.CONFLICT and method == "PUT":
            # The challenge has an answer already, for example after a double click. When we read the request, Hydra
            # usually sends the URL to continue at.
            request = self.ask_for_request("GET", name, challenge).json()
            raise ChallengeHandled(str(request.get("request_url") or ""))
        return _checked(response, f"{method} {path}", expected, OF_CHALLENGE)


def _checked(
    response: http.Response, call: str, expected: HTTPStatus = HTTPStatus.OK, codes: Codes | None = None
) -> http.Response:
    if response.status != expected:
        raise _refusal(response, call, codes or {})
    return response


def _refusal(response: http.Response, call: str, codes: Codes) -> OryLogoutError:
    status, error = response.status, _word(response, "error")
    detail = f"{call} answers {status} {error[:100]!r}" if error else f"{call} answers {status}"
    if response.is_temporary:
        return ProviderUnavailable("hydra_fault", detail)
    if not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return SetupError("hydra_unusable", f"{detail} at {response.url}")
    known = {**OF_API, **codes} if error else OF_API
    return HydraError(known.get(status, "hydra_refused"), detail)


def _word(response: http.Response, name: str) -> str:
    """A text member of Hydra's error (RFC 6749, 5.2). Empty if the answer has another format."""
    try:
        value = response.json().get(name)
    except ProviderUnavailable:
        return ""
    return value if isinstance(value, str) else ""
