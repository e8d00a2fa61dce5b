"""The calls of Kratos' admin API that have to do with sessions, and those that make and unmake a synthetic person.

All raise :exc:`KratosError` for what Kratos refuses (``kratos_refused``, ``kratos_unauthorized``, ``kratos_not_found``,
and what is named at the call) and :exc:`ProviderUnavailable` for what it cannot answer now.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus

from django.views.decorators.debug import sensitive_variables

from ... import http
from ...exceptions import KratosError
from ..api import AdminAPI
from .api import OF_ADMIN, canonical, checked, sessions_of_all_pages
from .documents import Identity, Session

IDENTITIES = "/identities"


class KratosAdmin(AdminAPI):
    """Kratos' admin API."""

    def sessions(self, identity_id: str) -> Iterator[Session]:
        """The living sessions of a person, the newest first; a call for each hundred.

        Those of a deactivated person too, as not ``active``: they revive with their owner. None for an identity that
        Kratos does not know. Collect them before you end any. Raises :exc:`KratosError` (``identity_unknown``) for
        what is no identity's id.
        """
        path = _sessions_of(identity_id)
        return sessions_of_all_pages(lambda query: self._get(path, {"active": "true", **query}))

    def end_session(self, session_id: str) -> None:
        """End a session. Succeeds for one that has ended too. Raises :exc:`KratosError` (``session_unknown``)."""
        if not (canonical_id := canonical(session_id)):
            raise KratosError("session_unknown", "the id is no UUID")
        self._delete(f"/sessions/{canonical_id}")

    def end_sessions(self, identity_id: str) -> None:
        """End and forget all sessions of a person. Succeeds when there is none, and for an unknown identity.

        Raises :exc:`KratosError` (``identity_unknown``) for what is no identity's id.
        """
        self._delete_if_there(_sessions_of(identity_id))

    # Identities

    @sensitive_variables()
    def create_identity(self, traits: Mapping[str, object], password: str) -> Identity:
        """Make a person of the default schema, who signs in by ``password``.

        Raises :exc:`KratosError` (``kratos_refused``) for ``traits`` that the schema does not take.
        """
        credentials = {"password": {"config": {"password": password}}}
        # An empty schema_id is the default schema's.
        document = {"schema_id": "", "traits": dict(traits), "credentials": credentials}
        response = self._send("POST", IDENTITIES, document=document)
        return Identity.parse(checked(response, f"POST {IDENTITIES}", HTTPStatus.CREATED, OF_ADMIN).json())

    def identity_of(self, identifier: str) -> Identity | None:
        """Who signs in by ``identifier``, such as an e-mail address."""
        if not identifier:
            raise ValueError("Kratos answers an empty identifier with everybody")
        found = self._get(IDENTITIES, {"credentials_identifier": identifier}).objects()
        return Identity.parse(found[0]) if found else None

    def delete_identity(self, identity_id: str) -> None:
        """Forget a person, with all sessions. Succeeds for an unknown identity too.

        Raises :exc:`KratosError` (``identity_unknown``) for what is no identity's id.
        """
        self._delete_if_there(_path_of(identity_id))

    def _get(self, path: str, query: dict[str, str]) -> http.Response:
        return checked(self._send("GET", path, query), f"GET {path}", codes=OF_ADMIN)

    def _delete(self, path: str) -> None:
        checked(self._send("DELETE", path), f"DELETE {path}", HTTPStatus.NO_CONTENT, OF_ADMIN)

    def _delete_if_there(self, path: str) -> None:
        try:
            self._delete(path)
        except KratosError as error:
            if error.code != "session_unknown":  # Kratos' word for whatever is not there
                raise


def _sessions_of(identity_id: str) -> str:
    return f"{_path_of(identity_id)}/sessions"


def _path_of(identity_id: str) -> str:
    if not (canonical_id := canonical(identity_id)):
        raise KratosError("identity_unknown", "the id is no UUID")
    return f"{IDENTITIES}/{canonical_id}"
