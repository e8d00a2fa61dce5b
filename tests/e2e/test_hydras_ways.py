"""Cases that only the embedded provider can produce, with Hydra's behaviour and its switches for tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from urllib.parse import urlencode

import pytest
import requests

from .browser import Browser
from .deployment import Deployment, open_deployment
from .processes import free_port
from .providers import Embedded, serve_embedded
from .site import CLIENT_ID, Site, serve_site, site_url

pytestmark = pytest.mark.e2e

Browsers = Callable[[], Browser]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Deployment[Embedded]]:
    with open_deployment(serve_embedded, tmp_path_factory.mktemp("deployment"), migrated) as deployment:
        yield deployment


@pytest.fixture
def without_backchannel(deployment: Deployment[Embedded]) -> Iterator[None]:
    """The client has no back-channel URI for one test, so the site only gets front-channel requests."""
    uri = deployment.site.path("/auth/logout/backchannel/")
    deployment.provider.order("client", client_id=CLIENT_ID, backchannel_logout_uri=None)
    yield
    deployment.provider.order("client", client_id=CLIENT_ID, backchannel_logout_uri=uri)


def sid_of(site: Site, browser: Browser) -> str:
    whoami = site.whoami(browser)
    assert whoami
    return str(whoami["sid"])


# Back-channel


def test_a_logout_token_with_a_sid_ends_only_that_session(deployment: Deployment[Embedded], browsers: Browsers) -> None:
    laptop, phone = deployment.sign_in(browsers(), "amber"), deployment.sign_in(browsers(), "amber")

    told = deployment.provider.order("end", sid=sid_of(deployment.site, laptop))

    assert [delivery["attempts"] for delivery in told["deliveries"]] == [[200]]
    assert not deployment.site.signed_in(laptop)
    assert deployment.site.signed_in(phone)


def test_a_logout_token_with_a_sub_ends_all_sessions_of_only_that_user(
    deployment: Deployment[Embedded], browsers: Browsers
) -> None:
    laptop, phone, birch = (deployment.sign_in(browsers(), user) for user in ("cedar", "cedar", "birch"))

    told = deployment.provider.order("end", sub="cedar")

    assert [delivery["attempts"] for delivery in told["deliveries"]] == [[200]]
    assert not deployment.site.signed_in(laptop)
    assert not deployment.site.signed_in(phone)
    assert deployment.site.signed_in(birch)


def test_a_logout_token_of_another_provider_ends_nothing(
    deployment: Deployment[Embedded], browser: Browser, tmp_path: Path
) -> None:
    deployment.sign_in(browser, "amber")
    with serve_embedded(tmp_path, port=free_port(), site_url=deployment.site.url) as stranger:
        order = stranger.order("logout-token", client_id=CLIENT_ID, sid=sid_of(deployment.site, browser))

    response = requests.post(
        deployment.site.path("/auth/logout/backchannel/"), data=order, timeout=10, proxies={"http": ""}
    )

    assert response.status_code == requests.codes.bad_request
    assert deployment.site.signed_in(browser)


# Front-channel


@pytest.mark.usefixtures("without_backchannel")
@pytest.mark.parametrize("cookies", [True, False])
def test_the_front_channel_ends_the_session_with_and_without_cookies(
    deployment: Deployment[Embedded], browsers: Browsers, cookies: bool
) -> None:
    laptop, phone = deployment.sign_in(browsers(), "amber"), deployment.sign_in(browsers(), "amber")
    deployment.provider.log_out_there(laptop)
    assert deployment.site.signed_in(laptop)

    (frame,) = laptop.load_frames(cookies=cookies)

    assert frame.status_code == requests.codes.ok
    assert frame.headers["Content-Security-Policy"] == f"frame-ancestors {deployment.provider.issuer}"
    assert "X-Frame-Options" not in frame.headers
    assert not deployment.site.signed_in(laptop)
    assert deployment.site.signed_in(phone)


def test_a_front_channel_request_without_iss_and_sid_ends_nothing(
    deployment: Deployment[Embedded], browser: Browser
) -> None:
    deployment.sign_in(browser, "amber")

    browser.open(deployment.site.path("/auth/logout/frontchannel/"))

    assert browser.status == requests.codes.bad_request
    assert deployment.site.signed_in(browser)


# A logout that overtakes the sign-in


@pytest.mark.parametrize(("user", "by"), [("amber", "sid"), ("cedar", "sub")])
def test_a_logout_that_overtakes_the_sign_in_refuses_it(
    deployment: Deployment[Embedded], browsers: Browsers, user: str, by: str
) -> None:
    browser, birch = browsers(), deployment.sign_in(browsers(), "birch")
    deployment.provider.order("overtake", by=by)

    deployment.provider.choose(browser.open(deployment.site.path("/auth/login/")), user)

    assert browser.status == requests.codes.conflict
    assert "You were logged out meanwhile" in browser.text
    assert not deployment.site.signed_in(browser)
    assert deployment.site.signed_in(birch)


# RP-initiated


@pytest.mark.usefixtures("without_backchannel")
def test_the_logout_link_ends_the_session_when_the_browser_comes_back(
    deployment: Deployment[Embedded], browsers: Browsers
) -> None:
    laptop, phone = deployment.sign_in(browsers(), "amber"), deployment.sign_in(browsers(), "amber")

    laptop.open(deployment.site.path("/")).follow("Log out by a plain link")
    deployment.provider.confirm_logout(laptop)
    assert deployment.site.signed_in(laptop)
    laptop.follow("Continue")

    assert laptop.url == deployment.site.path("/")
    assert not deployment.site.signed_in(laptop)
    assert deployment.site.signed_in(phone)


def test_a_user_without_a_remembered_login_logs_out_without_a_question(
    deployment: Deployment[Embedded], browsers: Browsers
) -> None:
    browser, phone = browsers(), deployment.sign_in(browsers(), "amber")
    browser.open(deployment.site.path("/auth/login/")).press("Sign in", subject="amber", remember=None)
    assert deployment.site.signed_in(browser)

    deployment.site.log_out(browser)

    assert "Nobody is signed in" in browser.text
    assert not deployment.site.signed_in(browser)
    assert deployment.site.signed_in(phone)


def test_a_logout_at_an_unreachable_provider_ends_the_session_here_and_is_reported(
    tmp_path: Path, migrated: Path, browser: Browser
) -> None:
    port = free_port()
    (tmp_path / "site.sqlite3").write_bytes(migrated.read_bytes())
    with (
        serve_embedded(tmp_path, port=free_port(), site_url=site_url(port)) as provider,
        serve_site(tmp_path, port=port, issuer=provider.issuer) as site,
    ):
        provider.sign_in(browser, site, "amber")
    rmtree(tmp_path / "cache")

    with serve_site(tmp_path, port=port, issuer=provider.issuer) as site:
        assert site.signed_in(browser)
        site.log_out(browser)

        assert browser.url == site.path("/auth/logout/")
        assert "could not notify" in browser.text
        assert not site.signed_in(browser)


def test_a_provider_that_is_gone_does_not_keep_the_session_active(
    tmp_path: Path, migrated: Path, browser: Browser
) -> None:
    with open_deployment(serve_embedded, tmp_path, migrated) as deployment:
        deployment.sign_in(browser, "amber")
        deployment.provider.server.stop()

        with pytest.raises(requests.ConnectionError):
            deployment.site.log_out(browser)

        assert not deployment.site.signed_in(browser)


# Sign-in


def test_two_tabs_can_sign_in_at_once(deployment: Deployment[Embedded], browser: Browser) -> None:
    first = browser.open(deployment.site.path("/auth/login/?" + urlencode({"next": "/private/"})))
    waiting = first.response
    browser.open(deployment.site.path("/auth/login/"))
    deployment.provider.choose(browser, "amber")
    assert deployment.site.signed_in(browser)

    browser.response = waiting
    deployment.provider.choose(browser, "amber")

    assert browser.url == deployment.site.path("/private/")
    assert deployment.site.signed_in(browser)


def test_a_callback_can_be_opened_again_while_signed_in(deployment: Deployment[Embedded], browser: Browser) -> None:
    deployment.sign_in(browser, "amber")
    callback = next(url for url in browser.visited() if "/auth/callback/" in url)

    browser.open(callback)

    assert browser.status == requests.codes.ok
    assert deployment.site.signed_in(browser)
    deployment.site.log_out(browser)
    browser.open(callback)
    assert browser.status == requests.codes.bad_request
    assert not deployment.site.signed_in(browser)


def test_an_unknown_key_is_fetched(deployment: Deployment[Embedded], browser: Browser) -> None:
    deployment.provider.order("rotate-keys", withdraw=True)

    assert deployment.sign_in(browser, "amber")
