"""The calls of Hydra's admin API for login and logout.

All calls raise :exc:`HydraError` if Hydra refuses them (``hydra_refused``, ``hydra_unauthorized``, ``hydra_not_found``,
and the codes that each call names), and :exc:`ProviderUnavailable` if Hydra cannot answer now.
"""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.views.decorators.debug import sensitive_variables
from requests.utils import parse_header_links

from ...exceptions import SetupError
from ...http import Response
from .api import AdminAPI
from .documents import (
    ClientMetadata,
    ConsentRequest,
    ConsentSession,
    Document,
    Introspection,
    LoginRequest,
    LogoutRequest,
    OAuth2Client,
    redirect_to,
)

LOGIN_SESSIONS = "/oauth2/auth/sessions/login"
CONSENT_SESSIONS = "/oauth2/auth/sessions/consent"
ID_TOKEN_KEYS = "/keys/hydra.openid.id-token"
#: Each consent contains its client and its claims. A page of this size stays below the size limit of our HTTP client.
PAGE_SIZE = 50
MAX_PAGES = 200


class HydraAdmin(AdminAPI):
    """Hydra's admin API."""

    # Sessions and consents

    def revoke_login_session(self, sid: str) -> None:
        """End one login session. Hydra sends back-channel logout to its applications.

        Succeeds for an unknown ``sid`` too. For a login that was not remembered, Hydra sends no notices.
        """
        self.delete(LOGIN_SESSIONS, sid=sid)

    def revoke_login_sessions(self, subject: str) -> None:
        """Delete all login sessions of ``subject``. Hydra sends no notices, also not at a later call for their ``sid``.

        Succeeds for an unknown subject too. Hydra does not know the pairwise subject that a client sees.
        """
        self.delete(LOGIN_SESSIONS, subject=subject)

    def consent_sessions(self, subject: str, *, sid: str | None = None) -> Iterator[ConsentSession]:
        """The consents of ``subject``, or of one login session. Sends one call for each fifty consents.

        Hydra does not list flows that reused a remembered consent, and consents past their ``remember_for``. Raises
        :exc:`SetupError` (``hydra_pagination``), after all consents that it found, if the list does not end.
        """
        query = {"subject": subject, "page_size": str(PAGE_SIZE)} | ({"login_session_id": sid} if sid else {})
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            response = self.get(CONSENT_SESSIONS, **query)
            found = {_key(consent): consent for consent in map(ConsentSession.parse, response.objects())}
            yield from (consent for key, consent in found.items() if key not in seen)
            page_token = _next_page(response)
            if not page_token:
                return
            if found.keys() <= seen:
                break
            seen |= found.keys()
            query["page_token"] = page_token
        raise SetupError("hydra_pagination", "the list of consents does not end")

    def revoke_consents(self, subject: str, client_id: str) -> None:
        """Delete the consents of ``subject`` for one client. Its access and refresh tokens end."""
        self.delete(CONSENT_SESSIONS, subject=subject, client=client_id)

    def revoke_all_consents(self, subject: str) -> None:
        """Delete the consents of ``subject`` for every client. Their access and refresh tokens end."""
        self.delete(CONSENT_SESSIONS, subject=subject, all="true")

    def revoke_consent(self, consent_request_id: str) -> None:
        """Delete one consent. The tokens that Hydra issued for it end. From Hydra v25.4 on."""
        self.delete(CONSENT_SESSIONS, consent_request_id=consent_request_id)

    # Tokens

    def delete_access_tokens(self, client_id: str) -> None:
        """Delete the access tokens of a client for all users. Its refresh tokens stay, and can get new ones."""
        self.delete("/oauth2/tokens", client_id=client_id)

    def introspect(self, token: str) -> Introspection:
        """Whether an access or refresh token is active (RFC 7662)."""
        return Introspection.parse(self.post_form("/oauth2/introspect", token=token).json())

    # Keys

    @sensitive_variables()
    def id_token_key_ids(self) -> frozenset[str]:
        """The ids of the keys that sign ID tokens and logout tokens. Hydra sends the private keys too: we drop them."""
        keys = self.get(ID_TOKEN_KEYS).json().get("keys")
        if not isinstance(keys, list):
            raise Document.invalid("keys is not a list")
        return frozenset(str(key["kid"]) for key in keys if isinstance(key, dict) and key.get("kid"))

    # Clients

    def client(self, client_id: str) -> OAuth2Client:
        """A registered client. Raises :exc:`HydraError` (``client_unknown``)."""
        return OAuth2Client.parse(self.ask_for_client("GET", client_id))

    def create_client(self, client_id: str, metadata: ClientMetadata) -> OAuth2Client:
        """Register a client. Without a secret in ``metadata``, Hydra makes one, and sends it in this answer only.

        Raises :exc:`HydraError` (``client_exists``, ``client_metadata_invalid``).
        """
        document = {"client_id": client_id, **metadata.given()}
        return OAuth2Client.parse(self.ask_for_client("POST", document=document, expected=HTTPStatus.CREATED))

    def update_client(self, client_id: str, metadata: ClientMetadata) -> OAuth2Client:
        """Change the fields that ``metadata`` gives, and no other field.

        This uses JSON Patch, because PUT deletes fields that we leave out, and overwrites changes that others made
        since we read the client. The operation is ``add``, which also replaces (RFC 6902, 4.1): an empty or false field
        is absent, so ``replace`` can fail. After PATCH or PUT, Hydra drops the registration access token of a client
        that registered itself (RFC 7592).

        Raises :exc:`HydraError` (``client_unknown``, ``client_metadata_invalid``).
        """
        patch = [{"op": "add", "path": f"/{name}", "value": value} for name, value in metadata.given().items()]
        return OAuth2Client.parse(self.ask_for_client("PATCH", client_id, patch))

    # Login, consent and logout requests. All raise HydraError (challenge_unknown, challenge_expired), and
    # ChallengeHandled if Hydra stored the answer. It stores no answer for most challenges, and accepts a second one.

    def login_request(self, challenge: str) -> LoginRequest:
        """The login request: its client and, if Hydra remembers the login, its subject."""
        return LoginRequest.parse(self.ask_for_request("GET", "login", challenge).json())

    def accept_login_request(
        self,
        challenge: str,
        *,
        subject: str,
        remember: bool = True,
        remember_for: int = 0,
        acr: str = "",
        amr: Sequence[str] = (),
        identity_provider_session_id: str = "",
        context: object = None,
    ) -> str:
        """Log ``subject`` in. Returns the URL to send the browser to.

        A login that is not remembered cannot be logged out. ``remember_for`` is in seconds. 0 means the value of
        ``ttl.authentication_session`` in Hydra's configuration.
        """
        document = {
            "subject": subject,
            "remember": remember,
            "remember_for": remember_for,
            "acr": acr,
            "amr": list(amr),
            "identity_provider_session_id": identity_provider_session_id,
            "context": context,
        }
        return redirect_to(self.ask_for_request("PUT", "login/accept", challenge, document).json())

    def reject_login_request(self, challenge: str, error: str, error_description: str = "") -> str:
        """Refuse the login. Returns the URL to send the browser to."""
        return self._reject("login", challenge, error, error_description)

    def consent_request(self, challenge: str) -> ConsentRequest:
        """The consent request: its subject, its client and the scopes that the client requests."""
        return ConsentRequest.parse(self.ask_for_request("GET", "consent", challenge).json())

    def accept_consent_request(
        self,
        challenge: str,
        *,
        grant_scope: Sequence[str],
        grant_access_token_audience: Sequence[str] = (),
        remember: bool = False,
        remember_for: int = 0,
        id_token: Mapping[str, Any] | None = None,
        access_token: Mapping[str, Any] | None = None,
        context: object = None,
    ) -> str:
        """Grant the consent, with more claims for the tokens. Returns the URL to send the browser to.

        ``remember_for`` is in seconds. 0 means without limit.
        """
        document = {
            "grant_scope": list(grant_scope),
            "grant_access_token_audience": list(grant_access_token_audience),
            "remember": remember,
            "remember_for": remember_for,
            "session": {"id_token": dict(id_token or {}), "access_token": dict(access_token or {})},
            "context": context,
        }
        return redirect_to(self.ask_for_request("PUT", "consent/accept", challenge, document).json())

    def reject_consent_request(self, challenge: str, error: str, error_description: str = "") -> str:
        """Refuse the consent. Returns the URL to send the browser to."""
        return self._reject("consent", challenge, error, error_description)

    def logout_request(self, challenge: str) -> LogoutRequest:
        """The logout request: its subject, its ``sid`` and its client."""
        return LogoutRequest.parse(self.ask_for_request("GET", "logout", challenge).json())

    def accept_logout_request(self, challenge: str) -> str:
        """Log out. Returns the URL to send the browser to."""
        return redirect_to(self.ask_for_request("PUT", "logout/accept", challenge).json())

    def reject_logout_request(self, challenge: str) -> None:
        """Refuse the logout. Hydra returns no URL: we choose where the browser goes."""
        self.ask_for_request("PUT", "logout/reject", challenge, expected=HTTPStatus.NO_CONTENT)

    def _reject(self, kind: str, challenge: str, error: str, error_description: str) -> str:
        document = {"error": error, "error_description": error_description}
        return redirect_to(self.ask_for_request("PUT", f"{kind}/reject", challenge, document).json())


def _key(session: ConsentSession) -> str:
    return session.consent_request_id or session.consent_request.challenge


def _next_page(response: Response) -> str:
    """The token of the next page. We ignore the rest of its URL, so an answer cannot choose which server we call."""
    links = parse_header_links(response.headers.get("Link", ""))
    url = next((link["url"] for link in links if link.get("rel") == "next"), "")
    try:
        query = urlsplit(url).query
    except ValueError as error:
        raise SetupError("hydra_answer_invalid", "the address of the next page is not a URL") from error
    return parse_qs(query).get("page_token", [""])[0]
