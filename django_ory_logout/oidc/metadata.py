"""The registration of this site at a provider, and the provider's metadata and JWKS, parsed into values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import urlsplit

from joserfc.jwk import JWKRegistry, Key

from ..exceptions import SetupError

DISCOVERY_PATH = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class Registration:
    """This relying party as it is registered at one provider (OpenID Connect Registration 2)."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    token_endpoint_auth_method: str = "client_secret_basic"
    id_token_signed_response_alg: str = "RS256"
    id_token_encrypted_response_alg: str = ""
    id_token_encrypted_response_enc: str = "A128CBC-HS256"
    userinfo_signed_response_alg: str = ""
    decryption_key: Key | None = field(default=None, repr=False)

    @property
    def of_userinfo(self) -> "Registration":
        """The registration that verifies signed userinfo responses: as for ID tokens, but with their own algorithm."""
        alg = self.userinfo_signed_response_alg
        return replace(self, id_token_signed_response_alg=alg, id_token_encrypted_response_alg="")

    @property
    def discovery_url(self) -> str:
        """The URL of the provider's metadata (Discovery 4). One slash at the end of the issuer is left out."""
        return self.issuer.removesuffix("/") + DISCOVERY_PATH


@dataclass(frozen=True)
class ProviderMetadata:
    """The metadata of a provider (Discovery 3, RFC 9207, RFC 8414, RP-Initiated Logout 2.1)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    revocation_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False

    @classmethod
    def parse(cls, document: Mapping[str, Any], issuer: str) -> Self:
        """Read a discovery document for ``issuer``.

        Raises :exc:`SetupError`: ``issuer_mismatch`` if the document's issuer is not exactly the same (Discovery 4.3),
        ``metadata_invalid`` if an endpoint is missing or unusable.
        """
        if document.get("issuer") != issuer:
            named = repr(document.get("issuer"))[:200]
            raise SetupError("issuer_mismatch", f"discovery names the issuer {named}, and ISSUER is {issuer!r}")
        return cls(
            issuer=issuer,
            authorization_endpoint=_endpoint(document, "authorization_endpoint", issuer),
            token_endpoint=_endpoint(document, "token_endpoint", issuer),
            jwks_uri=_endpoint(document, "jwks_uri", issuer),
            userinfo_endpoint=_optional_endpoint(document, "userinfo_endpoint", issuer),
            end_session_endpoint=_optional_endpoint(document, "end_session_endpoint", issuer),
            revocation_endpoint=_optional_endpoint(document, "revocation_endpoint", issuer),
            authorization_response_iss_parameter_supported=(
                document.get("authorization_response_iss_parameter_supported") is True
            ),
        )


def _optional_endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str | None:
    return _endpoint(document, name, issuer) if document.get(name) else None


def _endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not is_web_url(value):
        raise SetupError("metadata_invalid", f"{name} is not an http(s) URL")
    if urlsplit(issuer).scheme == "https" and urlsplit(value).scheme != "https":
        raise SetupError("metadata_invalid", f"{name} is not https, yet the issuer is")
    return value


def is_web_url(value: str) -> bool:
    """Whether ``value`` is an absolute http or https URL with a host, both for Python and for a browser."""
    if not value.isprintable() or " " in value or "\\" in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def origin(url: str) -> str:
    """Scheme, host and port of ``url``, as a browser compares them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def parse_jwks(document: Mapping[str, Any]) -> list[Key]:
    """The public keys of a JWK Set. Keys that cannot be read are ignored (RFC 7517, 5).

    Raises :exc:`SetupError` (``jwks_invalid``) if this is not a JWK Set.
    """
    members = document.get("keys")
    if not isinstance(members, list):
        raise SetupError("jwks_invalid", "the JWK Set has no list of keys")
    return [key for member in members if (key := _readable(member))]


def _readable(member: object) -> Key | None:
    if not isinstance(member, dict) or member.get("kty") == "oct":
        return None  # a published secret is not secret
    try:
        return JWKRegistry.import_key(member)
    except Exception:  # the library may raise anything for an odd key; the other keys stay usable
        return None
