"""A site whose parts can fail, and browsers that show which sessions are still signed in."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.signals import got_request_exception

from django_ory_logout.models import LoginSession, LogoutEvent, LogoutReceipt, RefusalCount, Subject
from django_ory_logout.sessions import events, index
from django_ory_logout.testing import Network

from ..conftest import SiteBrowser
from .injection import EVERYTHING, KINDS, Faults, injected, sweep

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]
#: Log lines that name no fault, because no fault causes them.
CALM = ("logout still not confirmed", "logout not confirmed")

Act = Callable[[SiteBrowser], Any]


@pytest.fixture(params=ENGINES)
def engine(request: Any, settings: Any, tmp_path: Any) -> str:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.CACHES = {"default": {"BACKEND": "tests.faults.injection.FaultyCache", "LOCATION": str(tmp_path)}}
    return str(request.param)


@pytest.fixture
def faults(engine: str) -> Iterator[Faults]:
    with injected() as faults:
        yield faults


class FaultySite:
    """Signs users in, runs an act with a fault, and checks the answer and the log."""

    def __init__(self, faults: Faults, network: Network, caplog: pytest.LogCaptureFixture) -> None:
        self.faults, self.network, self._caplog = faults, network, caplog
        self.answers: list[int] = []
        self._bare: list[Any] = []

    def new_browser(self) -> SiteBrowser:
        return SiteBrowser(self.network, raise_request_exception=False)

    def reset(self) -> tuple[SiteBrowser, SiteBrowser, SiteBrowser]:
        """Amber's browser, a copy of it with all its cookies, and Birch's browser."""
        for model in (LoginSession, LogoutReceipt, LogoutEvent, RefusalCount, Session, Subject, get_user_model()):
            manager: Any = model._default_manager
            manager.all().delete()
        cache.clear()
        index._seen.clear()
        events._recent_counts.clear()
        self._caplog.clear()
        browser, other = self.new_browser(), self.new_browser()
        assert browser.sign_in("amber").status_code == 302
        assert other.sign_in("birch").status_code == 302
        return browser, self.copy_of(browser), other

    def copy_of(self, browser: SiteBrowser) -> SiteBrowser:
        copy = self.new_browser()
        copy.cookies.load({name: morsel.value for name, morsel in browser.cookies.items()})
        return copy

    def act(self, act: Act, browser: SiteBrowser) -> Any:
        """Run ``act`` with its fault. There is no unhandled 500, and no log line names another cause."""
        index._seen.clear()
        self._caplog.clear()
        self._bare.clear()
        got_request_exception.connect(self._note)
        try:
            with self.faults.on():
                answer = act(browser)
        finally:
            got_request_exception.disconnect(self._note)
        self.answers.append(answer.status_code)
        assert self._bare == [], self.faults.failed
        assert answer.status_code in (200, 302, 401, 403, 503), (answer.status_code, self.faults.failed)
        self._assert_true_causes()
        return answer

    def _note(self, **_arguments: Any) -> None:
        import sys

        self._bare.append(repr(sys.exception()))

    def _assert_true_causes(self) -> None:
        """A log line about a fault names the type of the injected fault, and no other cause."""
        names = {kind.__name__ for kind in KINDS.values()} if self.faults.kind == EVERYTHING else set()
        names |= {KINDS[self.faults.kind].__name__} if self.faults.kind in KINDS else set()
        lines = [
            record.getMessage()
            for record in self._caplog.records
            if record.name == "django_ory_logout" and record.levelno >= logging.WARNING
        ]
        if self.faults.failed:
            names |= {"the engine stored nothing"} if self.faults.kind in ("file", EVERYTHING) else set()
            assert [line for line in lines if not any(name in line for name in names)] == [], self.faults.failed
        else:
            assert lines == []

    def sweep(self, kind: str, *, onward: bool, run: Callable[[], None]) -> int:
        return sweep(self.faults, kind, onward=onward, run=run)


@pytest.fixture
def faulty_site(faults: Faults, network: Network, caplog: pytest.LogCaptureFixture) -> FaultySite:
    return FaultySite(faults, network, caplog)


@pytest.fixture(params=[*KINDS, EVERYTHING])
def kind(request: Any) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["once", "onward"])
def onward(request: Any) -> bool:
    return bool(request.param)
