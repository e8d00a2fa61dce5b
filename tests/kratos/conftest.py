"""A Kratos without sockets, and browsers and native clients of a site that uses it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_ory_logout.sessions.engines import site_store
from django_ory_logout.testing import Kratos, KratosNetwork, connect_kratos
from django_ory_logout.testing.kratos import Identity, Session

from ..conftest import SiteBrowser
from ..sessions.tested_site import storing_in

PUBLIC_URL = "https://login.example"
ADMIN_URL = "http://kratos:4434"
COOKIE = "ory_kratos_session"
MIDDLEWARE = "django_ory_logout.middleware.KratosMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"

KratosBrowser = Callable[..., SiteBrowser]


@pytest.fixture
def kratos() -> Kratos:
    return Kratos(PUBLIC_URL)


@pytest.fixture
def kratos_network(kratos: Kratos) -> Iterator[KratosNetwork]:
    """Routes requests to ``kratos``, records them, and can fail."""
    with connect_kratos(kratos, PUBLIC_URL, ADMIN_URL) as kratos_network:
        yield kratos_network


@pytest.fixture(autouse=True)
def _settings(settings: Any) -> None:
    """A site where users sign in with Kratos only."""
    place = settings.MIDDLEWARE.index(AUTHENTICATION) + 1
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], MIDDLEWARE, *settings.MIDDLEWARE[place:]]
    settings.ORY_LOGOUT = {
        "SITE_URL": "https://rp.example",
        "PROVIDERS": {"default": {"KRATOS": {"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": ADMIN_URL}}},
    }


@pytest.fixture
def amber(kratos: Kratos) -> Identity:
    return kratos.identity("amber@example.org", password="a password of hers")


@pytest.fixture
def session(kratos: Kratos, amber: Identity) -> Session:
    return kratos.sign_in(amber)


@pytest.fixture
def browser_of(kratos_network: KratosNetwork) -> KratosBrowser:
    """Make a browser that has the cookie of a session at Kratos, or no cookie."""

    def browser_of(session: Session | None = None, **options: Any) -> SiteBrowser:
        browser = SiteBrowser(**options)
        if session:
            browser.cookies[COOKIE] = session.cookie
        return browser

    return browser_of


@pytest.fixture
def native_client_of(kratos_network: KratosNetwork) -> KratosBrowser:
    """Make a client that sends a session token with each request and has only the cookies it is given."""

    def native_client_of(session: Session | str, **options: Any) -> SiteBrowser:
        token = session if isinstance(session, str) else session.token
        return SiteBrowser(headers={"x-session-token": token}, **options)

    return native_client_of


@pytest.fixture
def configure_kratos(settings: Any) -> Callable[..., None]:
    """Change settings of the only Kratos."""

    def configure_kratos(**changes: Any) -> None:
        entry = settings.ORY_LOGOUT["PROVIDERS"]["default"]
        changed = {**entry, "KRATOS": {**entry["KRATOS"], **changes}}
        settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": changed}}

    return configure_kratos


@pytest.fixture
def whoami_calls(kratos_network: KratosNetwork) -> Callable[[], int]:
    """Count the whoami calls since the last count."""
    seen = 0

    def whoami_calls() -> int:
        nonlocal seen
        calls = [call for call in kratos_network.calls if call.url.endswith("/sessions/whoami")]
        count, seen = len(calls) - seen, len(calls)
        return count

    return whoami_calls


@pytest.fixture(params=["db", "cached_db", "cache", "file", "signed_cookies"])
def engine(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[str]:
    """Each of Django's session engines."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    with storing_in(site_store(), tmp_path):
        yield request.param


@pytest.fixture
def without_login_wall(settings: Any) -> None:
    """``LoginRequiredMiddleware`` reads the user before it checks whether the page is public."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "LoginRequired" not in name]
