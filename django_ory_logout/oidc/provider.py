"""One provider as this site knows it: its documents through Django's cache, and the calls of the code flow.

Every process shares the cached documents and parses each once. Strangers cannot make us ask the provider more often
than the cool-down allows, and while it is down a copy up to a day old serves.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.views.decorators.debug import sensitive_variables
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey
from joserfc.jws import JWSRegistry

from .. import http
from ..cache import SharedCache
from ..exceptions import InvalidToken, ProviderUnavailable, SetupError, TemporaryError
from . import messages, tokens
from .metadata import ProviderMetadata, Registration, parse_jwks

FRESH_SECONDS = 60 * 60
STALE_SECONDS = 24 * 60 * 60
COOL_DOWN_SECONDS = 5
#: A process that has not come back by then does not ask any more: a call takes half of it at most.
CALL_SECONDS = 2 * http.TOTAL_SECONDS
WAIT_SECONDS = 3.0
MAX_WAITING = 4
POLL_SECONDS = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class Held(Generic[T]):
    """A parsed document and when it was fetched (seconds since the epoch)."""

    value: T
    fetched_at: float


#: How a call to the provider stands, or ended.
ASKING = "asking"
SETTLED = "settled"
UNUSABLE = "unusable"

_parsed: dict[str, Held[Any]] = {}
_waiting = threading.BoundedSemaphore(MAX_WAITING)


class Document(Generic[T]):
    """One JSON document of a provider."""

    def __init__(self, url: str, issuer: str, parse: Callable[[Mapping[str, Any]], T], cache: SharedCache) -> None:
        self.url = url
        self.parse = parse
        self.cache = cache
        self.key = f"document:{hashlib.sha256(f'{issuer} {url}'.encode()).hexdigest()}"
        self.asked_key = f"{self.key}:asked"

    def held(self, now: float) -> Held[T] | None:
        """The copy that is held, unless too old to serve; no call. Without the cache, this process has its own."""
        try:
            held = self._shared()
        except TemporaryError:  # no cache, or what an earlier version of this app has put there
            held = _parsed.get(self.key)
        return held if held and now < held.fetched_at + STALE_SECONDS else None

    def _shared(self) -> Held[T] | None:
        entry = self.cache.get(self.key)
        if entry is None:
            return None
        parsed = _parsed.get(self.key)
        if parsed is None or parsed.fetched_at != entry["fetched_at"]:
            parsed = _parsed[self.key] = Held(self.parse(entry["document"]), entry["fetched_at"])
        return parsed

    def read(self, now: float) -> Held[T]:
        """The document, at most an hour old while the provider answers. Raises :exc:`TemporaryError`."""
        held = self.held(now)
        if held and now < held.fetched_at + FRESH_SECONDS:
            return held
        try:
            return self.fetch(now, held) if held else self.fetch_or_await(now, None)
        except TemporaryError:
            if held is None:
                raise
            return held

    def fetch_or_await(
        self, now: float, held: Held[T] | None, settles: Callable[[T], bool] = lambda _value: True
    ) -> Held[T]:
        """Like :meth:`fetch`, but also the copy of the process that is asking right now, if that one ``settles``."""
        try:
            return self.fetch(now, held, settles)
        except ProviderUnavailable as error:
            newer = self._awaited(now, held) if error.code == "cooling_down" else None
            if newer is None:
                raise
        return newer if settles(newer.value) else self.fetch(now, newer, settles)

    def fetch(
        self, now: float, held: Held[T] | None = None, settles: Callable[[T], bool] = lambda _value: True
    ) -> Held[T]:
        """Ask the provider: one process at a time. Raises :exc:`TemporaryError`.

        Nobody asks again for the cool-down if the call fails, or if what it brings does not settle what it was made
        for. No call is made if another process has just brought a copy newer than ``held`` that does.
        """
        if not self.cache.add(self.asked_key, ASKING, CALL_SECONDS):
            raise self._asked_lately()
        outcome = "asked"
        try:
            fetched = self.held(now)
            if fetched is None or fetched == held or not settles(fetched.value):
                fetched = self._fetched(now)
            outcome = SETTLED if settles(fetched.value) else outcome
        except SetupError:
            outcome = UNUSABLE
            raise
        finally:
            if outcome == SETTLED:
                self.cache.delete(self.asked_key)
            else:
                self.cache.set(self.asked_key, outcome, COOL_DOWN_SECONDS)
        return fetched

    def _asked_lately(self) -> ProviderUnavailable:
        detail = f"{self.url} was asked less than {COOL_DOWN_SECONDS} s ago"
        if self.cache.get(self.asked_key) == UNUSABLE:
            return SetupError("unusable_lately", detail)
        return ProviderUnavailable("cooling_down", detail)

    def _fetched(self, now: float) -> Held[T]:
        response = http.get(self.url)
        if not response.ok:
            detail = f"{self.url} answers {response.status}"
            raise (
                ProviderUnavailable("document_fault", detail)
                if response.may_pass
                else SetupError("document_unusable", detail)
            )
        document = response.json()
        fetched = _parsed[self.key] = Held(self.parse(document), now)
        self.cache.set(self.key, {"document": document, "fetched_at": now}, STALE_SECONDS)
        return fetched

    def _awaited(self, now: float, held: Held[T] | None) -> Held[T] | None:
        """What another process brings home: at a cold start or a rotation, many want it at once, and few may wait."""
        if not _waiting.acquire(blocking=False):
            return None
        try:
            deadline = time.monotonic() + WAIT_SECONDS
            while (newer := self.held(now)) == held and self._asking() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        finally:
            _waiting.release()
        return None if newer == held else newer

    def _asking(self) -> bool:
        return bool(self.cache.get(self.asked_key) == ASKING)


class Provider:
    """The provider that ``registration`` is registered at."""

    def __init__(self, registration: Registration, cache: SharedCache) -> None:
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
        claims = messages.userinfo_claims(
            response, self.registration, lambda token: self._verified_userinfo(token, now)
        )
        messages.check_userinfo_subject(claims, subject)
        return claims

    @sensitive_variables()
    def _verified_userinfo(self, token: str, now: float) -> tokens.Claims:
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

    def _keys(self, now: float) -> tokens.Keys:
        return lambda kid: self.verification_keys(kid, now)

    def verification_keys(self, kid: str | None, now: float) -> Iterator[Key]:
        """The keys to try on a signature with the registered algorithm, one after the other (SPECS 26).

        When none is left and the JWKS may have changed meanwhile, it is read again: for an unknown ``kid``, and for a
        token that names none (Core 10.1.1). Only if that brings no other key that fits, nobody does so for the
        cool-down. Raises :exc:`InvalidToken` (``kid_unknown``) when a JWKS fetched since the token came has no fitting
        key, and :exc:`ProviderUnavailable` when that cannot be known now.
        """
        alg = self.registration.id_token_signed_response_alg
        if alg.startswith("HS"):
            yield OctKey.import_key(self.registration.client_secret)
            return
        jwks = Document(self.metadata(now).jwks_uri, self.registration.issuer, parse_jwks, self.cache)
        held = jwks.read(now)
        found = fitting(held.value, kid, alg)
        yield from found
        if held.fetched_at != now and not (found and kid):
            known = found
            newer = jwks.fetch_or_await(now, held, lambda keys: not _are_same(fitting(keys, kid, alg), known))
            found = fitting(newer.value, kid, alg)
            yield from found
        if not found:
            raise InvalidToken("kid_unknown", f"the issuer's JWKS has no fitting {alg} key for this token")

    def key_ids(self, now: float) -> frozenset[str]:
        """The ids of the keys in its JWKS, read anew whenever this is called: not for what strangers can cause.

        Raises :exc:`TemporaryError`.
        """
        response = http.get(self.metadata(now).jwks_uri)
        if not response.ok:
            raise ProviderUnavailable("document_fault", f"{self.metadata(now).jwks_uri} answers {response.status}")
        return frozenset(key.kid for key in parse_jwks(response.json()) if key.kid)


def fitting(keys: Sequence[Key], kid: str | None, alg: str) -> list[Key]:
    """Those of ``keys`` that bear ``kid``, if one is named, and can verify ``alg`` (kty, crv, use, alg, key_ops)."""
    return [key for key in keys if (kid is None or key.kid == kid) and _fits(key, alg)]


def _are_same(keys: Sequence[Key], others: Sequence[Key]) -> bool:
    return [key.as_dict() for key in keys] == [key.as_dict() for key in others]


def _fits(key: Key, alg: str) -> bool:
    try:
        JWSRegistry(algorithms=[alg]).get_alg(alg).check_key(key)
        key.check_key_op("verify")
    except JoseError:
        return False
    return True
