"""The calls of Hydra's admin API that have to do with logging in and out.

All raise :exc:`HydraError` for what Hydra refuses (``hydra_refused``, ``hydra_unauthorized``, ``hydra_not_found``, and
what is named at the call) and :exc:`ProviderUnavailable` for what it cannot answer now.
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
#: A consent holds its client and its claims; so many fit into what our door to the network lets in.
PAGE_SIZE = 50
MAX_PAGES = 200


class HydraAdmin(AdminAPI):
    """Hydra's admin API."""

    # Sessions and consents

    def revoke_login_session(self, sid: str) -> None:
        """End one login session and have its applications told by back-channel.

        Succeeds for an unknown ``sid`` too, and tells nobody of a login that was not remembered.
        """
        self.delete(LOGIN_SESSIONS, sid=sid)

    def revoke_login_sessions(self, subject: str) -> None:
        """Forget all login sessions of ``subject``. No application is told, now or by a later call for their ``sid``.

        Succeeds for an unknown subject too, as is the one that a client with pairwise subjects knows.
        """
        self.delete(LOGIN_SESSIONS, subject=subject)

    def consent_sessions(self, subject: str, *, sid: str | None = None) -> Iterator[ConsentSession]:
        """The consents of ``subject``, or those given in one login session; a call for each fifty.

        Not listed are flows that reused a remembered consent, and consents past their ``remember_for``. Raises
        :exc:`SetupError` (``hydra_pagination``), after all that it found, when the list does not end.
        """
        query = {"subject": subject, "page_size": str(PAGE_SIZE)} | ({"login_session_id": sid} if sid else {})
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            response = self.get(CONSENT_SESSIONS, **query)
            found = {_identity(one): one for one in map(ConsentSession.parse, response.objects())}
            yield from (one for identity, one in found.items() if identity not in seen)
            page_token = _next_page(response)
            if not page_token:
                return
            if found.keys() <= seen:
                break
            seen |= found.keys()
            query["page_token"] = page_token
        raise SetupError("hydra_pagination", "the list of consents does not end")

    def revoke_consents(self, subject: str, client_id: str) -> None:
        """Forget what ``subject`` agreed to for one client; its access and refresh tokens end."""
        self.delete(CONSENT_SESSIONS, subject=subject, client=client_id)

    def revoke_all_consents(self, subject: str) -> None:
        """Forget what ``subject`` agreed to for every client; their access and refresh tokens end."""
        self.delete(CONSENT_SESSIONS, subject=subject, all="true")

    def revoke_consent(self, consent_request_id: str) -> None:
        """Forget one consent; the tokens that came of it end. From Hydra v25.4 on."""
        self.delete(CONSENT_SESSIONS, consent_request_id=consent_request_id)

    # Tokens

    def delete_access_tokens(self, client_id: str) -> None:
        """Delete the access tokens of a client, of everybody. Its refresh tokens stay, and give new ones."""
        self.delete("/oauth2/tokens", client_id=client_id)

    def introspect(self, token: str) -> Introspection:
        """Whether an access or refresh token is alive (RFC 7662)."""
        return Introspection.parse(self.post_form("/oauth2/introspect", token=token).json())

    # Keys

    @sensitive_variables()
    def id_token_key_ids(self) -> frozenset[str]:
        """The ids of the keys that sign ID tokens and logout tokens. Hydra says their private parts too: not kept."""
        keys = self.get(ID_TOKEN_KEYS).json().get("keys")
        if not isinstance(keys, list):
            raise Document.invalid("keys is no list")
        return frozenset(str(key["kid"]) for key in keys if isinstance(key, dict) and key.get("kid"))

    # Clients

    def client(self, client_id: str) -> OAuth2Client:
        """A client as it is registered. Raises :exc:`HydraError` (``client_unknown``)."""
        return OAuth2Client.parse(self.ask_for_client("GET", client_id))

    def create_client(self, client_id: str, metadata: ClientMetadata) -> OAuth2Client:
        """Register a client. Hydra chooses its secret where ``metadata`` has none, and says it in this answer alone.

        Raises :exc:`HydraError` (``client_exists``, ``client_metadata_invalid``).
        """
        document = {"client_id": client_id, **metadata.given()}
        return OAuth2Client.parse(self.ask_for_client("POST", document=document, expected=HTTPStatus.CREATED))

    def update_client(self, client_id: str, metadata: ClientMetadata) -> OAuth2Client:
        """Change what ``metadata`` gives and nothing else.

        By JSON Patch: PUT drops what is left out, and what somebody changed since it was read. And by ``add``, which
        replaces too (RFC 6902, 4.1): an empty or false field is not there, and ``replace`` need not find it. By either,
        Hydra forgets the registration access token of a client that registered itself (RFC 7592).

        Raises :exc:`HydraError` (``client_unknown``, ``client_metadata_invalid``).
        """
        patch = [{"op": "add", "path": f"/{name}", "value": value} for name, value in metadata.given().items()]
        return OAuth2Client.parse(self.ask_for_client("PATCH", client_id, patch))

    # Login, consent and logout requests. All raise HydraError (challenge_unknown, challenge_expired), and
    # ChallengeHandled where Hydra remembers the answer: of most challenges it keeps no record, and takes another.

    def login_request(self, challenge: str) -> LoginRequest:
        """Who wants to log in, to what."""
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
        """Log ``subject`` in; where to send the browser.

        A login that is not remembered cannot be logged out. ``remember_for`` seconds; 0: for as long as
        ``ttl.authentication_session`` in Hydra's configuration says.
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
        """Log nobody in; where to send the browser."""
        return self._reject("login", challenge, error, error_description)

    def consent_request(self, challenge: str) -> ConsentRequest:
        """Who is asked to agree to what."""
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
        """Agree, with further claims for the tokens; where to send the browser.

        ``remember_for`` seconds; 0: for ever.
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
        """Do not agree; where to send the browser."""
        return self._reject("consent", challenge, error, error_description)

    def logout_request(self, challenge: str) -> LogoutRequest:
        """Who wants to log out of what."""
        return LogoutRequest.parse(self.ask_for_request("GET", "logout", challenge).json())

    def accept_logout_request(self, challenge: str) -> str:
        """Log out; where to send the browser."""
        return redirect_to(self.ask_for_request("PUT", "logout/accept", challenge).json())

    def reject_logout_request(self, challenge: str) -> None:
        """Do not log out. Hydra leaves it to us where the browser goes."""
        self.ask_for_request("PUT", "logout/reject", challenge, expected=HTTPStatus.NO_CONTENT)

    def _reject(self, kind: str, challenge: str, error: str, error_description: str) -> str:
        document = {"error": error, "error_description": error_description}
        return redirect_to(self.ask_for_request("PUT", f"{kind}/reject", challenge, document).json())


def _identity(session: ConsentSession) -> str:
    return session.consent_request_id or session.consent_request.challenge


def _next_page(response: Response) -> str:
    """The token of the next page. Nothing else of its URL is used: an answer does not choose whom we ask."""
    links = parse_header_links(response.headers.get("Link", ""))
    url = next((link["url"] for link in links if link.get("rel") == "next"), "")
    try:
        query = urlsplit(url).query
    except ValueError as error:
        raise SetupError("hydra_answer_invalid", "the address of the next page is no URL") from error
    return parse_qs(query).get("page_token", [""])[0]
