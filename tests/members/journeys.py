"""Sign-in and logout of members. ``tests/test_users.py`` runs this file with the settings of this folder."""

from typing import Any

import pytest

from django_ory_logout.models import LoginSession, Subject
from django_ory_logout.testing import Person, Provider

from ..conftest import Logged, SiteBrowser
from .models import Member

pytestmark = pytest.mark.django_db(transaction=True)


def add_person(provider: Provider, subject: str, **claims: Any) -> None:
    provider.add_person(Person(subject, {"email_verified": True, "family_name": "Stone & Sons", **claims}))


def test_a_member_signs_in_and_the_provider_logs_them_out(browser: SiteBrowser, provider: Provider) -> None:
    add_person(provider, "amber", email="Amber@Example.org", given_name="Am\ud800ber")
    login_session = provider.sign_in("amber")

    assert browser.sign_in("amber", login_session=login_session).status_code == 302

    member = Member.objects.get()
    assert (member.email, member.company, member.first_name) == ("Amber@example.org", "Stone & Sons", "Amber")
    assert browser.user["username"] == "Amber@example.org"
    assert LoginSession.objects.get().user == Subject.objects.get().user == member
    assert browser.deliver(provider.end(login_session.sid)) == [200]
    assert browser.user is None
    assert browser.sign_in("amber").status_code == 302
    assert Member.objects.count() == 1


@pytest.mark.parametrize(
    ("claims", "status", "reason"),
    [
        ({"family_name": ""}, 500, "user_invalid: company: blank"),
        ({"email_verified": False}, 403, "username_unusable: the provider has not verified the e-mail address"),
        ({"email": "CEDAR@example.org"}, 403, "username_unusable: another account has the e-mail address"),
    ],
)
def test_no_member_is_created(
    claims: dict[str, Any], status: int, reason: str, browser: SiteBrowser, provider: Provider, logged: Logged
) -> None:
    Member.objects.create_user("cedar@example.org", "Stone & Sons")
    add_person(provider, "amber", **{"email": "amber@example.org", **claims})

    answer = browser.sign_in("amber")

    assert answer.status_code == status
    assert ("This site is set up wrongly" in answer.text) == (status == 500)
    assert logged() == [f"no user made: {reason}", "sign-in refused: user_unknown", f"sign-in failed: {reason}"]
    assert Member.objects.count() == 1
    assert browser.user is None
