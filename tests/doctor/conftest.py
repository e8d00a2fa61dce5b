"""A healthy site, its provider, and a proxy between them. Tests break each of them and check the rows that turn."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.test import Client as Browser

from django_ory_logout.doctor import Finding, Verdict, run_checks
from django_ory_logout.testing import Network
from django_ory_logout.testing.http import Answer, Request
from django_ory_logout.testing.network import FakeNetwork, Route, connected

from .hydra_network import urls_of

URL = "https://rp.example"
DISCOVERY = "/.well-known/openid-configuration"
#: Sections of the checks that these tests run.
OURS = ("site", "provider", "receiver")


class Proxy(FakeNetwork):
    """Stands before the test site. It forwards requests and can change them as proxies do."""

    def __init__(self, url: str = URL) -> None:
        super().__init__(Route(url, self._passed_on))
        #: Headers that it sets on an answer; ``None`` removes one.
        self.headers: dict[str, str | None] = {}
        #: How it changes a body on its way to the site.
        self.body: Callable[[bytes], bytes] = bytes
        self.secure, self.host = url.startswith("https:"), urlsplit(url).netloc

    def _passed_on(self, request: Request) -> Answer:
        with urls_of(None):
            return self._answered(request)

    def _answered(self, request: Request) -> Answer:
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
            headers={"Host": self.host, **passed_on},
        )
        headers = {**answer.headers, **self.headers}
        return Answer(
            answer.status_code, {name: value for name, value in headers.items() if value is not None}, answer.content
        )


class RemoteCache(BaseCache):
    """Like Redis: a cache in another process that all processes share."""

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
    """Processes share one cache. It holds nothing of earlier tests."""
    settings.CACHES = {"default": {"BACKEND": "tests.doctor.conftest.RemoteCache"}}
    cache.clear()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Requests reach the site through this proxy."""
    with connected(Proxy()) as proxy:
        yield proxy


@pytest.fixture
def healthy(db: None, network: Network, proxy: Proxy) -> None:
    """Site, provider and proxy work."""


Rows = dict[str, list[Finding]]


def looked(*only: str, alias: str | None = None) -> Rows:
    """The rows by their ids."""
    found: Rows = {}
    for finding in run_checks(alias=alias, only=only or OURS):
        found.setdefault(finding.check, []).append(finding)
    return found


def red(*only: str) -> dict[str, list[str]]:
    """The verdicts of each check that has a row that is not green."""
    verdicts = {check: [str(finding.verdict) for finding in rows] for check, rows in looked(*only).items()}
    return {check: said for check, said in verdicts.items() if set(said) != {Verdict.PASS}}


def row(check: str) -> Finding:
    """The one row of ``check``."""
    (finding,) = looked(check)[check]
    return finding
