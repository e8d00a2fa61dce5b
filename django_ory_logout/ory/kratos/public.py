"""Kratos' public API, which we call for a user.

All calls raise :exc:`KratosError` if Kratos refuses them: ``session_inactive`` if the credential has no active session,
``kratos_refused``, and the codes that each call names. All other errors, such as a fault of Kratos or a 401 from a
gateway, raise :exc:`ProviderUnavailable`. Such an error is no reason to log a user out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from django.views.decorators.debug import sensitive_variables

from ... import http
from ...exceptions import KratosError
from ..api import url
from .api import OF_LOGOUT, OF_LOGOUT_FLOW, OF_SESSIONS, checked, path_of_session, sessions_of_all_pages
from .credential import Credential
from .documents import Count, LogoutFlow, Session

WHOAMI = "/sessions/whoami"
SESSIONS = "/sessions"
LOGOUT_FLOW = "/self-service/logout/browser"
LOGOUT = "/self-service/logout"
NATIVE_LOGOUT = "/self-service/logout/api"


@dataclass(frozen=True)
class KratosPublic:
    """The public API at ``base_url``."""

    base_url: str

    def whoami(self, credential: Credential) -> Session:
        """The session of ``credential``. Raises :exc:`SecondFactorRequired` if Kratos requires a second factor."""
        session = Session.parse(self._ask("GET", WHOAMI, credential).json())
        if not session.active:
            raise KratosError("session_inactive", f"GET {WHOAMI} answers a session that is not active")
        return session

    # Logging out

    @sensitive_variables()
    def logout_flow(self, cookie: Credential, return_to: str = "") -> LogoutFlow:
        """The logout URL and token for the browser that has ``cookie``. They stay the same for the whole session.

        Raises :exc:`KratosError` (``return_to_refused``) if Kratos' ``allowed_return_urls`` do not allow ``return_to``.
        """
        response = self._send("GET", LOGOUT_FLOW, cookie, {"return_to": return_to} if return_to else None)
        return LogoutFlow.parse(checked(response, f"GET {LOGOUT_FLOW}", codes=OF_LOGOUT_FLOW).json())

    @sensitive_variables()
    def log_out(self, cookie: Credential, logout_token: str) -> tuple[str, ...]:
        """End the session of ``cookie``. Returns the ``Set-Cookie`` headers that delete the cookie in the browser.

        Raises :exc:`KratosError` (``logout_token_foreign``) if the token belongs to another session.
        """
        if cookie.is_token:
            raise ValueError("for a session token, Kratos answers success here, but ends no session")
        response = self._send("GET", LOGOUT, cookie, {"token": logout_token})
        return checked(response, f"GET {LOGOUT}", HTTPStatus.NO_CONTENT, OF_LOGOUT).set_cookies

    @sensitive_variables()
    def log_out_natively(self, session_token: str) -> None:
        """End the session of a session token. Succeeds if the session has ended already.

        Raises :exc:`KratosError` (``session_unknown``) if Kratos has deleted the token, or did not issue it.
        """
        response = http.send("DELETE", url(self.base_url, NATIVE_LOGOUT), {"session_token": session_token})
        checked(response, f"DELETE {NATIVE_LOGOUT}", HTTPStatus.NO_CONTENT, OF_LOGOUT)

    # My sessions

    def sessions(self, credential: Credential) -> list[Session]:
        """The other active sessions of the user. Raises :exc:`SecondFactorRequired` as :meth:`whoami` does."""
        return list(sessions_of_all_pages(lambda query: self._ask("GET", SESSIONS, credential, query)))

    def end_session(self, credential: Credential, session_id: str) -> None:
        """End another session of the user.

        Succeeds for unknown sessions too, and for sessions of other users, which Kratos does not end. Raises
        :exc:`KratosError` (``session_is_current``) for the session of ``credential``, which must log out instead, and
        (``session_unknown``) if the id is not a UUID.
        """
        self._ask("DELETE", path_of_session(session_id), credential, expected=HTTPStatus.NO_CONTENT)

    def end_other_sessions(self, credential: Credential) -> int:
        """End all sessions of the user except this one. Returns their number, with those that had ended before."""
        return Count.parse(self._ask("DELETE", SESSIONS, credential).json()).count

    def _ask(
        self,
        method: str,
        path: str,
        credential: Credential,
        query: Mapping[str, str] | None = None,
        expected: HTTPStatus = HTTPStatus.OK,
    ) -> http.Response:
        response = self._send(method, path, credential, query)
        if response.status == HTTPStatus.UNAUTHORIZED:
            # Below /sessions, Kratos sends this 401 for any problem, even when its database is down. The logout flow
            # shows the difference: it answers session_inactive for an ended session, and fails if Kratos fails. If it
            # finds an active session, the problem is over or, after v26.2, the identity has been deactivated.
            self.logout_flow(credential)
            response = self._send(method, path, credential, query)
        return checked(response, f"{method} {path}", expected, OF_SESSIONS)

    def _send(
        self, method: str, path: str, credential: Credential, query: Mapping[str, str] | None = None
    ) -> http.Response:
        if not credential.is_sendable:
            raise KratosError("session_inactive", "Kratos does not issue such a credential")
        return http.send(method, url(self.base_url, path, query), headers=credential.headers)
