"""Map Kratos' errors to exceptions, and read its lists.

Few errors of Kratos have an id. We recognise the others by their text. An error without a known id or text says
nothing about a session: a gateway sends the same statuses, and may use Kratos' error format. Our exceptions contain
only the path of the call without its query, the status and Kratos' id.
"""

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from uuid import UUID

from ... import http
from ...exceptions import KratosError, OryLogoutError, ProviderUnavailable, SecondFactorRequired, SetupError
from .documents import SecondFactor, Session

#: The key is a status, with an id, a reason or a message of Kratos, or with one of the two constants below.
Codes = Mapping[tuple[int, str], str]

KRATOS = "any text in Kratos' error format"
ANY_FORMAT = "any error format"

#: With the texts of v1.3 to v26.2.
OF_PUBLIC: Codes = {
    (HTTPStatus.UNAUTHORIZED, "session_inactive"): "session_inactive",
    (HTTPStatus.BAD_REQUEST, KRATOS): "kratos_refused",
}
OF_LOGOUT_FLOW: Codes = {**OF_PUBLIC, (HTTPStatus.BAD_REQUEST, KRATOS): "return_to_refused"}
_OTHER_SESSION = "Unable to log out because the logout token in the URL query does not match the session cookie."
_UNKNOWN_TOKEN = "The provided Ory Session Token could not be found, is invalid, or otherwise malformed."
OF_LOGOUT: Codes = {
    **OF_PUBLIC,
    (HTTPStatus.FORBIDDEN, _OTHER_SESSION): "logout_token_foreign",
    (HTTPStatus.FORBIDDEN, _UNKNOWN_TOKEN): "session_unknown",
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
    (HTTPStatus.UNAUTHORIZED, ANY_FORMAT): "kratos_unauthorized",
    (HTTPStatus.FORBIDDEN, ANY_FORMAT): "kratos_unauthorized",
    (HTTPStatus.NOT_FOUND, ANY_FORMAT): "kratos_not_found",
}

#: Kratos allows up to a thousand. A page of this size, with identities, stays below the size limit of our HTTP client.
PAGE_SIZE = 100
MAX_PAGES = 100


def checked(
    response: http.Response, call: str, expected: HTTPStatus = HTTPStatus.OK, codes: Codes = OF_PUBLIC
) -> http.Response:
    """``response``, if it has the ``expected`` status.

    Raises :exc:`KratosError` for the errors in ``codes``, :exc:`ProviderUnavailable` (``kratos_fault``) for
    errors that may pass, and :exc:`SetupError` (``kratos_unusable``) for others.
    """
    if response.status != expected:
        raise _refusal(response, call, codes)
    return response


def sessions_of_all_pages(page: Callable[[dict[str, str]], http.Response]) -> Iterator[Session]:
    """The sessions of all pages of a list. ``page`` requests one page with a query.

    Counts the pages until one is not full, because the ``next`` link of Kratos' first page leads to that page again.
    If sessions end between two calls, the others move to earlier pages. Raises :exc:`SetupError`
    (``kratos_pagination``), after all sessions that it found, if the list does not end.
    """
    seen: set[str] = set()
    for number in range(1, MAX_PAGES + 1):
        response = page({"per_page": str(PAGE_SIZE), "page": str(number)})
        found = list(map(Session.parse, response.objects()))
        new = [session for session in found if session.id not in seen]
        yield from new
        if len(found) < PAGE_SIZE:
            return
        if not new:
            break
        seen |= {session.id for session in new}
    raise SetupError("kratos_pagination", "the list of sessions does not end")


def canonical(uuid: str) -> str | None:
    """``uuid`` in the form for a path. ``None`` if it is not a UUID, so it can be no id at Kratos."""
    try:
        return str(UUID(uuid))
    except ValueError:
        return None


def path_of_session(session_id: str) -> str:
    """The path of one session. Raises :exc:`KratosError` (``session_unknown``) if the id is not a UUID."""
    if not (canonical_id := canonical(session_id)):
        raise KratosError("session_unknown", "the id is not a UUID")
    return f"/sessions/{canonical_id}"


def _refusal(response: http.Response, call: str, codes: Codes) -> OryLogoutError:
    error_id, texts = _error_texts(response)
    if response.status == HTTPStatus.FORBIDDEN and error_id == "session_aal2_required":
        return SecondFactorRequired(SecondFactor.parse(response.json()).redirect_browser_to)
    detail = f"{call} answers {response.status}" + (f" {error_id[:100]!r}" if error_id else "")
    key = next(((response.status, text) for text in texts if (response.status, text) in codes), None)
    if key:
        return KratosError(codes[key], detail)
    if response.is_temporary or response.status == HTTPStatus.UNAUTHORIZED:
        return ProviderUnavailable("kratos_fault", detail)
    return SetupError("kratos_unusable", f"{detail} at {response.url}")


def _error_texts(response: http.Response) -> tuple[str, list[str]]:
    """The id of an error, and all texts that can identify it, the most exact text first."""
    try:
        error = response.json().get("error")
    except ProviderUnavailable:
        error = None
    if not isinstance(error, dict) or error.get("code") != response.status:
        return "", [ANY_FORMAT]
    texts = [text if isinstance(text := error.get(name), str) else "" for name in ("id", "reason", "message")]
    return texts[0], [*texts, KRATOS, ANY_FORMAT]
