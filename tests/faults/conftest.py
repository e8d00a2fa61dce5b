"""A site whose parts can fail, and the browsers that prove what is still signed in."""

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
#: Lines that name no fault, because none of them is about one.
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


class Stage:
    """One run after the other: people who are signed in, an act with a fault in it, and what came of it."""

    def __init__(self, faults: Faults, network: Network, caplog: pytest.LogCaptureFixture) -> None:
        self.faults, self.network, self._caplog = faults, network, caplog
        self.answers: list[int] = []
        self._bare: list[Any] = []

    def new_browser(self) -> SiteBrowser:
        return SiteBrowser(self.network, raise_request_exception=False)

    def reset(self) -> tuple[SiteBrowser, SiteBrowser, SiteBrowser]:
        """``amber``'s browser, a copy of it with all its cookies, and that of somebody else."""
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
        """``act`` with its fault. Never a bare 500, and no line that names another cause."""
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
        """A line of a fault names the type of that which was injected, and no other cause."""
        names = {kind.__name__ for kind in KINDS.values()} if self.faults.kind == EVERYTHING else set()
        names |= {KINDS[self.faults.kind].__name__} if self.faults.kind in KINDS else set()
        lines = [
            record.getMessage()
            for record in self._caplog.records
            if record.name == "django_ory_logout" and record.levelno >= logging.WARNING
        ]
        if self.faults.failed:
            names |= {"the engine kept nothing"} if self.faults.kind in ("file", EVERYTHING) else set()
            assert [one for one in lines if not any(name in one for name in names)] == [], self.faults.failed
        else:
            assert lines == []

    def sweep(self, kind: str, *, onward: bool, run: Callable[[], None]) -> int:
        return sweep(self.faults, kind, onward=onward, run=run)


@pytest.fixture
def stage(faults: Faults, network: Network, caplog: pytest.LogCaptureFixture) -> Stage:
    return Stage(faults, network, caplog)


@pytest.fixture(params=[*KINDS, EVERYTHING])
def kind(request: Any) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["once", "onward"])
def onward(request: Any) -> bool:
    return bool(request.param)
