"""A provider without sockets, and browsers of the test site that sign in through it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client as Browser

from django_ory_logout import conf
from django_ory_logout.testing import Client, LoginSession, Network, Provider, connect

SITE = "https://rp.example/auth"


@pytest.fixture(autouse=True)
def _fresh_state() -> Iterator[None]:
    """No cached document, cool-down, used state or setting outlives its test."""
    cache.clear()
    conf.get.cache_clear()
    yield
    cache.clear()
    conf.get.cache_clear()


@pytest.fixture(scope="session")
def signing_key() -> Any:
    """One RSA key for all tests: making one is what takes the time."""
    return Provider().signing_key()


@pytest.fixture
def provider(signing_key: Any) -> Provider:
    """The provider of ``settings.ISSUER``, at which the test site is registered."""
    provider = Provider(settings.ISSUER)
    provider.keys = [signing_key]
    provider.register(Client.of_site(SITE, settings.CLIENT_ID, settings.CLIENT_SECRET))
    return provider


@pytest.fixture
def network(provider: Provider) -> Iterator[Network]:
    """The way to ``provider``: records calls, and can break."""
    with connect(provider) as network:
        yield network


class SiteBrowser(Browser):
    """A browser of the test site, over https."""

    def __init__(self, network: Network | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.network = network

    def generic(self, method: str, path: str, *args: Any, **extra: Any) -> Any:
        extra["secure"] = True
        return super().generic(method, path, *args, **extra)

    def start(self, **parameters: str) -> str:
        """Begin to sign in: where the site sends the browser."""
        return str(self.get("/auth/login/", parameters)["Location"])

    def sign_in(
        self, subject: str = "amber", *, login_session: LoginSession | None = None, **parameters: str
    ) -> HttpResponse:
        """Sign in whole: the answer of the callback."""
        assert self.network is not None
        callback = self.network.follow(self.start(**parameters), subject, login_session=login_session)
        return self.get(callback.removeprefix("https://rp.example"))

    @property
    def user(self) -> dict[str, Any] | None:
        """Who is signed in, as the site says."""
        answer = self.get("/auth/whoami/")
        return answer.json() if answer.status_code == 200 else None


@pytest.fixture
def new_browser(network: Network) -> Callable[[], SiteBrowser]:
    return lambda: SiteBrowser(network)


@pytest.fixture
def browser(new_browser: Callable[[], SiteBrowser]) -> SiteBrowser:
    return new_browser()
