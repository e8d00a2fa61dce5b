"""The site, its stored sessions and its browsers in one test run."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.sessions.backends import cached_db
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.handlers.base import BaseHandler
from django.db import connection, connections
from django.test import RequestFactory
from django.utils import timezone

from django_ory_logout import conf
from django_ory_logout.flows import login, notices
from django_ory_logout.models import LoginSession, LogoutNotice, LogoutReceipt, digest
from django_ory_logout.oidc import messages
from django_ory_logout.oidc.messages import Tokens
from django_ory_logout.oidc.tokens import IDToken, LogoutToken
from django_ory_logout.sessions import index
from django_ory_logout.sessions.engines import site_store
from django_ory_logout.sessions.store import indexed

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django_ory_logout.middleware.LoginSessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
SID, OTHER_SID = "the sid", "the sid of somebody else"
SUBJECT, OTHER_SUBJECT = "amber", "birch"


class SiteUnderTest:
    """The stored sessions, and which requests were signed in."""

    def __init__(self, handler: BaseHandler) -> None:
        self._handler = handler
        self._requests = RequestFactory()
        self._rows: list[LoginSession] = []
        self._stored: list[Session] = []
        self._data: Any = None
        self._key = ""
        #: Every session key that a browser has received.
        self.held: list[str] = []
        #: Status codes of the answers.
        self.answers: list[int] = []
        #: Whether a signed-in user logged out here.
        self.logged_out = False

    @property
    def cache_states(self) -> list[bool]:
        """The states of the cache to test. ``cached_db`` has a second store behind its cache, so it has two states."""
        return [False, True] if issubclass(site_store(), cached_db.SessionStore) else [False]

    def visit(self, path: str, key: str | None = None) -> str:
        """Send one request. Return the session key that the browser has afterwards."""
        response = self.response(path, key)
        self.answers.append(response.status_code)
        cookie = response.cookies.get(settings.SESSION_COOKIE_NAME)
        if cookie is None:
            return key or ""
        if cookie.value:
            self.held.append(cookie.value)
        return str(cookie.value)

    def response(self, path: str, key: str | None = None, user_agent: str = "") -> Any:
        request = self._requests.get(path, headers={"host": "testserver", "user-agent": user_agent})
        if key:
            request.COOKIES[settings.SESSION_COOKIE_NAME] = key
        return self._handler.get_response(request)

    def is_signed_in(self, key: str) -> bool:
        self.visit("/who/", key)
        return self.answers[-1] == 200

    def survivors(self) -> list[str]:
        """Keys that a browser may have and that are still signed in."""
        return [key for key in dict.fromkeys(self.held) if self.is_signed_in(key)]

    def wrongly_killed(self) -> list[str]:
        """Keys that a browser may have, that are signed in for Django alone, and that the app refuses."""
        django_says = [key for key in dict.fromkeys(self.held) if SESSION_KEY in site_store()(key).load()]
        return [key for key in django_says if not self.is_signed_in(key)]

    def clear(self) -> None:
        """Delete all sessions, rows and receipts."""
        for model in (LoginSession, LogoutReceipt, Session):
            model._default_manager.all()._raw_delete(connection.alias)
        cache.clear()
        index._seen.clear()
        for stored in Path(_storage_path()).glob(f"{settings.SESSION_COOKIE_NAME}*"):
            stored.unlink()
        self.held, self.answers, self.logged_out = [], [], False

    def sign_in_once(self) -> None:
        """Sign in through the views, and keep the stored data for :meth:`restore`."""
        self.clear()
        self._key = self.visit("/sign-in/")
        assert self.is_signed_in(self._key), self.answers
        self._rows, self._stored = list(LoginSession.objects.all()), list(Session.objects.all())
        self._prefix = getattr(site_store(), "cache_key_prefix", "")
        self._data = cache.get(self._prefix + self._key) if self._prefix else None
        path = _session_file(self._key)
        self._file = path.read_text() if path.exists() else None

    def restore(self, *, cold: bool = False) -> str:
        """Restore one signed-in browser and return its key. ``cold``: only the database has its session."""
        self.clear()
        LoginSession.objects.bulk_create(self._rows)
        Session.objects.bulk_create(self._stored)
        if self._data and not cold:
            cache.set(self._prefix + self._key, self._data)
        if self._file is not None:
            _session_file(self._key).write_text(self._file)
        self.held = [self._key]
        return self._key


def _storage_path() -> str:
    return str(settings.SESSION_FILE_PATH)


def _session_file(key: str) -> Path:
    # A signed cookie is too long for a file name.
    return Path(_storage_path()) / f"{settings.SESSION_COOKIE_NAME}{key[:32]}"


def logout_notice(sid: str | None = SID, subject: str | None = None) -> LogoutNotice:
    return LogoutNotice(settings.ISSUER, subject, sid, timezone.now())


def notice(sid: str | None = SID, subject: str | None = None) -> int:
    """A back-channel notice, after the logout token was verified."""
    return notices.back_channel(json.dumps([sid, subject]))


def rows_of(subject: str, count: int) -> list[LoginSession]:
    """Unsaved login sessions of ``subject``, each with its own key."""
    now = timezone.now()
    user, _ = get_user_model().objects.get_or_create(username=subject)
    return [
        LoginSession(
            user=user,
            issuer=settings.ISSUER,
            client_id=settings.CLIENT_ID,
            subject=subject,
            subject_digest=digest(settings.ISSUER, subject),
            session_key=uuid4().hex,
            iat=now,
            created_at=now,
            last_seen_at=now,
            expires_at=now + timedelta(days=1),
        )
        for _ in range(count)
    ]


@contextmanager
def provider_accepts_all() -> Iterator[None]:
    """The provider accepts each sign-in at once as ``SUBJECT`` with ``SID``. Its logout tokens are not verified."""

    def exchange(*_args: object) -> tuple[Tokens, IDToken]:
        return Tokens("", ""), IDToken(settings.ISSUER, SUBJECT, SID, time.time(), {"sub": SUBJECT}, "")

    def verified(token: str) -> LogoutToken:
        sid, subject = json.loads(token)
        return LogoutToken(settings.ISSUER, subject, sid, time.time(), jti="the jti")

    with (
        patch.object(notices, "_verify", verified),
        patch.object(login.PendingSignIn, "use"),
        patch.object(conf.ProviderConfig, "provider"),
        patch.object(messages, "authorization_code"),
        patch.object(login, "_exchange", exchange),
    ):
        yield


@contextmanager
def database_of_several_connections(directory: Path) -> Iterator[None]:
    """Give each thread its own connection. SQLite uses a file instead of this thread's memory."""
    if connection.vendor != "sqlite":
        yield
        return
    name = str(directory / "interleavings.sqlite3")
    connection.ensure_connection()
    with sqlite3.connect(name) as copy:
        connection.connection.backup(copy)
    copy.close()
    memory, configured = connections["default"], connections.settings["default"]
    options = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"}
    del connections["default"]
    try:
        with patch.dict(configured, NAME=name, OPTIONS=options):
            yield
            connections["default"].close()
    finally:
        connections["default"] = memory


def site_settings(engine: str, directory: Path) -> dict[str, Any]:
    """Settings of a site with sessions in ``engine``, which reads the index at every load."""
    return {
        "SESSION_ENGINE": engine,
        "SESSION_FILE_PATH": str(directory),
        "MIDDLEWARE": MIDDLEWARE,
        "ROOT_URLCONF": "tests.sessions.site",
        "ORY_LOGOUT": settings.ORY_LOGOUT | {"SESSION_RECHECK_SECONDS": 0},
    }


@contextmanager
def running_site() -> Iterator[SiteUnderTest]:
    """The site with :func:`site_settings`."""
    with storing_in(site_store(), Path(_storage_path())), provider_accepts_all():
        conf.get.cache_clear()
        handler = BaseHandler()
        handler.load_middleware()
        yield SiteUnderTest(handler)


@contextmanager
def storing_in(store: type[SessionBase], directory: Path) -> Iterator[None]:
    """The class of the file engine keeps its directory."""
    with (
        patch.object(store, "_storage_path", str(directory), create=True),
        patch.object(indexed(store), "_storage_path", str(directory), create=True),
    ):
        yield
