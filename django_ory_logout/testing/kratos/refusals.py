"""The errors of Kratos, with its own texts."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

_MESSAGES = {
    HTTPStatus.BAD_REQUEST: "The request was malformed or contained invalid parameters",
    HTTPStatus.UNAUTHORIZED: "The request could not be authorized",
    HTTPStatus.FORBIDDEN: "The requested action was forbidden",
    HTTPStatus.NOT_FOUND: "Unable to locate the resource",
    HTTPStatus.CONFLICT: "The resource could not be created due to a conflict",
}


class Refusal(Exception):
    """An error answer. Clients recognise it by ``error_id``."""

    def __init__(
        self,
        status: HTTPStatus,
        reason: str = "",
        *,
        error_id: str = "",
        message: str = "",
        redirect_browser_to: str = "",
    ) -> None:
        super().__init__(reason or message)
        self.status = status
        #: Headers that the answer still needs, such as cookies.
        self.headers: Mapping[str, str] = {}
        error = {"id": error_id, "code": int(status), "status": status.phrase, "reason": reason}
        error["message"] = message or _MESSAGES[status]
        self.document: Json = {"error": {name: value for name, value in error.items() if value}}
        if redirect_browser_to:
            self.document["redirect_browser_to"] = redirect_browser_to


def session_inactive() -> Refusal:
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        "No active session was found in this request.",
        error_id="session_inactive",
        message="request does not have a valid authentication session",
    )


def second_factor_required(redirect_browser_to: str) -> Refusal:
    return Refusal(
        HTTPStatus.FORBIDDEN,
        "An active session was found but it does not fulfill the requested Authenticator Assurance Level. "
        "Please verify yourself with a second factor to resolve this issue.",
        error_id="session_aal2_required",
        message="Session does not fulfill the requested Authenticator Assurance Level",
        redirect_browser_to=redirect_browser_to,
    )


def location_change_required(redirect_browser_to: str) -> Refusal:
    return Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"In order to complete this flow please redirect the browser to: {redirect_browser_to}",
        error_id="browser_location_change_required",
        message="browser location change required",
        redirect_browser_to=redirect_browser_to,
    )


def session_already_available() -> Refusal:
    return Refusal(
        HTTPStatus.BAD_REQUEST,
        "A valid session was detected and thus login is not possible. Did you forget to set `?refresh=true`?",
        error_id="session_already_available",
        message="you are already logged in",
    )


def session_required() -> Refusal:
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        "You can not requested a higher AAL (AAL2/AAL3) without an active session.",
        error_id="session_aal1_required",
        message="aal2 and aal3 can only be requested if a session exists already",
    )


def challenge_refused() -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "Unable to get OAuth 2.0 Login Challenge.")


def return_to_forbidden(url: str) -> Refusal:
    return Refusal(
        HTTPStatus.BAD_REQUEST,
        f'Requested return_to URL "{url}" is not allowed.',
        error_id="self_service_flow_return_to_forbidden",
    )
