"""The central tests: the same for both providers, every session engine, WSGI and ASGI."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .browser import Browser
from .deployment import Deployment, open_deployment
from .providers import Provider, serve_embedded, serve_oidc_provider

pytestmark = pytest.mark.e2e

Browsers = Callable[[], Browser]

WORLDS = [
    pytest.param((serve_embedded, {"engine": "db"}), id="embedded-db"),
    pytest.param((serve_embedded, {"engine": "cached_db"}), id="embedded-cached_db"),
    pytest.param((serve_embedded, {"engine": "cache"}), id="embedded-cache"),
    pytest.param((serve_embedded, {"engine": "file"}), id="embedded-file"),
    pytest.param((serve_embedded, {"engine": "signed_cookies"}), id="embedded-signed_cookies"),
    pytest.param((serve_embedded, {"asgi": True}), id="embedded-asgi"),
    pytest.param((serve_oidc_provider, {"engine": "db"}), id="oidc-provider"),
]


@pytest.fixture(scope="module", params=WORLDS)
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path
) -> Iterator[Deployment[Provider]]:
    serve_provider, serving = request.param
    with open_deployment(serve_provider, tmp_path_factory.mktemp("deployment"), migrated, **serving) as deployment:
        yield deployment


def test_nobody_is_signed_in_before_the_first_sign_in(deployment: Deployment[Provider], browser: Browser) -> None:
    assert not deployment.site.signed_in(browser)
    assert browser.open(deployment.site.path("/")).status == 200


def test_a_sign_in_returns_to_the_page_that_required_it(deployment: Deployment[Provider], browser: Browser) -> None:
    deployment.provider.choose(browser.open(deployment.site.path("/private/")), "amber")

    assert browser.url == deployment.site.path("/private/")
    assert browser.status == 200


def test_a_logout_in_one_browser_keeps_another_user_signed_in(
    deployment: Deployment[Provider], browsers: Browsers
) -> None:
    amber, birch = deployment.sign_in(browsers(), "amber"), deployment.sign_in(browsers(), "birch")

    deployment.log_out(amber)

    assert not deployment.site.signed_in(amber)
    assert deployment.site.signed_in(birch)


def test_a_logout_in_one_browser_keeps_the_same_user_signed_in_elsewhere(
    deployment: Deployment[Provider], browsers: Browsers
) -> None:
    laptop, phone = deployment.sign_in(browsers(), "amber"), deployment.sign_in(browsers(), "amber")

    deployment.log_out(laptop)

    assert not deployment.site.signed_in(laptop)
    assert deployment.site.signed_in(phone)


def test_the_session_has_ended_before_the_provider_asks_for_confirmation(
    deployment: Deployment[Provider], browser: Browser
) -> None:
    deployment.sign_in(browser, "amber")

    deployment.site.log_out(browser)

    assert browser.url.startswith(deployment.provider.issuer)
    assert not deployment.site.signed_in(browser)


def test_a_logout_at_the_provider_ends_only_the_session_of_its_sid(
    deployment: Deployment[Provider], browsers: Browsers
) -> None:
    laptop, phone, birch = (deployment.sign_in(browsers(), user) for user in ("amber", "amber", "birch"))

    deployment.provider.log_out_there(laptop)

    assert deployment.site.soon_signed_out(laptop)
    assert deployment.site.signed_in(phone)
    assert deployment.site.signed_in(birch)


def test_a_logout_at_the_provider_ends_every_session_with_its_sid(
    deployment: Deployment[Provider], browsers: Browsers
) -> None:
    first, second = deployment.sign_in(browsers(), "amber"), browsers()
    second.take_cookies(first, of=deployment.provider.issuer)
    second.open(deployment.site.path("/auth/login/"))
    assert deployment.site.signed_in(second)

    deployment.provider.log_out_there(first)

    assert deployment.site.soon_signed_out(first)
    assert deployment.site.soon_signed_out(second)


def test_after_a_logout_another_user_can_sign_in_with_the_same_browser(
    deployment: Deployment[Provider], browser: Browser
) -> None:
    deployment.log_out(deployment.sign_in(browser, "amber"))

    deployment.sign_in(browser, "birch")

    assert deployment.site.signed_in(browser)
