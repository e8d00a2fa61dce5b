"""The site of the tests is for once nothing but Hydra's pages."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.cache import cache
from django.core.checks.registry import registry
from django.test import Client, override_settings

from django_ory_logout.hydra_ui import checks, conf

from .fake import FakeHydra, connect
from .site import settings as site

SETTINGS = ("INSTALLED_APPS", "MIDDLEWARE", "ROOT_URLCONF", "TEMPLATES", "ORY_HYDRA_UI")

Configure = Callable[..., None]
SignIn = Callable[..., None]
Logged = Callable[[], list[str]]
Advance = Callable[[float], None]


def query_of(url: str) -> dict[str, str]:
    """The parameters in the query of ``url``."""
    return dict(parse_qsl(urlsplit(url).query))


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    """The app is there for these tests alone."""
    with override_settings(**{name: getattr(site, name) for name in SETTINGS}):
        yield
    user_logged_in.disconnect(dispatch_uid="ory_hydra_ui.note_sign_in")
    user_logged_out.disconnect(dispatch_uid="ory_hydra_ui.revoke_at_logout")
    registry.registered_checks.difference_update(checks.ALL)
    conf.get.cache_clear()
    cache.clear()


@pytest.fixture
def configure(settings: Any) -> Configure:
    """Change ``ORY_HYDRA_UI``."""

    def configure(**changes: Any) -> None:
        settings.ORY_HYDRA_UI = {**settings.ORY_HYDRA_UI, **changes}

    return configure


@pytest.fixture
def hydra() -> Iterator[FakeHydra]:
    with connect() as fake:
        yield fake


@pytest.fixture
def amber(db: None) -> User:
    return User.objects.create_user("amber", "amber@example.com", "pw", first_name="Amber", last_name="Tree")


@pytest.fixture
def birch(db: None) -> User:
    return User.objects.create_user("birch", "birch@example.com", "pw")


@pytest.fixture
def browser(db: None) -> Client:
    return Client()


@pytest.fixture
def sign_in(hydra: FakeHydra, browser: Client) -> SignIn:
    """Sign in through the login page, and clear the recorded calls."""

    def sign_in(user: User, *, sid: str = "sid-1") -> None:
        form = {"username": user.username, "password": "pw", "remember": "on"}
        answer = browser.post(hydra.login(sid=sid), form)
        assert answer.status_code == 302, answer.content
        hydra.answered.clear()

    return sign_in


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    """Log lines of the app with level WARNING or above."""
    return lambda: [
        re.sub(r" \(reference [0-9A-Z]{8}\)$", "", record.getMessage())
        for record in caplog.records
        if record.name == "django_ory_logout" and record.levelno >= logging.WARNING
    ]


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Advance:
    """Move the clock."""

    def advance(seconds: float) -> None:
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + seconds)

    return advance
