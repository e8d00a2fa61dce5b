"""The JSON documents of a provider, its metadata and its JWKS, in the shared cache.

All processes share the cached documents, and each process parses each document once. Requests from outside cannot make
this site call the provider more often than once per cool-down. While the provider is down, a copy up to a day old is
used.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .. import http
from ..cache import SharedCache
from ..exceptions import ProviderUnavailable, SetupError, TemporaryError

FRESH_SECONDS = 60 * 60
STALE_SECONDS = 24 * 60 * 60
COOL_DOWN_SECONDS = 5
#: After this time, a process that is fetching counts as dead. A call takes at most half of it.
CALL_SECONDS = 2 * http.TOTAL_SECONDS
WAIT_SECONDS = 3.0
MAX_WAITING = 4
POLL_SECONDS = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class DocumentCopy(Generic[T]):
    """A parsed document and when it was fetched (seconds since the epoch)."""

    value: T
    fetched_at: float


#: The states of a call to the provider, in the shared cache. A successful call leaves no state.
#: A process is fetching the document now.
FETCHING = "fetching"
#: The last call failed, or its document did not have what the caller needs.
FAILED = "failed"
#: The last call brought a document that cannot be used.
UNUSABLE = "unusable"

_parsed: dict[str, DocumentCopy[Any]] = {}
_waiting = threading.BoundedSemaphore(MAX_WAITING)


class CachedDocument(Generic[T]):
    """One JSON document of a provider."""

    def __init__(self, url: str, issuer: str, parse: Callable[[Mapping[str, Any]], T], cache: SharedCache) -> None:
        self.url = url
        self.parse = parse
        self.cache = cache
        self.key = f"document:{hashlib.sha256(f'{issuer} {url}'.encode()).hexdigest()}"
        self.call_key = f"{self.key}:call"

    def cached(self, now: float) -> DocumentCopy[T] | None:
        """The cached copy, unless it is too old to use. This does not call the provider.

        If the cache fails, the copy of this process is used.
        """
        try:
            copy = self._from_shared_cache()
        except TemporaryError:  # the cache is down, or has an entry of an earlier version of this app
            copy = _parsed.get(self.key)
        return copy if copy and now < copy.fetched_at + STALE_SECONDS else None

    def _from_shared_cache(self) -> DocumentCopy[T] | None:
        entry = self.cache.get(self.key)
        if entry is None:
            return None
        parsed = _parsed.get(self.key)
        if parsed is None or parsed.fetched_at != entry["fetched_at"]:
            parsed = _parsed[self.key] = DocumentCopy(self.parse(entry["document"]), entry["fetched_at"])
        return parsed

    def read(self, now: float) -> DocumentCopy[T]:
        """The document, at most an hour old while the provider answers, otherwise up to a day.

        Raises :exc:`TemporaryError`.
        """
        cached = self.cached(now)
        if cached and now < cached.fetched_at + FRESH_SECONDS:
            return cached
        try:
            return self.fetch(now, cached) if cached else self.fetch_or_wait(now, None)
        except TemporaryError:
            if cached is None:
                raise
            return cached

    def fetch_or_wait(
        self, now: float, old: DocumentCopy[T] | None, is_enough: Callable[[T], bool] = lambda _value: True
    ) -> DocumentCopy[T]:
        """Like :meth:`fetch`. If another process is fetching now, wait for its copy.

        That copy is used if it has what the caller needs.
        """
        try:
            return self.fetch(now, old, is_enough)
        except ProviderUnavailable as error:
            newer = self._wait_for_newer(now, old) if error.code == "cooling_down" else None
            if newer is None:
                raise
        return newer if is_enough(newer.value) else self.fetch(now, newer, is_enough)

    def fetch(
        self, now: float, old: DocumentCopy[T] | None = None, is_enough: Callable[[T], bool] = lambda _value: True
    ) -> DocumentCopy[T]:
        """Fetch the document from the provider; only one process does so at a time. Raises :exc:`TemporaryError`.

        If the call fails, or its document lacks what the caller needs, no process fetches again during the cool-down.
        No call is made if another process has just stored a copy that is newer than ``old`` and has what
        the caller needs.
        """
        if not self.cache.add(self.call_key, FETCHING, CALL_SECONDS):
            raise self._cool_down_error()
        failure: str | None = FAILED
        try:
            copy = self.cached(now)
            if copy is None or copy == old or not is_enough(copy.value):
                copy = self._download(now)
            failure = None if is_enough(copy.value) else FAILED
        except SetupError:
            failure = UNUSABLE
            raise
        finally:
            if failure is None:
                self.cache.delete(self.call_key)
            else:
                self.cache.set(self.call_key, failure, COOL_DOWN_SECONDS)
        return copy

    def _cool_down_error(self) -> ProviderUnavailable:
        detail = f"{self.url} was asked less than {COOL_DOWN_SECONDS} s ago"
        if self.cache.get(self.call_key) == UNUSABLE:
            return SetupError("unusable_lately", detail)
        return ProviderUnavailable("cooling_down", detail)

    def _download(self, now: float) -> DocumentCopy[T]:
        response = http.get(self.url)
        if not response.ok:
            detail = f"{self.url} answers {response.status}"
            raise (
                ProviderUnavailable("document_fault", detail)
                if response.is_temporary
                else SetupError("document_unusable", detail)
            )
        document = response.json()
        copy = _parsed[self.key] = DocumentCopy(self.parse(document), now)
        self.cache.set(self.key, {"document": document, "fetched_at": now}, STALE_SECONDS)
        return copy

    def _wait_for_newer(self, now: float, old: DocumentCopy[T] | None) -> DocumentCopy[T] | None:
        """Wait until another process has stored a copy newer than ``old``; ``None`` if none came.

        At a cold start or after a key rotation, many requests need the copy. At most :data:`MAX_WAITING` may wait.
        """
        if not _waiting.acquire(blocking=False):
            return None
        try:
            deadline = time.monotonic() + WAIT_SECONDS
            while (newer := self.cached(now)) == old and self._is_fetching() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        finally:
            _waiting.release()
        return None if newer == old else newer

    def _is_fetching(self) -> bool:
        return bool(self.cache.get(self.call_key) == FETCHING)
