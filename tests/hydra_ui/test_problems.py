"""Problems with a challenge: the page explains what to do, and the log has a line."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils.log import AdminEmailHandler

from .conftest import Configure, Logged
from .fake import FakeHydra

KINDS = ["login", "consent", "logout"]

pytestmark = pytest.mark.django_db


def open_page(hydra: FakeHydra, kind: str) -> str:
    url: str = getattr(hydra, kind)("1")
    return url


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_challenge_is_explained(hydra: FakeHydra, browser: Client, logged: Logged, kind: str) -> None:
    answer = browser.get(f"/hydra/{kind}/")

    assert answer.status_code == 400
    assert "This page needs an application" in answer.content.decode()
    assert logged() == [f"{kind} page: challenge_missing: there is no {kind}_challenge"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "shown", "title"),
    [
        (404, 404, "This link cannot be used"),
        (401, 410, "This took too long"),
        (400, 502, "set up wrongly"),
        (403, 502, "set up wrongly"),
        (500, 503, "Please wait a moment"),
    ],
)
def test_an_error_of_hydra_is_explained(
    hydra: FakeHydra, browser: Client, kind: str, status: int, shown: int, title: str
) -> None:
    hydra.refuses(kind, status)

    answer = browser.get(open_page(hydra, kind))

    assert answer.status_code == shown
    assert title in answer.content.decode()
    assert "noindex" in answer.content.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_hydra_that_is_down_is_explained(hydra: FakeHydra, browser: Client, logged: Logged, kind: str) -> None:
    url = open_page(hydra, kind)
    hydra.is_down = True

    answer = browser.get(url)

    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert f'href="{url}"' in answer.content.decode()
    assert logged()[0].startswith(f"{kind} page: unreachable: ")


def test_the_page_links_to_a_new_start(hydra: FakeHydra, browser: Client) -> None:
    assert "log out there once more" in browser.get("/hydra/logout/").content.decode()
    assert "sign in there once more" in browser.get("/hydra/login/").content.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_handled_challenge_redirects_where_hydra_says(hydra: FakeHydra, browser: Client, kind: str) -> None:
    hydra.refuses(kind, 410, {"redirect_to": "https://op.example/oauth2/auth?x=1"})

    assert browser.get(open_page(hydra, kind))["Location"] == "https://op.example/oauth2/auth?x=1"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", ["accept", "reject"])
def test_a_challenge_answered_a_moment_ago_redirects_where_hydra_says(
    hydra: FakeHydra, browser: Client, amber: User, kind: str, answer: str
) -> None:
    """After a double click or a click on Back, Hydra answers 409."""
    hydra.answered_before = "https://op.example/oauth2/auth?x=1"
    if kind != "login":
        browser.force_login(amber)
    url = getattr(hydra, kind)(str(amber.pk)) if kind != "login" else hydra.login()

    page = browser.post(url, {"answer": answer, "username": "amber", "password": "pw"})

    assert page.status_code == 302
    assert page["Location"] == "https://op.example/oauth2/auth?x=1"


@pytest.mark.parametrize(("kind", "status"), [("login", 302), ("consent", 302), ("logout", 410)])
def test_a_challenge_answered_a_moment_ago_without_a_record_starts_again(
    hydra: FakeHydra, browser: Client, amber: User, kind: str, status: int
) -> None:
    """A sign-in starts again with the authorization request. A logout is complete."""
    hydra.answered_before = ""
    browser.force_login(amber)
    url = getattr(hydra, kind)(str(amber.pk)) if kind != "login" else hydra.login()

    page = browser.post(url, {"answer": "accept", "username": "amber", "password": "pw"})

    assert page.status_code == status
    if status == 302:
        assert page["Location"].startswith("https://op.example/oauth2/auth?client_id=rp")
    else:
        assert "This is done already" in page.content.decode()


def test_a_handled_challenge_with_a_relative_url_is_explained(hydra: FakeHydra, browser: Client) -> None:
    hydra.refuses("logout", 410, {"redirect_to": "/oauth2/sessions/logout?id_token_hint=x"})

    answer = browser.get(open_page(hydra, "logout"))

    assert answer.status_code == 410
    assert "This is done already" in answer.content.decode()


def test_a_user_without_subject_is_explained(
    hydra: FakeHydra, browser: Client, amber: User, configure: Configure, logged: Logged
) -> None:
    configure(SUBJECT="tests.hydra_ui.test_logout.nobody")
    browser.force_login(amber)

    answer = browser.get(hydra.login())

    assert answer.status_code == 403
    assert "You cannot sign in with this account" in answer.content.decode()
    assert logged() == ["login page: subject_missing: this user has no subject"]
    assert not hydra.answered


@pytest.mark.parametrize("kind", KINDS)
def test_other_methods_are_refused(hydra: FakeHydra, browser: Client, kind: str) -> None:
    assert browser.head(open_page(hydra, kind)).status_code == 405
    assert not hydra.answered


def test_a_redirect_does_not_show_its_verifier(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.force_login(amber)

    assert repr(browser.get(hydra.login())) == "<redirect to a hidden URL>"


# Mails to administrators


class Mails(AdminEmailHandler):
    """Django's handler, which stores the mails instead of sending them."""

    def __init__(self) -> None:
        super().__init__(include_html=True)
        self.sent: list[str] = []

    def send_mail(self, subject: Any, message: Any, *_args: Any, **kwargs: Any) -> None:
        self.sent += [subject, message, kwargs["html_message"]]


@pytest.fixture
def mails() -> Iterator[list[str]]:
    """The mails that administrators get for each answer with status 500 or above."""
    handler, logger = Mails(), logging.getLogger("django.request")
    handler.setLevel(logging.ERROR)
    level, disabled = logger.level, logger.disabled
    # An earlier test in this process may have silenced this logger, as the demo does.
    logger.setLevel(logging.ERROR)
    logger.disabled = False
    logger.addHandler(handler)
    yield handler.sent
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.disabled = disabled


def challenge_of(url: str) -> str:
    return url.partition("=")[2]


def as_sent_by_a_browser(url: str) -> dict[str, Any]:
    """The headers and variables in which browsers and servers repeat the query."""
    return {"REQUEST_URI": url, "RAW_URI": url, "HTTP_REFERER": f"http://testserver{url}"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("status", [400, 503])
def test_mail_about_a_5xx_has_no_challenge(
    hydra: FakeHydra, browser: Client, mails: list[str], kind: str, method: str, status: int
) -> None:
    hydra.refuses(kind, status)
    url = open_page(hydra, kind)

    answer = getattr(browser, method)(url, **as_sent_by_a_browser(url))

    assert answer.status_code in {502, 503}
    assert len(mails) == 3
    for mail in mails:
        assert f"/hydra/{kind}/" in mail
        assert challenge_of(url) not in mail


def broken(*_args: object, **_kwargs: object) -> None:
    raise RuntimeError("a fault of the site's own")


def test_mail_about_a_fault_of_the_site_has_no_challenge(
    hydra: FakeHydra, amber: User, mails: list[str], configure: Configure
) -> None:
    configure(AUTHENTICATION=f"{__name__}.broken")
    browser = Client(raise_request_exception=False)
    browser.force_login(amber)
    url = hydra.login()

    assert browser.get(url, **as_sent_by_a_browser(url)).status_code == 500
    assert len(mails) == 3
    assert "a fault of the site&#x27;s own" in mails[2]
    for mail in mails:
        assert challenge_of(url) not in mail


def test_pages_below_5xx_keep_their_query(hydra: FakeHydra, browser: Client, db: None) -> None:
    """A frame of the site may need it, to change the language."""
    url = hydra.login()

    assert browser.get(url).wsgi_request.get_full_path() == url
    assert browser.get("/hydra/login/?x=1").wsgi_request.get_full_path() == "/hydra/login/?x=1"


@pytest.mark.parametrize(
    "to", ["http://[", "https://op.example/\r\nSet-Cookie: a=b", "\ud800", "https://op.example/\0"]
)
def test_a_redirect_to_no_url_is_refused(hydra: FakeHydra, browser: Client, to: str) -> None:
    hydra.refuses("logout", 410, {"redirect_to": to})

    assert browser.get(open_page(hydra, "logout")).status_code == 502


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_a_hydra_that_is_down_tries_again_once(hydra: FakeHydra, browser: Client, kind: str) -> None:
    url = open_page(hydra, kind)
    hydra.is_down = True

    first = browser.get(url)
    second = browser.get(f"{url}&retried=1")

    assert (first.status_code, first["Refresh"]) == (503, f"5; url={url}&retried=1")
    assert "tries again by itself in 5 seconds" in first.content.decode()
    assert (second.status_code, second.get("Refresh")) == (503, None)
