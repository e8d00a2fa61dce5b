"""Front-channel logout in a frame of the provider."""

from typing import Any

import pytest
from django.core.cache import cache

from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.testing import Network, Provider

from ..conftest import Configure, Logged, NewBrowser, SiteBrowser
from .conftest import channels_and_codes

pytestmark = pytest.mark.django_db

PATH = "/auth/logout/frontchannel/"
ISSUER = "https://op.example"


@pytest.fixture
def frame(new_browser: NewBrowser) -> SiteBrowser:
    """A frame of the provider: a browser sends no cookies to it."""
    return new_browser()


def assert_framed(answer: Any, status: int, text: str, ancestors: str = ISSUER) -> None:
    assert answer.status_code == status
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert text in answer.text
    assert answer["Content-Security-Policy"] == f"frame-ancestors {ancestors}"
    assert "X-Frame-Options" not in answer
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("path", [PATH, PATH.rstrip("/")])
def test_ends_the_session_without_its_cookie(frame: SiteBrowser, signed_in: SiteBrowser, sid: str, path: str) -> None:
    assert_framed(frame.get(path, {"iss": ISSUER, "sid": sid}), 200, "Logged out.")

    assert signed_in.user is None
    assert LogoutReceipt.objects.count() == 0


def test_ends_the_session_with_its_cookie(signed_in: SiteBrowser, sid: str) -> None:
    assert_framed(signed_in.get(PATH, {"iss": ISSUER, "sid": sid}), 200, "Logged out.")

    assert signed_in.user is None


def test_ends_only_the_named_session(signed_in: SiteBrowser, sid: str, new_browser: NewBrowser) -> None:
    other = new_browser()
    other.sign_in("amber")

    assert_framed(other.get(PATH, {"iss": ISSUER, "sid": sid}), 200, "Logged out.")

    assert signed_in.user is None
    assert other.user


def test_other_parameters_are_ignored(frame: SiteBrowser, signed_in: SiteBrowser, sid: str) -> None:
    assert_framed(frame.get(PATH, {"iss": ISSUER, "sid": sid, "logout": "1"}), 200, "Logged out.")

    assert signed_in.user is None


def test_repeated_notice_is_success(frame: SiteBrowser, sid: str) -> None:
    for _ in range(2):
        assert_framed(frame.get(PATH, {"iss": ISSUER, "sid": sid}), 200, "Logged out.")


def test_unknown_session_is_success(frame: SiteBrowser, signed_in: SiteBrowser) -> None:
    assert_framed(frame.get(PATH, {"iss": ISSUER, "sid": "of nobody"}), 200, "Logged out.")

    assert signed_in.user


def test_makes_no_call_even_with_an_empty_cache(
    frame: SiteBrowser, signed_in: SiteBrowser, sid: str, network: Network
) -> None:
    cache.clear()
    network.calls.clear()

    assert_framed(frame.get(PATH, {"iss": ISSUER, "sid": sid}), 200, "Logged out.")

    assert network.calls == []
    assert signed_in.user is None


REQUEST_FAILED = "This logout request failed."


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("iss=https://op.example", "iss_or_sid_missing: iss and sid come together or not at all"),
        ("sid=SID", "iss_or_sid_missing: iss and sid come together or not at all"),
        ("iss=&sid=SID", "iss_or_sid_missing: iss and sid come together or not at all"),
        ("iss=https://op.example&sid=", "iss_or_sid_missing: iss and sid come together or not at all"),
        ("iss=&sid=", "iss_or_sid_missing: iss and sid come together or not at all"),
        ("iss=https://evil.example&sid=SID", "issuer_unknown: iss is no configured issuer"),
        ("iss=https://op.example/&sid=SID", "issuer_unknown: iss is no configured issuer"),
        ("iss=https://op.example&sid=SID&sid=SID", "parameter_repeated: a parameter came more than once: 'sid'"),
        ("", "iss_and_sid_required: FRONTCHANNEL_LOGOUT_SESSION_REQUIRED, and neither came"),
    ],
)
def test_these_requests_end_nothing(
    signed_in: SiteBrowser, sid: str, logged: Logged, refused: list[dict[str, str]], query: str, line: str
) -> None:
    answer = signed_in.get(f"{PATH}?{query.replace('SID', sid)}")

    assert_framed(answer, 400, REQUEST_FAILED)
    assert logged() == [f"front-channel logout refused: {line}"]
    assert channels_and_codes(refused) == [("front-channel", line.partition(":")[0])]
    assert signed_in.user


def test_a_request_without_parameters_ends_the_session_if_the_registration_allows_it(
    signed_in: SiteBrowser, new_browser: NewBrowser, configure: Configure
) -> None:
    configure(FRONTCHANNEL_LOGOUT_SESSION_REQUIRED=False)
    other = new_browser()
    other.sign_in("amber")

    assert_framed(signed_in.get(PATH), 200, "Logged out.")

    assert signed_in.user is None
    assert LoginSession.objects.count() == 1
    assert other.user


def test_without_parameters_and_cookie_nothing_ends(
    frame: SiteBrowser, signed_in: SiteBrowser, configure: Configure
) -> None:
    configure(FRONTCHANNEL_LOGOUT_SESSION_REQUIRED=False)

    assert_framed(frame.get(PATH), 200, "Logged out.")

    assert signed_in.user


def test_a_request_without_parameters_does_not_end_a_session_of_a_stricter_client(
    signed_in: SiteBrowser, settings: Any
) -> None:
    strict = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    lax = {**strict, "CLIENT_ID": "another", "FRONTCHANNEL_LOGOUT_SESSION_REQUIRED": False}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": strict, "lax": lax}}

    assert_framed(signed_in.get(PATH), 200, "Logged out.")

    assert signed_in.user


def test_the_origin_of_the_end_session_endpoint_may_frame_it_too(
    frame: SiteBrowser, provider: Provider, signed_in: SiteBrowser, sid: str
) -> None:
    provider.metadata["end_session_endpoint"] = "https://logout.op.example:8443/bye?a"
    cache.clear()
    frame.start()

    answer = frame.get(PATH, {"iss": ISSUER, "sid": sid})

    assert_framed(answer, 200, "Logged out.", "https://logout.op.example:8443 https://op.example")


def test_a_provider_without_end_session_endpoint_may_frame_it(
    frame: SiteBrowser, provider: Provider, signed_in: SiteBrowser, sid: str
) -> None:
    provider.metadata["end_session_endpoint"] = None
    cache.clear()
    frame.start()

    assert_framed(frame.get(PATH, {"iss": ISSUER, "sid": sid}), 200, "Logged out.")


def test_only_the_named_issuer_may_frame_it(frame: SiteBrowser, settings: Any) -> None:
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    other = {**default, "ISSUER": "https://other.example/tenant"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": default, "other": other}}

    named = frame.get(PATH, {"iss": "https://other.example/tenant", "sid": "x"})
    unnamed = frame.get(PATH)

    assert_framed(named, 200, "Logged out.", "https://other.example")
    assert_framed(unnamed, 400, REQUEST_FAILED, "https://op.example https://other.example")


@pytest.mark.parametrize("method", ["post", "put"])
def test_other_methods_are_refused(signed_in: SiteBrowser, sid: str, method: str) -> None:
    answer = getattr(signed_in, method)(f"{PATH}?iss={ISSUER}&sid={sid}")

    assert answer.status_code == 405
    assert signed_in.user
