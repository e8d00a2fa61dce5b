"""Forced logout: what ends, in which order, which notices are sent, and what the result says about the rest."""

import re
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.test import override_settings
from django.utils import translation
from django.utils.translation import trans_real

from django_ory_logout.force import force_logout, report, revoke_access_tokens, revoke_consents
from django_ory_logout.force.report import ForcedLogout, Outcome, Remark, StepName, Untold
from django_ory_logout.models import EndReason, LoginSession, Subject
from django_ory_logout.sessions import engines, index
from django_ory_logout.signals import login_session_ended
from django_ory_logout.testing import Network, Provider

from ..conftest import Configure, Logged, NewBrowser, SiteBrowser
from ..fake_hydra import SESSIONS, URL, Consent, FakeHydra, connect

pytestmark = pytest.mark.django_db

US = django_settings.CLIENT_ID
KEYS = "GET /admin/keys/hydra.openid.id-token"
LOGIN, CONSENT = f"DELETE {SESSIONS}/login", f"DELETE {SESSIONS}/consent"


@pytest.fixture
def hydra(configure: Configure, network: Network) -> Iterator[FakeHydra]:
    configure(HYDRA={"ADMIN_URL": URL})
    uri = {"backchannel_logout_uri": "https://rp.example/bye"}
    kids = [key["kid"] for key in network.provider.jwks()["keys"]]
    with connect(FakeHydra(clients={US: uri, "mail": uri}, key_ids=kids)) as hydra:
        yield hydra


@pytest.fixture
def amber(browser: SiteBrowser) -> SiteBrowser:
    browser.sign_in("amber")
    return browser


@pytest.fixture
def sid(amber: SiteBrowser, hydra: FakeHydra) -> str:
    """Amber's login session, with this site and a mail application."""
    sid = str(amber.user["sid"])
    hydra.sign_in("amber", sid, US, "mail")
    return sid


def user() -> User:
    return User.objects.get(pk=Subject.objects.get(subject="amber").user_id)


def outcomes(result: ForcedLogout) -> list[tuple[str, str, str]]:
    return [(step.name.value, step.outcome.value, step.code) for step in result.steps]


def codes(remarks: tuple[Remark, ...]) -> list[str]:
    return [remark.code for remark in remarks]


# One user


def test_a_user_ends_here_and_then_at_hydra_so_that_other_clients_get_notices(
    amber: SiteBrowser, hydra: FakeHydra, sid: str
) -> None:
    hydra.sign_in("amber", "elsewhere", "mail")

    result = force_logout(user=user())

    assert amber.user is None
    assert hydra.calls == [
        KEYS,
        f"GET /admin/clients/{US}",
        f"GET {SESSIONS}/consent?subject=amber&page_size=50",
        f"GET {SESSIONS}/consent?subject=amber&page_size=50&page_token=2",
        f"{LOGIN}?sid={sid}",
        f"{LOGIN}?sid=elsewhere",
        f"{LOGIN}?subject=amber",
        f"{CONSENT}?subject=amber&all=true",
    ]
    assert set(hydra.told) == {(US, sid), ("mail", sid), ("mail", "elsewhere")}
    assert (hydra.logins, hydra.consents) == ({}, [])
    assert [(step.name.value, step.count) for step in result.steps[:3]] == [("local", 1), ("client", None), ("list", 3)]
    assert result.ok
    assert result.still_alive == ()
    assert codes(result.unknown) == [
        "other_sessions",
        "unremembered",
        "unlisted",
        "delivery",
        "self_contained_tokens",
        "identity_provider",
    ]


def test_a_subject_ends_like_its_user(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    result = force_logout(subject="amber")

    assert amber.user is None
    assert [call for call in hydra.calls if call.startswith("DELETE")] == [
        f"{LOGIN}?sid={sid}",
        f"{LOGIN}?subject=amber",
        f"{CONSENT}?subject=amber&all=true",
    ]
    assert result.ok
    assert "other_sessions" not in codes(result.unknown)


def test_other_users_stay_signed_in(amber: SiteBrowser, new_browser: NewBrowser, hydra: FakeHydra, sid: str) -> None:
    birch = new_browser()
    birch.sign_in("birch")
    hydra.sign_in("birch", birch.user["sid"], US)

    force_logout(user=user())

    assert birch.user is not None
    assert list(hydra.logins) == [birch.user["sid"]]


def test_the_reason_is_forced(
    amber: SiteBrowser, hydra: FakeHydra, sid: str, django_capture_on_commit_callbacks: Any
) -> None:
    reasons = []

    def note(reason: EndReason, **_: object) -> None:
        reasons.append(reason)

    login_session_ended.connect(note)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            force_logout(user=user())
    finally:
        login_session_ended.disconnect(note)

    assert reasons == [EndReason.FORCED]


def test_it_can_be_repeated_and_the_user_can_sign_in_again(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    force_logout(user=user())

    again = force_logout(user=user())
    amber.sign_in("amber")

    assert again.ok
    assert again.steps[0].count == 0
    assert "subject_unlisted" not in codes(again.unknown)
    assert amber.user["subject"] == "amber"


def test_dry_run_reads_and_ends_nothing(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    result = force_logout(user=user(), dry_run=True)

    assert amber.user is not None
    assert {call.split()[0] for call in hydra.calls} == {"GET"}
    assert outcomes(result) == [
        ("local", "planned", ""),
        ("client", "done", ""),
        ("list", "done", ""),
        ("sid", "planned", ""),
        ("subject", "planned", ""),
        ("consents", "planned", ""),
    ]
    assert result.steps[0].count == 1
    assert result.dry_run


def test_consents_can_stay_and_then_tokens_stay_active(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    result = force_logout(user=user(), consents=False)

    assert not any(call.startswith(CONSENT) for call in hydra.calls)
    assert Remark("tokens", "amber") in result.still_alive


@pytest.mark.parametrize(
    ("broken", "step", "left", "steps"),
    [
        (f"{LOGIN}?sid=", "sid", "login_session", 7),
        (f"{LOGIN}?subject=", "subject", "login_sessions", 6),
        (CONSENT, "consents", "tokens", 6),
    ],
)
def test_a_failed_step_is_reported_and_does_not_stop_the_next(
    amber: SiteBrowser, hydra: FakeHydra, sid: str, logged: Logged, broken: str, step: str, left: str, steps: int
) -> None:
    hydra.broken = {broken}

    result = force_logout(user=user())

    assert amber.user is None
    assert [(name, code) for name, outcome, code in outcomes(result) if outcome == "failed"] == [(step, "unreachable")]
    assert len(result.steps) == steps
    assert not result.ok
    assert codes(result.still_alive) == [left]
    assert logged()[0].startswith(f"forced logout: step {step} failed: unreachable")
    assert "amber" not in logged()[0]


def test_local_sessions_end_although_hydra_is_unreachable(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    hydra.broken = {""}

    result = force_logout(user=user())

    assert amber.user is None
    assert [outcome for _, outcome, _ in outcomes(result)] == ["done", "failed", "failed", "retried"] + 3 * ["failed"]
    assert codes(result.still_alive) == ["login_session", "login_sessions", "tokens"]
    assert "listing_incomplete" in codes(result.unknown)


def test_a_failed_sid_is_tried_again_before_the_subject(
    amber: SiteBrowser, hydra: FakeHydra, sid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hydra.sign_in("amber", "elsewhere", "mail")
    hydra.broken = {f"{LOGIN}?sid={sid}"}
    send = hydra.send

    def send_and_recover(request: Any, *args: object, **kwargs: object) -> Any:
        if "sid=elsewhere" in request.url:
            hydra.broken = set()
        return send(request, *args, **kwargs)

    monkeypatch.setattr(hydra, "send", send_and_recover)

    result = force_logout(user=user())

    assert [call for call in hydra.calls if call.startswith(LOGIN)] == [
        f"{LOGIN}?sid={sid}",
        f"{LOGIN}?sid=elsewhere",
        f"{LOGIN}?sid={sid}",
        f"{LOGIN}?subject=amber",
    ]
    assert ("mail", sid) in hydra.told
    assert [(step.target, step.outcome) for step in result.steps if step.name == report.StepName.SID] == [
        (sid, report.Outcome.RETRIED),
        ("elsewhere", report.Outcome.DONE),
        (sid, report.Outcome.DONE),
    ]
    assert result.ok
    assert (result.untold, result.still_alive) == ((), ())


def test_a_sid_that_failed_twice_is_reported_with_its_provider(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    hydra.sign_in("amber", "elsewhere", "mail")
    hydra.broken = {f"{LOGIN}?sid={sid}"}

    result = force_logout(user=user())

    assert hydra.calls.count(f"{LOGIN}?sid={sid}") == 2
    assert ("mail", "elsewhere") in hydra.told
    assert result.untold == (Untold(sid, "default"),)
    assert Remark("login_session", sid) in result.still_alive


@pytest.mark.parametrize(("working", "is_doubtful"), [("login?subject=", True), ("consent", True), ("", False)])
def test_a_failed_sid_may_end_with_a_later_successful_step(
    amber: SiteBrowser, hydra: FakeHydra, sid: str, working: str, is_doubtful: bool
) -> None:
    calls = {"login?sid=", "login?subject=", "consent"} - {working}
    hydra.broken = {f"DELETE {SESSIONS}/{call}" for call in calls}

    result = force_logout(user=user())

    assert result.untold == (Untold(sid, "default"),)
    assert (Remark("recipients_forgotten", sid) in result.unknown) is is_doubtful


def test_the_remaining_steps_are_reported_if_the_subject_failed_too(
    amber: SiteBrowser, hydra: FakeHydra, sid: str
) -> None:
    hydra.sign_in("amber", "elsewhere")
    hydra.broken = {LOGIN, CONSENT}
    (left,) = force_logout(user=user()).untold
    hydra.broken = set()

    assert force_logout(sid=left.sid, provider=left.provider).ok
    assert force_logout(user=user()).ok

    assert ("mail", sid) in hydra.told
    assert hydra.logins == {}


def test_an_incomplete_list_is_used(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    hydra.sign_in("amber", "elsewhere", "mail")
    hydra.consents.reverse()
    hydra.broken = {f"GET {SESSIONS}/consent?subject=amber&page_size=50&page_token=2"}

    result = force_logout(user=user())

    assert hydra.logins == {}
    assert ("mail", "elsewhere") in hydra.told
    assert ("list", "failed", "unreachable") in outcomes(result)
    assert Remark("listing_incomplete", "amber") in result.unknown


def test_a_database_fault_here_does_not_stop_hydra(
    amber: SiteBrowser, hydra: FakeHydra, sid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise DatabaseError

    monkeypatch.setattr(index, "delete_ended", fail)

    result = force_logout(user=user())

    assert outcomes(result)[0] == ("local", "failed", "database_fault")
    assert Remark("local_sessions", str(user())) in result.still_alive
    assert ("mail", sid) in hydra.told


def test_sessions_that_are_still_stored_are_not_reported_as_ended(
    amber: SiteBrowser, hydra: FakeHydra, sid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may accept them for a while."""

    def fail(*_: object) -> int:
        raise ConnectionError

    monkeypatch.setattr(engines, "deleted_stay_deleted", lambda _store: False)
    monkeypatch.setattr(index, "delete_ended", fail)

    result = force_logout(user=user())

    assert outcomes(result)[0] == ("local", "failed", "internal_error")
    assert ("mail", sid) in hydra.told


def test_an_application_without_a_notice_is_named(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    hydra.sign_in("amber", "elsewhere", "old-app")

    assert Remark("application_not_told", "old-app") in force_logout(user=user()).still_alive


def test_a_login_that_is_not_listed_ends_without_notices(hydra: FakeHydra, sid: str) -> None:
    hydra.sign_in("amber", "unlisted", "mail")
    hydra.consents[-1] = Consent("amber", "mail", "unlisted", is_listed=False)

    result = force_logout(user=user())

    assert hydra.logins == {}
    assert ("mail", "unlisted") not in hydra.told
    assert "unlisted" in codes(result.unknown)


def test_a_subject_without_listed_consents_may_have_another_name_there(
    amber: SiteBrowser, hydra: FakeHydra, sid: str
) -> None:
    hydra.consents = [Consent("a forced one", US, sid)]

    result = force_logout(user=user())

    assert Remark("subject_unlisted", "amber") in result.unknown
    assert (US, sid) in hydra.told


def test_a_row_without_sid_needs_no_call(amber: SiteBrowser, hydra: FakeHydra) -> None:
    LoginSession.objects.update(sid=None, sid_digest=None)

    force_logout(user=user())

    assert amber.user is None
    assert not any("sid=" in call for call in hydra.calls)


def test_a_pairwise_subject_is_not_sent_to_hydra(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    hydra.clients[US]["subject_type"] = "pairwise"

    result = force_logout(user=user())

    assert [call for call in hydra.calls if call.startswith("DELETE")] == [f"{LOGIN}?sid={sid}"]
    assert ("subject", "failed", "subject_pairwise") in outcomes(result)
    assert codes(result.still_alive) == ["subject_pairwise", "tokens"]


def test_an_unknown_subject_is_tried_with_pairwise_subjects(hydra: FakeHydra) -> None:
    hydra.clients[US]["subject_type"] = "pairwise"
    hydra.sign_in("hydras-own", "elsewhere", "mail")

    result = force_logout(subject="hydras-own")

    assert hydra.told == [("mail", "elsewhere")]
    assert result.ok
    assert Remark("subject_given", "hydras-own") in result.unknown


def test_without_hydra_only_this_site_ends_its_sessions(amber: SiteBrowser) -> None:
    result = force_logout(user=user())

    assert amber.user is None
    assert outcomes(result) == [("local", "done", "")]
    assert result.still_alive == (Remark("hydra_unconfigured", django_settings.ISSUER),)


def test_a_user_of_no_provider_is_reported(hydra: FakeHydra) -> None:
    result = force_logout(user=User.objects.create_user("cedar"))

    assert not result.ok
    assert outcomes(result) == [("subject", "failed", "subject_unknown"), ("local", "done", "")]
    assert hydra.calls == []
    assert codes(result.unknown) == ["other_sessions"]


# Several providers


@pytest.fixture
def two_providers(settings: Any, hydra: FakeHydra, provider: Provider) -> None:
    uris = ["https://rp.example/auth/callback/default/"]
    provider.register(replace(provider.clients[settings.CLIENT_ID], redirect_uris=uris))
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    other = {**default, "ISSUER": "https://other.example"}
    del other["HYDRA"]
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": default, "other": other}}


@pytest.mark.usefixtures("two_providers")
def test_a_user_ends_at_every_provider_or_at_the_named_one(
    amber: SiteBrowser, new_browser: NewBrowser, hydra: FakeHydra, sid: str
) -> None:
    here = LoginSession.objects.get()
    other = LoginSession(
        **{
            name: getattr(here, name)
            for name in ("user", "client_id", "iat", "created_at", "last_seen_at", "expires_at")
        },
        issuer="https://other.example",
        subject="amber@other",
        sid="other",
    )
    other.save()

    assert Remark("hydra_unconfigured", "https://other.example") in force_logout(user=user(), dry_run=True).still_alive
    assert force_logout(user=user(), provider="default").steps[0].count == 1
    assert force_logout(user=user()).steps[0].count == 1
    assert not LoginSession.objects.exists()


@pytest.mark.usefixtures("two_providers")
def test_a_subject_needs_a_provider_if_there_are_several(hydra: FakeHydra) -> None:
    with pytest.raises(ValueError, match="several providers"):
        force_logout(subject="amber")

    hydra.sign_in("amber", "elsewhere", US)
    assert force_logout(subject="amber", provider="default").ok


@pytest.mark.parametrize(
    "whom", [{}, {"subject": ""}, {"subject": "amber", "sid": "s"}, {"subject": "amber", "user": User(pk=1)}]
)
def test_the_arguments_must_be_clear(hydra: FakeHydra, whom: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Exactly one"):
        force_logout(**whom)


def test_an_unknown_provider_is_an_error(hydra: FakeHydra) -> None:
    with pytest.raises(ValueError, match="no provider 'defualt'"):
        force_logout(subject="amber", provider="defualt")


def test_a_named_provider_without_hydra_needs_no_call(hydra: FakeHydra, settings: Any) -> None:
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    second = {name: default[name] for name in default if name != "HYDRA"} | {"CLIENT_ID": "second"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": default, "second": second}}

    result = force_logout(subject="amber", provider="second")

    assert hydra.calls == []
    assert codes(result.still_alive) == ["hydra_unconfigured"]


# A site that is Hydra's login page


def test_the_documented_example_ends_the_subject_at_hydra_and_the_sessions_here(
    hydra: FakeHydra, new_browser: NewBrowser, settings: Any, tmp_path: Path
) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "force-logout.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "documented.py").write_text(next(block for block in blocks if "subject_of" in block))
    settings.ORY_HYDRA_UI = {"ADMIN_URL": URL}
    cedar, willow = User.objects.create_user("cedar"), User.objects.create_user("willow")
    for someone in (cedar, willow):
        new_browser().force_login(someone, "django.contrib.auth.backends.ModelBackend")
        hydra.sign_in(str(someone.pk), someone.username, "mail")

    runpy.run_path(str(tmp_path / "documented.py"))["force_out"](cedar)

    assert hydra.told == [("mail", "cedar")]
    assert list(hydra.logins) == ["willow"]
    assert [session.get_decoded()["_auth_user_id"] for session in Session.objects.all()] == [str(willow.pk)]


# One login session


def test_only_the_named_login_session_ends(
    amber: SiteBrowser, new_browser: NewBrowser, hydra: FakeHydra, sid: str
) -> None:
    second = new_browser()
    second.sign_in("amber")
    hydra.sign_in("amber", second.user["sid"], US)

    result = force_logout(sid=sid)

    assert amber.user is None
    assert second.user is not None
    assert hydra.calls == [KEYS, f"{LOGIN}?sid={sid}"]
    assert outcomes(result) == [("local", "done", ""), ("sid", "done", "")]
    assert codes(result.still_alive) == ["tokens_of_login"]
    assert codes(result.unknown) == ["unremembered", "delivery"]


def test_a_login_session_ends_through_any_registration_with_hydra(hydra: FakeHydra, settings: Any) -> None:
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    first = {name: default[name] for name in default if name != "HYDRA"} | {"CLIENT_ID": "first"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"first": first, "default": default}}

    force_logout(sid="elsewhere")

    assert hydra.calls == [KEYS, f"{LOGIN}?sid=elsewhere"]


def test_a_login_session_without_hydra_ends_here_only(amber: SiteBrowser) -> None:
    result = force_logout(sid=amber.user["sid"])

    assert amber.user is None
    assert codes(result.still_alive) == ["hydra_unconfigured", "tokens_of_login"]


# Consents only, tokens only


def test_consents_of_all_applications_are_revoked(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    result = revoke_consents(user=user())

    assert hydra.consents == []
    assert list(hydra.logins) == [sid]
    assert amber.user is not None
    assert outcomes(result) == [("client", "done", ""), ("consents", "done", "")]
    assert codes(result.still_alive) == ["login_sessions_kept", "recipients_lost"]


def test_consents_of_one_application_are_revoked(hydra: FakeHydra, sid: str) -> None:
    revoke_consents(subject="amber", client_id="mail")

    assert [consent.client_id for consent in hydra.consents] == [US]


def test_consents_of_a_pairwise_subject_are_not_found(hydra: FakeHydra, sid: str) -> None:
    hydra.clients[US]["subject_type"] = "pairwise"

    result = revoke_consents(user=user())

    assert not result.ok
    assert len(hydra.consents) == 2


def test_consents_need_hydra(amber: SiteBrowser) -> None:
    assert codes(revoke_consents(user=user()).still_alive) == ["hydra_unconfigured"]


def test_consents_need_a_subject(hydra: FakeHydra) -> None:
    with pytest.raises(ValueError, match="Exactly one"):
        revoke_consents(client_id="mail")


def test_access_tokens_of_an_application_are_deleted(hydra: FakeHydra) -> None:
    result = revoke_access_tokens("mail")

    assert hydra.calls == [KEYS, "GET /admin/clients/mail", "DELETE /admin/oauth2/tokens?client_id=mail"]
    assert result.ok
    assert result.still_alive == (Remark("refresh_tokens", "mail"),)


def test_access_tokens_need_hydra() -> None:
    assert codes(revoke_access_tokens("mail").still_alive) == ["hydra_unconfigured"]


# The result


def test_every_remark_has_a_text_with_its_target() -> None:
    for code in report.WORDS:
        assert "{" not in Remark(code, "x").text


def test_texts_are_translated_when_they_are_read(amber: SiteBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    result = force_logout(user=user())
    monkeypatch.setattr(trans_real.DjangoTranslation, "gettext", lambda self, message: f"{self.language()}: {message}")

    with translation.override("de"):
        assert result.still_alive[0].text.startswith("de: ")


@override_settings(LANGUAGE_CODE="en")
def test_the_result_becomes_a_document(amber: SiteBrowser, hydra: FakeHydra, sid: str) -> None:
    hydra.broken = {f"{LOGIN}?", CONSENT}

    document = force_logout(subject="amber").as_dict()

    assert document["ok"] is document["dry_run"] is False
    assert document["steps"][0] == {"name": "local", "target": "amber", "outcome": "done", "count": 1}
    assert document["steps"][-1] == {
        "name": "consents",
        "target": "amber",
        "outcome": "failed",
        "code": "unreachable",
    }
    assert document["steps"][3]["outcome"] == "retried"
    assert document["untold"] == [{"sid": sid, "provider": "default"}]
    assert document["still_alive"][2:] == [
        {
            "code": "tokens",
            "target": "amber",
            "text": "Access and refresh tokens of amber: they work until they expire or are revoked.",
        }
    ]


def test_a_database_fault_is_reported_as_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> list[Any]:
        raise RuntimeError

    monkeypatch.setattr("django_ory_logout.force.people", fail)

    step = force_logout(subject="amber").steps[0]

    assert (step.name, step.outcome, step.code, step.detail) == (StepName.INDEX, Outcome.FAILED, "internal_error", "")
