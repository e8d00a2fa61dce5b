"""The client at Hydra: each row, and the rows that depend on it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from django_ory_logout import http
from django_ory_logout.doctor import Verdict
from django_ory_logout.http import addresses as addresses_of
from django_ory_logout.models import EventKind, LogoutEvent, RefusalCount
from django_ory_logout.sessions import events
from django_ory_logout.testing import Client, Provider

from ...conftest import SITE, Configure, SiteBrowser
from ..targets import BACK_CHANNEL, INTERNAL, NOT_ALLOWED, STAGING, SiteNetwork, not_green, row, site_network

pytestmark = pytest.mark.django_db

RECEIVER = "/auth/logout/backchannel/"
FRONT_CHANNEL = f"{SITE}/logout/frontchannel/"

Register = Callable[..., None]


@pytest.fixture
def network(provider: Provider, configure: Configure) -> Iterator[SiteNetwork]:
    with site_network(provider, configure) as network:
        yield network


@pytest.fixture(autouse=True)
def addresses(network: SiteNetwork, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The addresses that this machine knows for host names."""
    known: dict[str, list[str]] = {"rp.example": ["203.0.114.5"]}
    monkeypatch.setattr(http, "addresses", lambda host: known.get(host, []))
    return known


@pytest.fixture
def register(provider: Provider) -> Register:
    """Change the registration of this site."""

    def register(**changes: Any) -> None:
        provider.register(replace(provider.clients[settings.CLIENT_ID], **changes))

    return register


def sent_to_provider(sid: str = "sid") -> None:
    """A browser went to Hydra to log out, long enough ago that a notice is due."""
    events.sent_to_provider(settings.ISSUER, sid)
    LogoutEvent.objects.filter(sid=sid).update(at=timezone.now() - timedelta(minutes=2))


def arrived(sid: str = "sid") -> None:
    LogoutEvent.objects.create(at=timezone.now(), kind=EventKind.BACK_CHANNEL, issuer=settings.ISSUER, sid=sid, ended=1)


def red() -> dict[str, Verdict]:
    return not_green("registration", "history")


def test_a_correct_registration_is_green() -> None:
    assert red() == {}


# The client


FOLLOWING = [
    "registration.redirect_uri",
    "registration.post_logout_redirect_uri",
    "registration.backchannel",
    "registration.frontchannel",
    "registration.skip_logout_consent",
    "registration.address",
    "history.known_at_hydra",
]


def assert_client_lost(todo: str) -> None:
    assert red() == {"registration.client": Verdict.FAIL, **dict.fromkeys(FOLLOWING, Verdict.UNKNOWN)}
    assert {row(check).found for check in FOLLOWING} == {"See registration.client."}
    assert todo in row("registration.client").todo


def test_an_unknown_client_turns_red(provider: Provider) -> None:
    provider.clients.clear()

    assert_client_lost("ory_register_client")


def test_an_admin_api_with_another_key_turns_red(network: SiteNetwork) -> None:
    network.replace(f"/admin/clients/{settings.CLIENT_ID}", b"{}", status=401)

    assert_client_lost("ADMIN_TOKEN")


def test_an_unreachable_admin_api_is_unknown(network: SiteNetwork) -> None:
    network.down(f"/admin/clients/{settings.CLIENT_ID}")

    assert_client_lost("Check that Hydra runs")


def test_another_authentication_method_turns_red(register: Register) -> None:
    register(token_endpoint_auth_method="client_secret_post")

    assert red() == {"registration.client": Verdict.FAIL}
    assert "client_secret_post, and the settings have client_secret_basic" in row("registration.client").found


# Redirect URIs


@pytest.mark.parametrize(
    ("check", "name", "path"),
    [
        ("registration.redirect_uri", "redirect_uris", "/callback/"),
        ("registration.post_logout_redirect_uri", "post_logout_redirect_uris", "/logout/callback/"),
    ],
)
class TestRedirects:
    def test_a_missing_uri_turns_red(self, register: Register, check: str, name: str, path: str) -> None:
        register(**{name: ["https://rp.example/elsewhere/"]})

        assert red() == {check: Verdict.FAIL}
        assert row(check).found == f"{SITE}{path} is not registered."
        assert row(check).todo == "Run manage.py ory_register_client."

    def test_a_uri_without_its_slash_turns_red(self, register: Register, check: str, name: str, path: str) -> None:
        register(**{name: [f"{SITE}{path.rstrip('/')}"]})

        assert red() == {check: Verdict.FAIL}
        assert row(check).found.endswith(
            f"not registered, but {SITE}{path.rstrip('/')} is. Hydra compares each character."
        )

    def test_a_uri_among_others_is_green(self, register: Register, check: str, name: str, path: str) -> None:
        register(**{name: ["https://rp.example/elsewhere/", f"{SITE}{path}"]})

        assert red() == {}


def with_another(**changes: Any) -> dict[str, Any]:
    """This site's settings, with a second provider."""
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    other = {"ISSUER": "https://other.example", "CLIENT_ID": "other-site", "CLIENT_SECRET": "secret"}
    return {**settings.ORY_LOGOUT, "PROVIDERS": {"default": {**default, **changes}, "other": other}}


def test_a_provider_with_its_own_redirect_uri_is_green(settings: Any, register: Register) -> None:
    settings.ORY_LOGOUT = with_another()

    assert row("registration.redirect_uri").found == f"{SITE}/callback/default/ is not registered."
    register(redirect_uris=[f"{SITE}/callback/", f"{SITE}/callback/default/"])
    assert row("registration.redirect_uri").verdict == Verdict.PASS


def test_a_shared_redirect_uri_needs_iss_from_the_provider(settings: Any, provider: Provider) -> None:
    settings.ORY_LOGOUT = with_another(SHARED_REDIRECT_URI=True)

    assert red()["registration.redirect_uri"] == Verdict.FAIL

    provider.metadata["authorization_response_iss_parameter_supported"] = True
    assert row("registration.redirect_uri").verdict == Verdict.PASS


def test_a_configured_post_logout_redirect_uri_is_checked(
    provider: Provider, configure: Configure, register: Register
) -> None:
    with site_network(provider, configure, POST_LOGOUT_REDIRECT_URI="https://rp.example/bye/"):
        assert red() == {"registration.post_logout_redirect_uri": Verdict.FAIL}
        register(post_logout_redirect_uris=["https://rp.example/bye/"])
        assert red() == {}


# Back channel


def test_a_missing_back_channel_turns_red(register: Register) -> None:
    register(backchannel_logout_uri=None)

    assert red() == {"registration.backchannel": Verdict.WARN, "registration.address": Verdict.UNKNOWN}
    assert "only a front channel" in row("registration.backchannel").found
    assert row("registration.backchannel").todo.endswith("Run manage.py ory_register_client.")
    assert (
        row("registration.address").found == "There is no back channel, only a front channel: Hydra calls no address."
    )


def test_a_back_channel_without_its_slash_turns_red(register: Register) -> None:
    register(backchannel_logout_uri=BACK_CHANNEL.rstrip("/"))

    assert red() == {}


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param(f"{SITE}/logout/elsewhere/", id="another path of this site"),
        pytest.param(f"{STAGING}{RECEIVER}", id="another site with this app"),
        pytest.param(f"{NOT_ALLOWED}{RECEIVER}", id="a name that ALLOWED_HOSTS lacks"),
    ],
)
def test_a_back_channel_uri_of_another_site_turns_red(register: Register, uri: str) -> None:
    register(backchannel_logout_uri=uri)

    assert red() == {"registration.backchannel": Verdict.FAIL}
    assert row("registration.backchannel").found == f"{uri} is not this site's {BACK_CHANNEL}."


def test_a_back_channel_uri_with_an_internal_name_of_this_site_is_green(register: Register) -> None:
    register(backchannel_logout_uri=f"{INTERNAL}{RECEIVER}")

    assert red() == {}
    assert row("registration.backchannel").found.endswith("is this site too.")
    assert not RefusalCount.objects.exists()


def test_a_back_channel_uri_with_an_unreachable_name_is_unknown(network: SiteNetwork, register: Register) -> None:
    register(backchannel_logout_uri=f"{INTERNAL}{RECEIVER}")
    network.down(RECEIVER)

    assert red() == {"registration.backchannel": Verdict.WARN}
    assert "this machine does not reach it" in row("registration.backchannel").found

    arrived()
    assert red() == {"registration.backchannel": Verdict.WARN}

    register(more={"updated_at": (timezone.now() - timedelta(hours=1)).isoformat()})
    assert red() == {}
    assert "but notices arrive" in row("registration.backchannel").found

    register(more={"updated_at": (timezone.now() + timedelta(seconds=1)).isoformat()})
    assert red() == {"registration.backchannel": Verdict.WARN}


def test_an_unreachable_back_channel_uri_warns_if_notices_came_before(network: SiteNetwork, register: Register) -> None:
    register(backchannel_logout_uri=f"{INTERNAL}{RECEIVER}", more={"updated_at": "2026-01-01T00:00:00.123456789Z"})
    network.down(RECEIVER)
    arrived("another sid")
    sent_to_provider()

    assert not_green("registration.backchannel", "history.notices") == {
        "registration.backchannel": Verdict.WARN,
        "history.notices": Verdict.WARN,
    }


# Front channel


def test_a_back_channel_without_a_front_channel_is_green(register: Register) -> None:
    register(frontchannel_logout_uri=None)

    assert red() == {}


def test_a_registration_without_a_channel_turns_red(register: Register) -> None:
    register(frontchannel_logout_uri=None, backchannel_logout_uri=None)

    assert red() == {
        "registration.backchannel": Verdict.FAIL,
        "registration.frontchannel": Verdict.FAIL,
        "registration.address": Verdict.UNKNOWN,
    }
    assert row("registration.address").found == "See registration.backchannel."


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("backchannel", {"backchannel_logout_uri": f"{STAGING}{RECEIVER}?hunter2"}),
        ("frontchannel", {"frontchannel_logout_uri": f"{STAGING}/?hunter2"}),
    ],
)
def test_registered_uris_are_shown_without_possible_secrets(
    register: Register, check: str, changes: dict[str, Any]
) -> None:
    register(**changes)

    assert row(f"registration.{check}").verdict == Verdict.FAIL
    assert "hunter2" not in row(f"registration.{check}").found


def test_a_front_channel_uri_of_another_site_turns_red(register: Register) -> None:
    register(frontchannel_logout_uri=f"{STAGING}/auth/logout/frontchannel/")

    assert red() == {"registration.frontchannel": Verdict.FAIL}
    assert FRONT_CHANNEL in row("registration.frontchannel").found


# The logout question, and private addresses


@pytest.mark.parametrize(("skips", "words"), [(True, "should not ask"), (None, "may ask")])
def test_the_logout_question_is_reported(register: Register, skips: bool | None, words: str) -> None:
    register(skip_logout_consent=skips)

    assert red() == {}
    assert words in row("registration.skip_logout_consent").found


@pytest.mark.parametrize(
    ("known", "words"),
    [(["203.0.114.5", "10.0.0.7"], "has the private address 10.0.0.7"), ([], "finds no address of rp.example")],
)
def test_a_private_address_is_reported_once_notices_do_not_arrive(
    addresses: dict[str, list[str]], known: list[str], words: str
) -> None:
    addresses["rp.example"] = known

    assert red() == {}
    assert words in row("registration.address").found

    sent_to_provider()

    assert red() == {"registration.address": Verdict.WARN, "history.notices": Verdict.WARN}
    assert "disallow_private_ip_ranges" in row("registration.address").todo


def test_a_private_address_does_not_explain_missing_notices_of_logins_that_are_not_remembered(
    addresses: dict[str, list[str]], provider: Provider, browser: SiteBrowser
) -> None:
    addresses["rp.example"] = ["10.0.0.7"]
    browser.sign_in("amber", login_session=provider.sign_in("amber", settings.CLIENT_ID, remember=False))
    sent_to_provider()

    assert red() == {"history.notices": Verdict.WARN, "history.logout_request": Verdict.FAIL}


def test_a_registration_that_was_fixed_is_green(register: Register) -> None:
    sent_to_provider()
    register(more={"updated_at": (timezone.now() - timedelta(minutes=3)).isoformat()})
    assert red() == {"history.notices": Verdict.WARN}

    register(more={"updated_at": (timezone.now() - timedelta(minutes=1)).isoformat()})
    assert red() == {}


def test_a_public_address_does_not_explain_missing_notices(addresses: dict[str, list[str]]) -> None:
    sent_to_provider()

    assert red() == {"history.notices": Verdict.WARN}


def test_addresses_of_a_host_are_looked_up() -> None:
    assert "127.0.0.1" in addresses_of("localhost")
    assert addresses_of("no host") == addresses_of("\N{LATIN SMALL LETTER A}" * 64) == []


def test_the_client_of_the_tests_is_the_client_of_the_site(provider: Provider) -> None:
    """The tests start from this client and change one field."""
    assert provider.clients[settings.CLIENT_ID] == Client.of_site(SITE, settings.CLIENT_ID, settings.CLIENT_SECRET)
