"""Kratos' public API, as a server calls it for a person.

All raise :exc:`KratosError` for what Kratos refuses: ``session_inactive`` where it knows no living session by the
credential, ``kratos_refused``, and what is named at the call. What is not exactly that, as a fault of Kratos' or a
gateway's 401, is :exc:`ProviderUnavailable`, and no reason to log anybody out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from django.views.decorators.debug import sensitive_variables

from ... import http
from ...exceptions import KratosError
from ..api import url
from .api import (
    OF_LOGOUT,
    OF_LOGOUT_FLOW,
    OF_NATIVE_LOGOUT,
    OF_SESSIONS,
    canonical,
    checked,
    sessions_of_all_pages,
)
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
        """The session of ``credential``. Raises :exc:`SecondFactorRequired` where Kratos asks for one to say it."""
        session = Session.parse(self._ask("GET", WHOAMI, credential).json())
        if not session.active:
            raise KratosError("session_inactive", f"GET {WHOAMI} answers a session that is not active")
        return session

    # Logging out

    @sensitive_variables()
    def logout_flow(self, cookie: Credential, return_to: str = "") -> LogoutFlow:
        """How the browser that has ``cookie`` logs out; the same for as long as the session lives.

        Raises :exc:`KratosError` (``return_to_refused``) for what is not among Kratos' ``allowed_return_urls``.
        """
        response = self._send("GET", LOGOUT_FLOW, cookie, {"return_to": return_to} if return_to else None)
        return LogoutFlow.parse(checked(response, f"GET {LOGOUT_FLOW}", codes=OF_LOGOUT_FLOW).json())

    @sensitive_variables()
    def log_out(self, cookie: Credential, logout_token: str) -> tuple[str, ...]:
        """End the session of ``cookie``; the ``Set-Cookie`` headers by which the browser forgets it.

        Raises :exc:`KratosError` (``logout_token_foreign``) for another session's token.
        """
        if cookie.is_token:
            raise ValueError("Kratos answers a session token here with success, and ends nothing")
        response = self._send("GET", LOGOUT, cookie, {"token": logout_token})
        return checked(response, f"GET {LOGOUT}", HTTPStatus.NO_CONTENT, OF_LOGOUT).set_cookies

    @sensitive_variables()
    def log_out_natively(self, session_token: str) -> None:
        """End the session of a session token. Succeeds for one that has ended too.

        Raises :exc:`KratosError` (``session_unknown``) for a token that Kratos has forgotten, or never gave.
        """
        response = http.send("DELETE", url(self.base_url, NATIVE_LOGOUT), {"session_token": session_token})
        checked(response, f"DELETE {NATIVE_LOGOUT}", HTTPStatus.NO_CONTENT, OF_NATIVE_LOGOUT)

    # My sessions

    def sessions(self, credential: Credential) -> list[Session]:
        """The other living sessions of the person. Raises :exc:`SecondFactorRequired` where :meth:`whoami` does."""
        return list(sessions_of_all_pages(lambda query: self._ask("GET", SESSIONS, credential, query)))

    def end_session(self, credential: Credential, session_id: str) -> None:
        """End another session of the person. Succeeds for unknown ones and for other people's too, which live on.

        Raises :exc:`KratosError` (``session_is_current``) for the session of ``credential``, which logs out, and
        (``session_unknown``) for what is no session's id.
        """
        if not (canonical_id := canonical(session_id)):
            raise KratosError("session_unknown", "the id is no UUID")
        self._ask("DELETE", f"{SESSIONS}/{canonical_id}", credential, expected=HTTPStatus.NO_CONTENT)

    def end_other_sessions(self, credential: Credential) -> int:
        """End all sessions of the person but this; how many those are, with the ones that had ended before."""
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
            # Below /sessions Kratos answers so whatever hinders it, be it that its database is down. The logout flow
            # tells the two apart: it calls a dead session by its name, and fails where Kratos does. If it calls the
            # session alive, either the fault is over or, after v26.2, the person has been deactivated.
            self.logout_flow(credential)
            response = self._send(method, path, credential, query)
        return checked(response, f"{method} {path}", expected, OF_SESSIONS)

    def _send(
        self, method: str, path: str, credential: Credential, query: Mapping[str, str] | None = None
    ) -> http.Response:
        if not credential.is_sendable:
            raise KratosError("session_inactive", "the credential is none that Kratos gives")
        return http.send(method, url(self.base_url, path, query), headers=credential.headers)
