"""A client chooses the charset with which Django reads parameters. Every page answers 400 to an unusable charset."""

import pytest
from django.test import Client

from django_ory_logout.hydra_ui.urls import urlpatterns

from .conftest import Logged
from .fake import FakeHydra

pytestmark = pytest.mark.django_db

PATHS = [f"/hydra/{pattern.pattern}" for pattern in urlpatterns]
QUERY = "&".join(
    f"{name}=\\ud800"
    for name in ("login_challenge", "consent_challenge", "logout_challenge", "error", "error_description", "error_hint")
)


@pytest.mark.parametrize("charset", ["unicode_escape", "idna", "utf-7", "utf-16", "koi8-r"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", PATHS)
def test_an_unusable_charset_is_refused(
    hydra: FakeHydra, browser: Client, logged: Logged, path: str, method: str, charset: str
) -> None:
    answer = browser.generic(method, path, b"a=1", f"text/plain; charset={charset}", QUERY_STRING=QUERY)

    assert answer.status_code == 400
    assert "no-store" in answer["Cache-Control"]
    name = path.split("/")[-2].replace("-", "_")
    assert logged() == [f"{name} page: charset_unsupported: the charset of Content-Type is not UTF-8"]


def test_the_page_explains_the_charset(hydra: FakeHydra, browser: Client) -> None:
    answer = browser.get("/hydra/error/", headers={"Content-Type": "text/plain; charset=unicode_escape"})

    assert "This request cannot be read" in answer.content.decode()


@pytest.mark.parametrize("path", PATHS)
def test_bytes_that_are_not_utf_8_are_refused(hydra: FakeHydra, browser: Client, path: str) -> None:
    for value in ("%ED%A0%80", "%FF", "%00", "%C0%AF", "%0D%0A"):
        assert browser.get(path, QUERY_STRING=QUERY.replace("\\ud800", value)).status_code < 500
