"""``urls.consent``: which users see the question, and the answer to Hydra."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.contrib.auth.models import AbstractBaseUser, User
from django.test import Client

from django_ory_logout.ory.hydra import OAuth2Client

from .conftest import Configure
from .fake import PUBLIC, FakeHydra

ALL = "openid profile email offline_access secrets"


@pytest.fixture(autouse=True)
def _signed_in(browser: Client, amber: User) -> None:
    browser.force_login(amber)


def accepted(hydra: FakeHydra) -> dict[str, Any]:
    what, document = hydra.answer
    assert what == "consent/accept"
    return document


def test_scopes_are_described(hydra: FakeHydra, browser: Client, amber: User) -> None:
    page = browser.get(hydra.consent(str(amber.pk), scope=ALL)).content.decode()

    for text in ("Know that it is you", "See your name", "e-mail", "while you are away", "<code>secrets</code>"):
        assert text in page
    assert "signed in as <strong>amber</strong>" in page
    assert "The &lt;em&gt;site&lt;/em&gt;" in page
    assert not hydra.answered


def test_the_site_can_describe_scopes(hydra: FakeHydra, browser: Client, amber: User, configure: Configure) -> None:
    configure(SCOPES={"secrets": "Read your secrets"})

    page = browser.get(hydra.consent(str(amber.pk), scope=ALL)).content.decode()

    assert "Read your secrets" in page
    assert "Know that it is you" in page


def test_accept_grants_the_scopes(hydra: FakeHydra, browser: Client, amber: User) -> None:
    answer = browser.post(hydra.consent(str(amber.pk), scope="openid secrets"), {"answer": "accept"})

    assert answer["Location"] == f"{PUBLIC}/consent/accept"
    assert accepted(hydra) == {
        "grant_scope": ["openid", "secrets"],
        "grant_access_token_audience": ["api"],
        "remember": False,
        "remember_for": 0,
        "session": {"id_token": {}, "access_token": {}},
        "context": None,
    }


def test_accept_can_be_remembered(hydra: FakeHydra, browser: Client, amber: User, configure: Configure) -> None:
    configure(CONSENT_REMEMBER_FOR=60)

    browser.post(hydra.consent(str(amber.pk)), {"answer": "accept", "remember": "on"})

    assert accepted(hydra)["remember"] is True
    assert accepted(hydra)["remember_for"] == 60


@pytest.mark.parametrize("form", [{"answer": "reject"}, {}])
def test_reject_refuses_the_request(hydra: FakeHydra, browser: Client, amber: User, form: dict[str, str]) -> None:
    answer = browser.post(hydra.consent(str(amber.pk)), form)

    assert answer["Location"] == f"{PUBLIC}/consent/reject"
    assert hydra.answer.document["error"] == "access_denied"


def test_a_post_without_csrf_token_is_refused(hydra: FakeHydra, amber: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(amber)

    assert browser.post(hydra.consent(str(amber.pk)), {"answer": "accept"}).status_code == 403
    assert not hydra.answered


def test_skip_is_accepted_without_a_question(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.get(hydra.consent(str(amber.pk), skip=True))

    assert accepted(hydra)["remember"] is False


def test_skip_consent_of_the_client_is_accepted_without_a_question(
    hydra: FakeHydra, browser: Client, amber: User
) -> None:
    browser.get(hydra.consent(str(amber.pk), skip_consent=True))

    assert accepted(hydra)["remember"] is True


def test_prompt_consent_overrides_skip_consent(hydra: FakeHydra, browser: Client, amber: User) -> None:
    """Core 3.1.2.1."""
    url = hydra.consent(str(amber.pk), skip_consent=True, asked="prompt=login+consent")

    assert 'value="accept"' in browser.get(url).content.decode()
    assert not hydra.answered
    assert browser.post(url, {"answer": "reject"})["Location"] == f"{PUBLIC}/consent/reject"


def test_an_accept_after_prompt_consent_is_not_remembered(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.post(hydra.consent(str(amber.pk), skip_consent=True, asked="prompt=consent"), {"answer": "accept"})

    assert accepted(hydra)["remember"] is False


@pytest.mark.parametrize("asked", ["prompt=login", "request=a.b.c", "request_uri=urn:x"])
def test_skip_consent_applies_without_prompt_consent(
    hydra: FakeHydra, browser: Client, amber: User, asked: str
) -> None:
    browser.get(hydra.consent(str(amber.pk), skip_consent=True, asked=asked))

    assert hydra.answer.what == "consent/accept"


def test_an_inactive_user_is_refused(hydra: FakeHydra, browser: Client, amber: User) -> None:
    User.objects.update(is_active=False)

    browser.get(hydra.consent(str(amber.pk), skip=True))

    assert hydra.answer.what == "consent/reject"


def test_an_anonymous_user_is_refused(hydra: FakeHydra, amber: User) -> None:
    Client().get(hydra.consent(str(amber.pk), skip=True))

    assert hydra.answer.what == "consent/reject"


def test_another_user_here_is_refused(hydra: FakeHydra, browser: Client, amber: User, birch: User) -> None:
    browser.force_login(birch)

    browser.post(hydra.consent(str(amber.pk)), {"answer": "accept"})

    assert hydra.answer.what == "consent/reject"


PROFILE = {"preferred_username": "amber", "name": "Amber Tree", "given_name": "Amber", "family_name": "Tree"}
EMAIL = {"email": "amber@example.com"}


@pytest.mark.parametrize(
    ("scope", "claims"),
    [("openid", {}), ("profile", PROFILE), ("email", EMAIL), ("profile email", PROFILE | EMAIL)],
)
def test_claims_depend_on_the_scope(
    hydra: FakeHydra, browser: Client, amber: User, scope: str, claims: dict[str, str]
) -> None:
    browser.post(hydra.consent(str(amber.pk), scope=scope), {"answer": "accept"})

    assert accepted(hydra)["session"]["id_token"] == claims


def test_empty_claims_are_omitted(hydra: FakeHydra, browser: Client, birch: User) -> None:
    browser.force_login(birch)

    browser.post(hydra.consent(str(birch.pk), scope="profile"), {"answer": "accept"})

    assert accepted(hydra)["session"]["id_token"] == {"preferred_username": "birch"}


def claims(user: AbstractBaseUser, *, scopes: Sequence[str], client: OAuth2Client) -> dict[str, Any]:
    return {"said": [str(user), *scopes, client.client_id]}


def test_the_site_can_add_claims(hydra: FakeHydra, browser: Client, amber: User, configure: Configure) -> None:
    configure(CLAIMS=f"{__name__}.claims")

    browser.get(hydra.consent(str(amber.pk), skip=True))

    assert accepted(hydra)["session"]["id_token"] == {"said": ["amber", "openid", "rp"]}
