"""What goes wrong with a challenge: a page that says what to do, and a line in the log."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from .conftest import Configure, Logged
from .fake import FakeHydra

KINDS = ["login", "consent", "logout"]

pytestmark = pytest.mark.django_db


def come(hydra: FakeHydra, kind: str) -> str:
    url: str = getattr(hydra, kind)("1")
    return url


@pytest.mark.parametrize("kind", KINDS)
def test_no_challenge(hydra: FakeHydra, browser: Client, logged: Logged, kind: str) -> None:
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
        (400, 502, "refuses our request"),
        (403, 502, "refuses our request"),
        (500, 503, "cannot be reached"),
    ],
)
def test_hydra_answers(hydra: FakeHydra, browser: Client, kind: str, status: int, shown: int, title: str) -> None:
    hydra.refuses(kind, status)

    answer = browser.get(come(hydra, kind))

    assert answer.status_code == shown
    assert title in answer.content.decode()
    assert "noindex" in answer.content.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_hydra_is_down(hydra: FakeHydra, browser: Client, logged: Logged, kind: str) -> None:
    url = come(hydra, kind)
    hydra.is_down = True

    answer = browser.get(url)

    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert f'href="{url}"' in answer.content.decode()
    assert logged()[0].startswith(f"{kind} page: unreachable: ")


def test_where_to_start_again(hydra: FakeHydra, browser: Client) -> None:
    assert "log out there once more" in browser.get("/hydra/logout/").content.decode()
    assert "sign in there once more" in browser.get("/hydra/login/").content.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_handled_goes_where_hydra_says(hydra: FakeHydra, browser: Client, kind: str) -> None:
    hydra.refuses(kind, 410, {"redirect_to": "https://op.example/oauth2/auth?x=1"})

    assert browser.get(come(hydra, kind))["Location"] == "https://op.example/oauth2/auth?x=1"


def test_handled_and_hydra_says_a_path_of_its_own(hydra: FakeHydra, browser: Client) -> None:
    hydra.refuses("logout", 410, {"redirect_to": "/oauth2/sessions/logout?id_token_hint=x"})

    answer = browser.get(come(hydra, "logout"))

    assert answer.status_code == 410
    assert "This is done already" in answer.content.decode()


def test_a_person_without_subject(
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
    assert browser.head(come(hydra, kind)).status_code == 405
    assert not hydra.answered


def test_a_redirect_does_not_show_its_verifier(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.force_login(amber)

    assert repr(browser.get(hydra.login())) == "<redirect to Hydra>"
