"""Session stores whose constructors take more than a key keep the arguments of the site's middleware."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session

from django_ory_logout.models import LoginSession
from django_ory_logout.sessions import engines

from .engines import of_request
from .tested_site import MIDDLEWARE, SiteUnderTest, notice, running_site, site_settings

pytestmark = pytest.mark.django_db(transaction=True)

MOSS = "Moss 1.0"


@pytest.fixture(
    params=[of_request.KeywordStore, of_request.RequestStore, of_request.OtherNameStore, of_request.RestStore]
)
def site(
    request: pytest.FixtureRequest, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SiteUnderTest]:
    monkeypatch.setattr(of_request, "SessionStore", request.param)
    for name, value in site_settings(of_request.__name__, tmp_path).items():
        setattr(settings, name, value)
    settings.MIDDLEWARE = [f"{of_request.__name__}.RequestMiddleware", *MIDDLEWARE[1:]]
    with running_site() as site:
        yield site


def visit(site: SiteUnderTest, path: str, key: str | None = None) -> str:
    answer = site.response(path, key, user_agent=MOSS)
    assert answer.status_code == 200
    cookie = answer.cookies.get("sessionid")
    return str(cookie.value) if cookie else key or ""


def browsers() -> list[str]:
    keys = Session.objects.values_list("session_key", flat=True)
    return [engines.session_without_request(engines.site_store(), key).load()["browser"] for key in keys]


@pytest.mark.parametrize("path", ["/public/", "/rotate/", "/write/", "/awrite/", "/arotate/", "/sign-in/"])
def test_constructor_arguments_are_kept(site: SiteUnderTest, path: str) -> None:
    key = visit(site, path, visit(site, "/sign-in/"))
    key = visit(site, "/who/", key)

    assert browsers() == [MOSS]
    assert LoginSession.objects.get().session_key == key


def test_a_notice_ends_the_stored_session(site: SiteUnderTest) -> None:
    key = visit(site, "/sign-in/")

    assert notice() == 1

    assert not Session.objects.exists()
    assert site.response("/who/", key, user_agent=MOSS).status_code == 401


def test_a_logout_ends_the_stored_session(site: SiteUnderTest) -> None:
    visit(site, "/log-out/", visit(site, "/sign-in/"))

    assert not Session.objects.exists()
    assert not LoginSession.objects.exists()


def test_a_stored_session_is_read_without_a_request(site: SiteUnderTest) -> None:
    key = visit(site, "/sign-in/")

    stored = engines.session_without_request(engines.site_store(), key)

    assert stored.load()["browser"] == MOSS
    assert engines.session_without_request(engines.site_store()).session_key is None
