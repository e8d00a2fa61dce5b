"""What the embedded provider, with Hydra's ways and its switches for tests, can be made to do."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from urllib.parse import urlencode

import pytest
import requests

from .browser import Browser
from .processes import free_port
from .providers import Embedded, serve_embedded
from .site import CLIENT_ID, Site, serve_site, site_url
from .world import World, open_world

pytestmark = pytest.mark.e2e

Browsers = Callable[[], Browser]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[World[Embedded]]:
    with open_world(serve_embedded, tmp_path_factory.mktemp("world"), migrated) as world:
        yield world


@pytest.fixture
def without_backchannel(world: World[Embedded]) -> Iterator[None]:
    """The client, registered without a back-channel URI for one test: only the front channel tells the site."""
    uri = world.site.path("/auth/logout/backchannel/")
    world.provider.order("client", client_id=CLIENT_ID, backchannel_logout_uri=None)
    yield
    world.provider.order("client", client_id=CLIENT_ID, backchannel_logout_uri=uri)


def sid_of(site: Site, browser: Browser) -> str:
    whoami = site.whoami(browser)
    assert whoami
    return str(whoami["sid"])


# Back-channel


def test_a_logout_token_with_a_sid_ends_that_session_alone(world: World[Embedded], browsers: Browsers) -> None:
    laptop, phone = world.sign_in(browsers(), "amber"), world.sign_in(browsers(), "amber")

    told = world.provider.order("end", sid=sid_of(world.site, laptop))

    assert [delivery["attempts"] for delivery in told["deliveries"]] == [[200]]
    assert not world.site.signed_in(laptop)
    assert world.site.signed_in(phone)


def test_a_logout_token_with_a_sub_ends_all_sessions_of_the_person_and_nobody_elses(
    world: World[Embedded], browsers: Browsers
) -> None:
    laptop, phone, birch = (world.sign_in(browsers(), person) for person in ("cedar", "cedar", "birch"))

    told = world.provider.order("end", sub="cedar")

    assert [delivery["attempts"] for delivery in told["deliveries"]] == [[200]]
    assert not world.site.signed_in(laptop)
    assert not world.site.signed_in(phone)
    assert world.site.signed_in(birch)


def test_a_logout_token_of_another_provider_ends_nothing(
    world: World[Embedded], browser: Browser, tmp_path: Path
) -> None:
    world.sign_in(browser, "amber")
    with serve_embedded(tmp_path, port=free_port(), site_url=world.site.url) as stranger:
        order = stranger.order("logout-token", client_id=CLIENT_ID, sid=sid_of(world.site, browser))

    response = requests.post(world.site.path("/auth/logout/backchannel/"), data=order, timeout=10, proxies={"http": ""})

    assert response.status_code == requests.codes.bad_request
    assert world.site.signed_in(browser)


# Front-channel


@pytest.mark.usefixtures("without_backchannel")
@pytest.mark.parametrize("cookies", [True, False])
def test_the_front_channel_ends_the_session_with_and_without_cookies(
    world: World[Embedded], browsers: Browsers, cookies: bool
) -> None:
    laptop, phone = world.sign_in(browsers(), "amber"), world.sign_in(browsers(), "amber")
    world.provider.log_out_there(laptop)
    assert world.site.signed_in(laptop)

    (frame,) = laptop.load_frames(cookies=cookies)

    assert frame.status_code == requests.codes.ok
    assert frame.headers["Content-Security-Policy"] == f"frame-ancestors {world.provider.issuer}"
    assert "X-Frame-Options" not in frame.headers
    assert not world.site.signed_in(laptop)
    assert world.site.signed_in(phone)


def test_a_front_channel_request_without_iss_and_sid_ends_nothing(world: World[Embedded], browser: Browser) -> None:
    world.sign_in(browser, "amber")

    browser.open(world.site.path("/auth/logout/frontchannel/"))

    assert browser.status == requests.codes.bad_request
    assert world.site.signed_in(browser)


# A logout that overtakes the sign-in


@pytest.mark.parametrize(("person", "by"), [("amber", "sid"), ("cedar", "sub")])
def test_a_logout_that_overtakes_the_sign_in_refuses_it(
    world: World[Embedded], browsers: Browsers, person: str, by: str
) -> None:
    browser, birch = browsers(), world.sign_in(browsers(), "birch")
    world.provider.order("overtake", by=by)

    world.provider.choose(browser.open(world.site.path("/auth/login/")), person)

    assert browser.status == requests.codes.conflict
    assert "You were logged out meanwhile" in browser.text
    assert not world.site.signed_in(browser)
    assert world.site.signed_in(birch)


# RP-initiated


@pytest.mark.usefixtures("without_backchannel")
def test_the_logout_link_ends_the_session_when_the_browser_comes_back(
    world: World[Embedded], browsers: Browsers
) -> None:
    laptop, phone = world.sign_in(browsers(), "amber"), world.sign_in(browsers(), "amber")

    laptop.open(world.site.path("/")).follow("Log out by a plain link")
    world.provider.confirm_logout(laptop)
    assert world.site.signed_in(laptop)
    laptop.follow("Continue")

    assert laptop.url == world.site.path("/")
    assert not world.site.signed_in(laptop)
    assert world.site.signed_in(phone)


def test_somebody_whom_the_provider_does_not_remember_logs_out_without_being_asked(
    world: World[Embedded], browsers: Browsers
) -> None:
    browser, phone = browsers(), world.sign_in(browsers(), "amber")
    browser.open(world.site.path("/auth/login/")).press("Sign in", subject="amber", remember=None)
    assert world.site.signed_in(browser)

    world.site.log_out(browser)

    assert "Nobody is signed in" in browser.text
    assert not world.site.signed_in(browser)
    assert world.site.signed_in(phone)


def test_after_a_logout_the_provider_does_not_answer_the_session_here_has_ended_and_the_person_is_told(
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


def test_a_provider_that_went_away_does_not_keep_the_session_alive(
    tmp_path: Path, migrated: Path, browser: Browser
) -> None:
    with open_world(serve_embedded, tmp_path, migrated) as world:
        world.sign_in(browser, "amber")
        world.provider.server.stop()

        with pytest.raises(requests.ConnectionError):
            world.site.log_out(browser)

        assert not world.site.signed_in(browser)


# Sign-in


def test_two_tabs_sign_in_at_once(world: World[Embedded], browser: Browser) -> None:
    first = browser.open(world.site.path("/auth/login/?" + urlencode({"next": "/private/"})))
    waiting = first.response
    browser.open(world.site.path("/auth/login/"))
    world.provider.choose(browser, "amber")
    assert world.site.signed_in(browser)

    browser.response = waiting
    world.provider.choose(browser, "amber")

    assert browser.url == world.site.path("/private/")
    assert world.site.signed_in(browser)


def test_the_way_back_is_good_while_it_is_signed_in(world: World[Embedded], browser: Browser) -> None:
    world.sign_in(browser, "amber")
    callback = next(url for url in browser.visited() if "/auth/callback/" in url)

    browser.open(callback)

    assert browser.status == requests.codes.ok
    assert world.site.signed_in(browser)
    world.site.log_out(browser)
    browser.open(callback)
    assert browser.status == requests.codes.bad_request
    assert not world.site.signed_in(browser)


def test_a_key_the_site_has_not_seen_is_fetched(world: World[Embedded], browser: Browser) -> None:
    world.provider.order("rotate-keys", withdraw=True)

    assert world.sign_in(browser, "amber")
