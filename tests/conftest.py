"""A provider without sockets, and browsers of the test site that sign in at it."""

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.conf import settings
from django.core.cache import cache
from django.dispatch import Signal
from django.test import Client as Browser

from django_ory_logout import conf
from django_ory_logout.oidc import documents
from django_ory_logout.oidc.messages import FORM
from django_ory_logout.sessions import events, index
from django_ory_logout.testing import Client, Delivery, LoginSession, Network, Provider, connect
from django_ory_logout.testing.hydra.keys import encryption_key

SITE = "https://rp.example/auth"

NewBrowser = Callable[..., "SiteBrowser"]
Configure = Callable[..., None]
Logged = Callable[[], list[str]]
Connect = Callable[[Signal, Callable[..., None]], None]
Listen = Callable[[Signal], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _fresh_state() -> Iterator[None]:
    """No cached document, cool-down, used state, confirmed row or setting stays after its test."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    cache.clear()
    documents._parsed.clear()
    index._seen.clear()
    events._recent_counts.clear()
    conf.get.cache_clear()


@pytest.fixture(scope="session")
def signing_key() -> Any:
    """One RSA key for all tests, because it is slow to make one."""
    return Provider().signing_key()


@pytest.fixture
def provider(signing_key: Any) -> Provider:
    """The provider of ``settings.ISSUER``, with the test site as a client."""
    provider = Provider(settings.ISSUER, clock=lambda: time.time())
    provider.keys = [signing_key]
    provider.register(Client.of_site(SITE, settings.CLIENT_ID, settings.CLIENT_SECRET))
    return provider


@pytest.fixture
def network(provider: Provider) -> Iterator[Network]:
    """Routes requests to ``provider``, records them, and can fail."""
    with connect(provider) as network:
        yield network


class SiteBrowser(Browser):
    """A browser of the test site, with https."""

    def __init__(self, network: Network | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.network = network

    def generic(self, method: str, path: Any, *args: Any, **extra: Any) -> Any:
        extra["secure"] = True
        return super().generic(method, path, *args, **extra)

    def request(self, **request: Any) -> Any:
        answer = super().request(**request)
        for name in [name for name, cookie in self.cookies.items() if str(cookie["max-age"]) == "0"]:
            del self.cookies[name]  # Django's client would still send it, empty
        return answer

    def visit(self, url: str) -> Any:
        """Follow a redirect to the site."""
        return self.get(url.removeprefix("https://rp.example"))

    def post_form(self, path: str, form: Mapping[str, Any], **extra: Any) -> Any:
        """Post a form. Django's client would send multipart."""
        return self.post(path, urlencode(form, doseq=True), content_type=FORM, **extra)

    def start(self, **parameters: str) -> str:
        """Start a sign-in, and return the URL of the provider. A signed-in browser starts it with the button."""
        begin = self.post_form if self.key else self.get
        return str(begin("/auth/login/", parameters)["Location"])

    def sign_in(self, subject: str = "amber", *, login_session: LoginSession | None = None, **parameters: str) -> Any:
        """Sign in, and return the answer of the callback."""
        assert self.network is not None
        return self.visit(self.network.follow(self.start(**parameters), subject, login_session=login_session))

    def deliver(self, deliveries: Iterable[Delivery]) -> list[int]:
        """Post logout tokens to the site, as the provider does. Return the statuses of the answers."""
        return [self.post_form("/auth/logout/backchannel/", delivery.form).status_code for delivery in deliveries]

    @property
    def user(self) -> Any:
        """The signed-in user, from the site's whoami view: a dict or None."""
        answer = self.get("/auth/whoami/")
        return answer.json() if answer.status_code == 200 else None

    @property
    def key(self) -> str | None:
        """The key of the browser's Django session."""
        cookie = self.cookies.get(settings.SESSION_COOKIE_NAME)
        return cookie.value if cookie else None


@pytest.fixture
def new_browser(network: Network) -> NewBrowser:
    return lambda **options: SiteBrowser(network, **options)


@pytest.fixture
def browser(new_browser: NewBrowser) -> SiteBrowser:
    return new_browser()


@pytest.fixture
def configure(settings: Any) -> Configure:
    """Change settings of the only provider."""

    def configure(**changes: Any) -> None:
        changed = {**settings.ORY_LOGOUT["PROVIDERS"]["default"], **changes}
        settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": changed}}

    return configure


@pytest.fixture
def cache_down(settings: Any) -> Callable[[], None]:
    """From the call on, each call of the cache fails."""

    def cache_down() -> None:
        settings.CACHES = {"default": {"BACKEND": "tests.caches.DownCache"}}

    return cache_down


@pytest.fixture
def encrypted(provider: Provider, configure: Configure) -> None:
    """The provider encrypts the tokens for the site."""
    key = encryption_key()
    registered = Client.of_site(
        SITE,
        settings.CLIENT_ID,
        settings.CLIENT_SECRET,
        id_token_encrypted_response_alg="RSA-OAEP-256",
        encryption_key=key,
    )
    provider.register(registered)
    configure(ID_TOKEN_ENCRYPTED_RESPONSE_ALG="RSA-OAEP-256", DECRYPTION_KEY=key.as_dict(private=True))


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    """Log lines of the app with level WARNING or above, without the reference at the end, which always differs."""
    return lambda: [
        re.sub(r" \(reference [0-9A-Z]{8}\)$", "", record.getMessage())
        for record in caplog.records
        if record.name == "django_ory_logout" and record.levelno >= logging.WARNING
    ]


@pytest.fixture
def connect_receiver() -> Iterator[Connect]:
    """Connect a receiver to a signal until the test has ended."""
    connected: list[tuple[Signal, Callable[..., None]]] = []

    def connect_receiver(signal: Signal, receiver: Callable[..., None]) -> None:
        signal.connect(receiver)
        connected.append((signal, receiver))

    yield connect_receiver
    for signal, receiver in connected:
        signal.disconnect(receiver)


@pytest.fixture
def listen(connect_receiver: Connect) -> Listen:
    """Record the calls of a signal."""
    receivers: list[Callable[..., None]] = []  # signals have only weak references

    def listen(signal: Signal) -> list[dict[str, Any]]:
        brought: list[dict[str, Any]] = []

        def receiver(**arguments: Any) -> None:
            brought.append(arguments)

        receivers.append(receiver)
        connect_receiver(signal, receiver)
        return brought

    return listen


class Clock:
    """Changes the time for tokens, signatures and caches."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock, real = Clock(), time.time
    monkeypatch.setattr(time, "time", lambda: real() + clock.ahead)
    return clock


def query_of(url: str) -> dict[str, str]:
    """The parameters in the query of ``url``."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
