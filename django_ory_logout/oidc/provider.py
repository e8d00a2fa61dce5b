"""One provider: its metadata and keys, and the calls of the code flow and of token revocation."""

from collections.abc import Iterator, Sequence

from django.views.decorators.debug import sensitive_variables
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey
from joserfc.jws import JWSRegistry

from .. import http
from ..cache import SharedCache
from ..exceptions import InvalidToken, ProviderUnavailable, SetupError
from . import jose, messages, tokens
from .documents import CachedDocument
from .metadata import ProviderMetadata, Registration, parse_jwks


class Provider:
    """The provider at which ``registration`` is registered."""

    def __init__(self, registration: Registration, cache: SharedCache) -> None:
        self.registration = registration
        self.cache = cache
        self._discovery = CachedDocument(
            registration.discovery_url,
            registration.issuer,
            lambda document: ProviderMetadata.parse(document, registration.issuer),
            cache,
        )

    def metadata(self, now: float) -> ProviderMetadata:
        """The provider's metadata. Raises :exc:`ProviderUnavailable`."""
        return self._discovery.read(now).value

    def cached_metadata(self, now: float) -> ProviderMetadata | None:
        """The provider's metadata if it is cached. This does not call the provider."""
        cached = self._discovery.cached(now)
        return cached.value if cached else None

    @sensitive_variables()
    def exchange(self, code: str, *, redirect_uri: str, code_verifier: str, now: float) -> messages.Tokens:
        """Exchange ``code`` for tokens. Raises like :func:`messages.parse_token_response`."""
        body, headers = messages.token_request(
            self.registration, code=code, redirect_uri=redirect_uri, code_verifier=code_verifier
        )
        return messages.parse_token_response(http.post(self.metadata(now).token_endpoint, body, headers))

    @sensitive_variables()
    def userinfo(self, access_token: str, subject: str, now: float) -> tokens.Claims:
        """The userinfo claims about ``subject``. Raises like :func:`messages.userinfo_claims`."""
        endpoint = self.metadata(now).userinfo_endpoint
        if endpoint is None:
            raise SetupError("userinfo_endpoint_missing", "the provider has no userinfo endpoint")
        response = http.get(endpoint, messages.userinfo_request(self.registration, access_token))
        claims = messages.userinfo_claims(response, self.registration, lambda token: self._verify_userinfo(token, now))
        messages.check_userinfo_subject(claims, subject)
        return claims

    @sensitive_variables()
    def _verify_userinfo(self, token: str, now: float) -> tokens.Claims:
        signed = Provider(self.registration.of_userinfo, self.cache)
        return tokens.verify_userinfo(token, signed.registration, signed._keys(now), now=now)

    @sensitive_variables()
    def verify_id_token(self, received: messages.Tokens, *, nonce: str, now: float) -> tokens.IDToken:
        """Verify the ID token of a token response. Raises like :func:`tokens.verify_id_token`."""
        return tokens.verify_id_token(
            received.id_token,
            self.registration,
            self._keys(now),
            nonce=nonce,
            access_token=received.access_token,
            now=now,
        )

    @sensitive_variables()
    def verify_logout_token(self, token: str, *, now: float, exp_required: bool) -> tokens.LogoutToken:
        """Verify a logout token. Raises like :func:`tokens.verify_logout_token`."""
        return tokens.verify_logout_token(token, self.registration, self._keys(now), now=now, exp_required=exp_required)

    @sensitive_variables()
    def revoke(self, token: str, token_type_hint: str, now: float) -> None:
        """Revoke ``token`` (RFC 7009). Raises like :func:`messages.check_revocation_response`."""
        endpoint = self.metadata(now).revocation_endpoint
        if endpoint is None:
            raise SetupError("revocation_endpoint_missing", "the provider has no revocation endpoint")
        body, headers = messages.revocation_request(self.registration, token, token_type_hint)
        messages.check_revocation_response(http.post(endpoint, body, headers))

    def _keys(self, now: float) -> jose.Keys:
        return lambda kid: self.verification_keys(kid, now)

    def verification_keys(self, kid: str | None, now: float) -> Iterator[Key]:
        """The keys to try for a signature of the registered algorithm, one after the other.

        If no key verifies it, fetch the JWKS again in two cases: the ``kid`` is unknown, or the token has no ``kid``
        (Core 10.1.1). If that brings no other matching key, the cool-down begins. A JWKS that was fetched for this
        token is not fetched again.

        Raises :exc:`InvalidToken` (``kid_unknown``) if a JWKS that was fetched for this token has no matching key, and
        :exc:`ProviderUnavailable` if the JWKS cannot be fetched now.
        """
        alg = self.registration.id_token_signed_response_alg
        if alg.startswith("HS"):
            yield OctKey.import_key(self.registration.client_secret)
            return
        jwks = CachedDocument(self.metadata(now).jwks_uri, self.registration.issuer, parse_jwks, self.cache)
        cached = jwks.read(now)
        matching = matching_keys(cached.value, kid, alg)
        yield from matching
        if cached.fetched_at != now and not (matching and kid):
            known = matching
            newer = jwks.fetch_or_wait(now, cached, lambda keys: not _are_same(matching_keys(keys, kid, alg), known))
            matching = matching_keys(newer.value, kid, alg)
            yield from matching
        if not matching:
            raise InvalidToken("kid_unknown", f"the issuer's JWKS has no fitting {alg} key for this token")

    def key_ids(self, now: float) -> frozenset[str]:
        """The ids of the keys in the JWKS. Each call fetches the JWKS, so do not use this for unauthenticated requests.

        Raises :exc:`TemporaryError`.
        """
        response = http.get(self.metadata(now).jwks_uri)
        if not response.ok:
            raise ProviderUnavailable("document_fault", f"{self.metadata(now).jwks_uri} answers {response.status}")
        return frozenset(key.kid for key in parse_jwks(response.json()) if key.kid)


def matching_keys(keys: Sequence[Key], kid: str | None, alg: str) -> list[Key]:
    """The ``keys`` that have this ``kid``, if there is one, and can verify ``alg`` (kty, crv, use, alg, key_ops)."""
    return [key for key in keys if (kid is None or key.kid == kid) and _can_verify(key, alg)]


def _are_same(keys: Sequence[Key], others: Sequence[Key]) -> bool:
    return [key.as_dict() for key in keys] == [key.as_dict() for key in others]


def _can_verify(key: Key, alg: str) -> bool:
    try:
        JWSRegistry(algorithms=[alg]).get_alg(alg).check_key(key)
        key.check_key_op("verify")
    except JoseError:
        return False
    return True
