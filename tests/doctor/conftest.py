"""A healthy site, its provider, and a proxy between: each can be broken in one way, and the rows that turn are seen."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.test import Client as Browser

from django_ory_logout.doctor import Finding, Verdict, examine
from django_ory_logout.testing import Network
from django_ory_logout.testing.endpoints import Answer, Request
from django_ory_logout.testing.network import Place, Wire, connected

URL = "https://rp.example"
DISCOVERY = "/.well-known/openid-configuration"
#: What the modules under these tests look at.
OURS = ("site", "provider", "receiver")


class Proxy(Wire):
    """Stands before the test site: passes on what comes, and can do to it what proxies do."""

    def __init__(self, url: str = URL) -> None:
        super().__init__(Place(url, self._passed_on))
        #: Headers that it lays over an answer; ``None`` takes one away.
        self.headers: dict[str, str | None] = {}
        #: What it makes of a body on its way to the site.
        self.body: Callable[[bytes], bytes] = bytes
        self.secure = url.startswith("https:")

    def _passed_on(self, request: Request) -> Answer:
        browser = Browser(enforce_csrf_checks=True, raise_request_exception=False)
        content_type = request.headers.get("Content-Type", "")
        passed_on = {
            name: request.headers[name] for name in ("Accept", "Cookie", "Origin", "Referer") if name in request.headers
        }
        answer: Any = browser.generic(
            request.method,
            request.path,
            self.body(request.body),
            content_type,
            secure=self.secure,
            query_params=dict(request.query),
            headers={"Host": "rp.example", **passed_on},
        )
        headers = {**answer.headers, **self.headers}
        return Answer(
            answer.status_code, {name: value for name, value in headers.items() if value is not None}, answer.content
        )


class RemoteCache(BaseCache):
    """As Redis is: in another process, for all."""

    def __init__(self, _server: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._kept = LocMemCache("remote", params)

    def add(self, *args: Any, **kwargs: Any) -> bool:
        return self._kept.add(*args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._kept.get(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        self._kept.set(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        return self._kept.delete(*args, **kwargs)

    def clear(self) -> None:
        self._kept.clear()


@pytest.fixture(autouse=True)
def _shared_cache(settings: Any) -> None:
    """Where processes share a cache, as they should."""
    settings.CACHES = {"default": {"BACKEND": "tests.doctor.conftest.RemoteCache"}}


class ProvidersClock:
    """By how many seconds the clock of the other side is ahead of this machine's."""

    ahead = 0.0


@pytest.fixture
def providers_clock(monkeypatch: pytest.MonkeyPatch) -> ProvidersClock:
    """Each answer has a ``Date``, as RFC 9110 wants it of a server with a clock."""
    clock, answered = ProvidersClock(), Wire._answer

    def dated(wire: Wire, request: Request, place: Place) -> Answer:
        answer = answered(wire, request, place)
        return replace(answer, headers={"Date": formatdate(time.time() + clock.ahead, usegmt=True), **answer.headers})

    monkeypatch.setattr(Wire, "_answer", dated)
    return clock


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """The way to the site, from outside."""
    with connected(Proxy()) as proxy:
        yield proxy


@pytest.fixture
def healthy(db: None, network: Network, proxy: Proxy, providers_clock: ProvidersClock) -> None:
    """Everything is as it should be."""


Rows = dict[str, list[Finding]]


def looked(*only: str, alias: str | None = None) -> Rows:
    """The rows by their ids."""
    found: Rows = {}
    for one in examine(alias=alias, only=only or OURS):
        found.setdefault(one.check, []).append(one)
    return found


def red(*only: str) -> dict[str, list[str]]:
    """The verdicts of each check that has a row that is not green."""
    verdicts = {check: [str(one.verdict) for one in rows] for check, rows in looked(*only).items()}
    return {check: said for check, said in verdicts.items() if set(said) != {Verdict.PASS}}


def row(check: str) -> Finding:
    """The one row of ``check``."""
    (finding,) = looked(check)[check]
    return finding
