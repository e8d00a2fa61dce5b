"""One provider as this site knows it: its documents through Django's cache, and the calls of the code flow.

Every process shares the cached documents and parses each once. Nobody can make us ask the provider more often than the
cool-down allows, and while it is down a copy up to a day old serves.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.cache.backends.base import BaseCache
from django.views.decorators.debug import sensitive_variables
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey
from joserfc.jws import JWSRegistry

from ..exceptions import InvalidToken, ProviderUnavailable
from . import http, messages, tokens
from .metadata import ProviderMetadata, Registration, parse_jwks

FRESH_SECONDS = 60 * 60
STALE_SECONDS = 24 * 60 * 60
COOL_DOWN_SECONDS = 5
WAIT_SECONDS = 3.0
POLL_SECONDS = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class Held(Generic[T]):
    """A parsed document and when it was fetched (seconds since the epoch)."""

    value: T
    fetched_at: float


_parsed: dict[str, Held[Any]] = {}


class Document(Generic[T]):
    """One JSON document of a provider."""

    def __init__(self, url: str, issuer: str, parse: Callable[[Mapping[str, Any]], T], cache: BaseCache) -> None:
        self.url = url
        self.parse = parse
        self.cache = cache
        self.key = f"ory_logout:document:{hashlib.sha256(f'{issuer} {url}'.encode()).hexdigest()}"
        self.asked_key = f"{self.key}:asked"

    def held(self, now: float) -> Held[T] | None:
        """The copy that is held, unless it is too old to serve; no call."""
        entry = self.cache.get(self.key)
        if entry is None or now >= entry["fetched_at"] + STALE_SECONDS:
            return None
        parsed = _parsed.get(self.key)
        if parsed is None or parsed.fetched_at != entry["fetched_at"]:
            parsed = _parsed[self.key] = Held(self.parse(entry["document"]), entry["fetched_at"])
        return parsed

    def read(self, now: float) -> Held[T]:
        """The document, at most an hour old while the provider answers. Raises :exc:`ProviderUnavailable`."""
        held = self.held(now)
        if held and now < held.fetched_at + FRESH_SECONDS:
            return held
        try:
            return self.fetch(now)
        except ProviderUnavailable as error:
            if held is None and error.code == "cooling_down":
                held = self._awaited(now)
            if held is None:
                raise
            return held

    def fetch(self, now: float) -> Held[T]:
        """Ask the provider, once per cool-down for all processes together. Raises :exc:`ProviderUnavailable`."""
        if not self.cache.add(self.asked_key, "asking", COOL_DOWN_SECONDS):
            raise ProviderUnavailable("cooling_down", f"{self.url} was asked less than {COOL_DOWN_SECONDS} s ago")
        try:
            response = http.get(self.url)
            if not response.ok:
                raise ProviderUnavailable("document_fault", f"{self.url} answers {response.status}")
            document = response.json()
            fetched = _parsed[self.key] = Held(self.parse(document), now)
        except ProviderUnavailable as error:
            self.cache.set(self.asked_key, error.code, COOL_DOWN_SECONDS)
            raise
        self.cache.set(self.key, {"document": document, "fetched_at": now}, STALE_SECONDS)
        return fetched

    def _awaited(self, now: float) -> Held[T] | None:
        """What the process that is asking right now brings home: at a cold start, many want it at once."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not (held := self.held(now)) and self._asking() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return held

    def _asking(self) -> bool:
        return bool(self.cache.get(self.asked_key) == "asking")


class Provider:
    """The provider that ``registration`` is registered at."""

    def __init__(self, registration: Registration, cache: BaseCache) -> None:
        self.registration = registration
        self.cache = cache
        self._discovery = Document(
            registration.discovery_url,
            registration.issuer,
            lambda document: ProviderMetadata.parse(document, registration.issuer),
            cache,
        )

    def metadata(self, now: float) -> ProviderMetadata:
        """Its metadata. Raises :exc:`ProviderUnavailable`."""
        return self._discovery.read(now).value

    def held_metadata(self, now: float) -> ProviderMetadata | None:
        """Its metadata if held already; never a call."""
        held = self._discovery.held(now)
        return held.value if held else None

    def exchange(self, code: str, *, redirect_uri: str, code_verifier: str, now: float) -> messages.Tokens:
        """Exchange ``code`` for tokens. Raises like :func:`messages.parse_token_response`."""
        body, headers = messages.token_request(
            self.registration, code=code, redirect_uri=redirect_uri, code_verifier=code_verifier
        )
        return messages.parse_token_response(http.post(self.metadata(now).token_endpoint, body, headers))

    def userinfo(self, access_token: str, subject: str, now: float) -> dict[str, Any]:
        """The userinfo claims about ``subject``. Raises like :func:`messages.parse_userinfo`."""
        endpoint = self.metadata(now).userinfo_endpoint
        if endpoint is None:
            raise ProviderUnavailable("userinfo_endpoint_missing", "the provider has no userinfo endpoint")
        response = http.get(endpoint, {"Authorization": f"Bearer {access_token}"})
        return messages.parse_userinfo(response, subject)

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

    def verify_logout_token(self, token: str, *, now: float, exp_required: bool) -> tokens.LogoutToken:
        """Verify a logout token. Raises like :func:`tokens.verify_logout_token`."""
        return tokens.verify_logout_token(token, self.registration, self._keys(now), now=now, exp_required=exp_required)

    @sensitive_variables()
    def revoke(self, token: str, token_type_hint: str, now: float) -> None:
        """Revoke ``token`` (RFC 7009). Raises like :func:`messages.check_revocation_response`."""
        endpoint = self.metadata(now).revocation_endpoint
        if endpoint is None:
            raise ProviderUnavailable("revocation_endpoint_missing", "the provider has no revocation endpoint")
        body, headers = messages.revocation_request(self.registration, token, token_type_hint)
        messages.check_revocation_response(http.post(endpoint, body, headers))

    def _keys(self, now: float) -> tokens.Keys:
        return lambda kid: self.verification_keys(kid, now)

    def verification_keys(self, kid: str | None, now: float) -> Sequence[Key]:
        """The keys that may have made a signature with the registered algorithm (SPECS 26).

        An unknown ``kid`` makes us read the JWKS again, once per cool-down. Raises :exc:`InvalidToken`
        (``kid_unknown``) when a JWKS fetched since the token came does not have it either, and
        :exc:`ProviderUnavailable` when that cannot be known now.
        """
        alg = self.registration.id_token_signed_response_alg
        if alg.startswith("HS"):
            return [OctKey.import_key(self.registration.client_secret)]
        jwks = Document(self.metadata(now).jwks_uri, self.registration.issuer, parse_jwks, self.cache)
        held = jwks.read(now)
        found = fitting(held.value, kid, alg)
        if not found and held.fetched_at < now:
            found = fitting(jwks.fetch(now).value, kid, alg)
        if not found:
            raise InvalidToken("kid_unknown", f"the issuer's JWKS has no fitting {alg} key for this token")
        return found


def fitting(keys: Sequence[Key], kid: str | None, alg: str) -> list[Key]:
    """Those of ``keys`` that bear ``kid``, if one is named, and can verify ``alg`` (kty, crv, use, alg, key_ops)."""
    return [key for key in keys if (kid is None or key.kid == kid) and _fits(key, alg)]


def _fits(key: Key, alg: str) -> bool:
    try:
        JWSRegistry(algorithms=[alg]).get_alg(alg).check_key(key)
        key.check_use("sig")
        key.check_alg(alg)
        key.check_key_op("verify")
    except JoseError:
        return False
    return True
