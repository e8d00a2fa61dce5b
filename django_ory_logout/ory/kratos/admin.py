"""The calls of Kratos' admin API for sessions, and the calls that create and delete a test identity.

All calls raise :exc:`KratosError` if Kratos refuses them (``kratos_refused``, ``kratos_unauthorized``,
``kratos_not_found``, and the codes that each call names), and :exc:`ProviderUnavailable` if Kratos cannot answer now.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus

from django.views.decorators.debug import sensitive_variables

from ... import http
from ...exceptions import KratosError
from ..api import AdminAPI
from .api import OF_ADMIN, canonical, checked, path_of_session, sessions_of_all_pages
from .documents import Identity, Session

IDENTITIES = "/identities"


class KratosAdmin(AdminAPI):
    """Kratos' admin API."""

    def sessions(self, identity_id: str) -> Iterator[Session]:
        """The sessions of an identity that have not ended, the newest first. Sends one call for each hundred sessions.

        Includes the sessions of a deactivated identity, as not ``active``: they work again when the identity is
        activated. The list is empty for an unknown identity. Collect the sessions before you end one of them. Raises
        :exc:`KratosError` (``identity_unknown``) if the id is not a UUID.
        """
        path = _sessions_of(identity_id)
        return sessions_of_all_pages(lambda query: self._get(path, {"active": "true", **query}))

    def end_session(self, session_id: str) -> None:
        """End a session. Succeeds if it has ended already. Raises :exc:`KratosError` (``session_unknown``)."""
        self._delete(path_of_session(session_id))

    def end_sessions(self, identity_id: str) -> None:
        """End and delete all sessions of an identity. Succeeds if there is none, and for an unknown identity.

        Raises :exc:`KratosError` (``identity_unknown``) if the id is not a UUID.
        """
        self._delete_if_exists(_sessions_of(identity_id))

    # Identities

    @sensitive_variables()
    def create_identity(self, traits: Mapping[str, object], password: str) -> Identity:
        """Create an identity of the default schema, which signs in by ``password``.

        Raises :exc:`KratosError` (``kratos_refused``) if the schema does not accept ``traits``.
        """
        credentials = {"password": {"config": {"password": password}}}
        # An empty schema_id means the default schema.
        document = {"schema_id": "", "traits": dict(traits), "credentials": credentials}
        response = self._send("POST", IDENTITIES, document=document)
        return Identity.parse(checked(response, f"POST {IDENTITIES}", HTTPStatus.CREATED, OF_ADMIN).json())

    def identity_of(self, identifier: str) -> Identity | None:
        """The identity that signs in by ``identifier``, such as an e-mail address."""
        if not identifier:
            raise ValueError("for an empty identifier, Kratos returns all identities")
        found = self._get(IDENTITIES, {"credentials_identifier": identifier}).objects()
        return Identity.parse(found[0]) if found else None

    def delete_identity(self, identity_id: str) -> None:
        """Delete an identity and all its sessions. Succeeds for an unknown identity too.

        Raises :exc:`KratosError` (``identity_unknown``) if the id is not a UUID.
        """
        self._delete_if_exists(_path_of(identity_id))

    def _get(self, path: str, query: dict[str, str]) -> http.Response:
        return checked(self._send("GET", path, query), f"GET {path}", codes=OF_ADMIN)

    def _delete(self, path: str) -> None:
        checked(self._send("DELETE", path), f"DELETE {path}", HTTPStatus.NO_CONTENT, OF_ADMIN)

    def _delete_if_exists(self, path: str) -> None:
        try:
            self._delete(path)
        except KratosError as error:
            if error.code != "session_unknown":  # the code for each object that Kratos cannot find
                raise


def _sessions_of(identity_id: str) -> str:
    return f"{_path_of(identity_id)}/sessions"


def _path_of(identity_id: str) -> str:
    if not (canonical_id := canonical(identity_id)):
        raise KratosError("identity_unknown", "the id is not a UUID")
    return f"{IDENTITIES}/{canonical_id}"
