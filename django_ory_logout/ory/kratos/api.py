"""What Kratos' refusals mean, and how its lists are read.

Kratos has an id for few of its refusals; the others are known by their words. What has neither is no verdict on a
session: a gateway uses the same statuses, and may use Kratos' form. No error says more than the call's path without
its query, its status and Kratos' id.
"""

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from uuid import UUID

from ... import http
from ...exceptions import KratosError, OryLogoutError, ProviderUnavailable, SecondFactorRequired, SetupError
from .documents import SecondFactor, Session

#: A status with an id, a reason or a message of Kratos, or with one of the two below.
Codes = Mapping[tuple[int, str], str]

KRATOS = "in Kratos' form, whatever the words"
ANYBODY = "in any form"

#: In the words of v1.3 to v26.2.
OF_PUBLIC: Codes = {
    (HTTPStatus.UNAUTHORIZED, "session_inactive"): "session_inactive",
    (HTTPStatus.BAD_REQUEST, KRATOS): "kratos_refused",
}
OF_LOGOUT_FLOW: Codes = {**OF_PUBLIC, (HTTPStatus.BAD_REQUEST, KRATOS): "return_to_refused"}
OF_LOGOUT: Codes = {
    **OF_PUBLIC,
    (
        HTTPStatus.FORBIDDEN,
        "Unable to log out because the logout token in the URL query does not match the session cookie.",
    ): "logout_token_foreign",
}
OF_NATIVE_LOGOUT: Codes = {
    **OF_PUBLIC,
    (
        HTTPStatus.FORBIDDEN,
        "The provided Ory Session Token could not be found, is invalid, or otherwise malformed.",
    ): "session_unknown",
}
OF_SESSIONS: Codes = {
    **OF_PUBLIC,
    (HTTPStatus.UNAUTHORIZED, "No valid session credentials found in the request."): "session_inactive",
    (HTTPStatus.UNAUTHORIZED, "No valid session cookie found."): "session_inactive",
    (HTTPStatus.BAD_REQUEST, "cannot revoke current session"): "session_is_current",
}
OF_ADMIN: Codes = {
    (HTTPStatus.NOT_FOUND, "Unable to locate the resource"): "session_unknown",
    (HTTPStatus.BAD_REQUEST, KRATOS): "kratos_refused",
    (HTTPStatus.UNAUTHORIZED, ANYBODY): "kratos_unauthorized",
    (HTTPStatus.FORBIDDEN, ANYBODY): "kratos_unauthorized",
    (HTTPStatus.NOT_FOUND, ANYBODY): "kratos_not_found",
}

#: Kratos gives up to a thousand; so many, with their identities, fit into what our door to the network lets in.
PAGE_SIZE = 100
MAX_PAGES = 100


def checked(
    response: http.Response, call: str, expected: HTTPStatus = HTTPStatus.OK, codes: Codes = OF_PUBLIC
) -> http.Response:
    """``response``, if it has the ``expected`` status.

    Raises :exc:`KratosError` for what ``codes`` names, :exc:`ProviderUnavailable` (``kratos_fault``) for what may pass,
    and :exc:`SetupError` (``kratos_unusable``) for all else.
    """
    if response.status != expected:
        raise _refusal(response, call, codes)
    return response


def sessions_of_all_pages(page: Callable[[dict[str, str]], http.Response]) -> Iterator[Session]:
    """The sessions of a list, of which ``page`` gets what its query selects.

    By number until a page is short: Kratos' ``Link`` header leads from the first page to the first. Who ends sessions
    meanwhile moves the others to the pages before. Raises :exc:`SetupError` (``kratos_pagination``), after all
    that was found, when the list does not end.
    """
    seen: set[str] = set()
    for number in range(1, MAX_PAGES + 1):
        response = page({"per_page": str(PAGE_SIZE), "page": str(number)})
        found = list(map(Session.parse, response.objects()))
        new = [one for one in found if one.id not in seen]
        yield from new
        if len(found) < PAGE_SIZE:
            return
        if not new:
            break
        seen |= {one.id for one in new}
    raise SetupError("kratos_pagination", "the list of sessions does not end")


def canonical(uuid: str) -> str | None:
    """``uuid`` as it stands in a path; ``None`` for what names nothing at Kratos."""
    try:
        return str(UUID(uuid))
    except ValueError:
        return None


def _refusal(response: http.Response, call: str, codes: Codes) -> OryLogoutError:
    error_id, said = _said(response)
    if response.status == HTTPStatus.FORBIDDEN and error_id == "session_aal2_required":
        return SecondFactorRequired(SecondFactor.parse(response.json()).redirect_browser_to)
    detail = f"{call} answers {response.status}" + (f" {error_id[:100]!r}" if error_id else "")
    key = next(((response.status, words) for words in said if (response.status, words) in codes), None)
    if key:
        return KratosError(codes[key], detail)
    if response.may_pass or response.status == HTTPStatus.UNAUTHORIZED:
        return ProviderUnavailable("kratos_fault", detail)
    return SetupError("kratos_unusable", f"{detail} at {response.url}")


def _said(response: http.Response) -> tuple[str, list[str]]:
    """The id of a refusal, and all by which it can be known, the most exact first."""
    try:
        error = response.json().get("error")
    except ProviderUnavailable:
        error = None
    if not isinstance(error, dict) or error.get("code") != response.status:
        return "", [ANYBODY]
    words = [text if isinstance(text := error.get(name), str) else "" for name in ("id", "reason", "message")]
    return words[0], [*words, KRATOS, ANYBODY]
