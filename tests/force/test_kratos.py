"""Forced logout of users who sign in with Kratos, alone or as the login page of Hydra."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import DatabaseError

from django_ory_logout.force import force_logout, revoke_access_tokens, revoke_consents
from django_ory_logout.force.report import ForcedLogout, Remark, Untold
from django_ory_logout.models import LoginSession, LogoutReceipt, Subject
from django_ory_logout.sessions import receipts
from django_ory_logout.testing import Kratos, KratosNetwork, Network, Provider, connect, connect_kratos
from django_ory_logout.testing.http import Answer, Request
from django_ory_logout.testing.kratos import Identity, Session, login_session, sign_in_by

from ..conftest import Configure, Logged, SiteBrowser

pytestmark = pytest.mark.django_db

US = django_settings.CLIENT_ID
HYDRA_URL, KRATOS_URL, KRATOS_ADMIN_URL = "http://hydra:4445", "https://login.example", "http://kratos:4434"
NOBODY = "00000000-0000-4000-8000-000000000000"

Break = Callable[..., None]
SignIn = Callable[..., SiteBrowser]


@pytest.fixture
def kratos() -> Kratos:
    return Kratos(KRATOS_URL)


@pytest.fixture
def kratos_network(kratos: Kratos) -> Iterator[KratosNetwork]:
    """Routes requests to ``kratos``, records them, and can fail."""
    with connect_kratos(kratos, KRATOS_URL, KRATOS_ADMIN_URL) as kratos_network:
        yield kratos_network


@pytest.fixture
def middleware(settings: Any) -> None:
    after = settings.MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1
    settings.MIDDLEWARE = [*settings.MIDDLEWARE]
    settings.MIDDLEWARE.insert(after, "django_ory_logout.middleware.KratosMiddleware")


def in_kratos(admin_url: str = KRATOS_ADMIN_URL) -> dict[str, Any]:
    return {"KRATOS": {"PUBLIC_URL": KRATOS_URL, "ADMIN_URL": admin_url}}


@pytest.fixture
def alone(settings: Any, middleware: None, kratos_network: KratosNetwork) -> KratosNetwork:
    """Users sign in with Kratos only."""
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": in_kratos()}}
    return kratos_network


@pytest.fixture
def hydra(
    configure: Configure, middleware: None, kratos_network: KratosNetwork, provider: Provider, kratos: Kratos
) -> Iterator[Network]:
    """Users sign in with Hydra and Kratos as its login page, or here by Kratos' cookie."""
    configure(HYDRA={"ADMIN_URL": HYDRA_URL}, **in_kratos())
    sign_in_by(provider, kratos)
    with connect(provider, HYDRA_URL) as hydra:
        yield hydra


@pytest.fixture
def amber(kratos: Kratos) -> Identity:
    return kratos.identity("amber@example.org")


@pytest.fixture
def session(kratos: Kratos, amber: Identity) -> Session:
    return kratos.sign_in(amber)


def browser_with(session: Session) -> SiteBrowser:
    """A browser with the cookie of a session at Kratos. It signs in at its first request."""
    browser = SiteBrowser()
    browser.cookies["ory_kratos_session"] = session.cookie
    return browser


@pytest.fixture
def browser(kratos_network: KratosNetwork, session: Session) -> SiteBrowser:
    return browser_with(session)


@pytest.fixture
def fail(kratos_network: KratosNetwork, monkeypatch: pytest.MonkeyPatch) -> Break:
    """Kratos' admin API fails for this method, from this page on."""
    answer = kratos_network._answer

    def fail(method: str, page: str = "") -> None:
        def broken(request: Request, *further: Any) -> Answer:
            if (
                request.method == method
                and request.path.startswith("/admin/")
                and page in request.query.get("page", "")
            ):
                return Answer(500, {"Content-Type": "text/plain"}, b"fault")
            return answer(request, *further)

        monkeypatch.setattr(kratos_network, "_answer", broken)

    return fail


def user() -> User:
    return User.objects.get(pk=Subject.objects.get().user_id)


def outcomes(result: ForcedLogout) -> list[tuple[str, str, str]]:
    return [(step.name.value, step.outcome.value, step.code) for step in result.steps]


def codes(remarks: tuple[Remark, ...]) -> list[str]:
    return [remark.code for remark in remarks]


def admin_calls(kratos_network: KratosNetwork) -> list[str]:
    return [
        f"{call.method} {call.url.removeprefix(KRATOS_ADMIN_URL)}"
        for call in kratos_network.calls
        if call.url.startswith(KRATOS_ADMIN_URL)
    ]


def sessions_path(identity: Identity) -> str:
    return f"/admin/identities/{identity.id}/sessions"


# Users of Kratos alone


def test_sessions_of_a_user_end_here_and_then_at_kratos(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, session: Session, browser: SiteBrowser
) -> None:
    kratos.sign_in(amber)
    assert browser.user["sid"] == session.id

    result = force_logout(user=user())

    assert browser.user is None
    assert kratos.sessions_of(amber.id) == []
    assert outcomes(result) == [
        ("local", "done", ""),
        ("kratos_list", "done", ""),
        ("kratos_refused", "done", ""),
        ("kratos_sessions", "done", ""),
    ]
    assert [step.count for step in result.steps] == [1, 2, 2, None]
    assert admin_calls(alone) == [
        f"GET {sessions_path(amber)}?active=true&per_page=100&page=1",
        f"DELETE {sessions_path(amber)}",
    ]
    assert result.still_alive == ()
    assert codes(result.unknown) == ["other_sessions", "kratos_tells_nobody"]


@pytest.mark.parametrize("provider", [None, "default"])
def test_a_subject_ends_like_its_user(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, browser: SiteBrowser, provider: str | None
) -> None:
    assert browser.user

    result = force_logout(subject=amber.id, provider=provider)

    assert result.ok
    assert browser.user is None
    assert kratos.sessions_of(amber.id) == []


def test_the_user_can_sign_in_again_at_once(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, session: Session, browser: SiteBrowser
) -> None:
    assert browser.user
    force_logout(user=user())

    again = kratos.sign_in(amber)

    assert browser_with(again).user["sid"] == again.id
    assert browser.user is None


def test_other_users_stay_signed_in(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, browser: SiteBrowser
) -> None:
    birch = browser_with(kratos.sign_in(kratos.identity("birch@example.org")))
    assert birch.user
    assert browser.user

    force_logout(subject=amber.id)

    assert birch.user is not None


def test_it_can_be_repeated(alone: KratosNetwork, amber: Identity, browser: SiteBrowser) -> None:
    assert browser.user
    force_logout(user=user())

    again = force_logout(user=user())

    assert again.ok
    assert [(name, outcome) for name, outcome, _ in outcomes(again)] == [
        ("local", "done"),
        ("kratos_list", "done"),
        ("kratos_sessions", "done"),
    ]
    assert "identity_unlisted" not in codes(again.unknown)


def test_sessions_of_all_pages_are_refused_and_ended(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, fail: Break
) -> None:
    opened = [kratos.sign_in(amber) for _ in range(101)]
    fail("DELETE")

    result = force_logout(subject=amber.id)

    assert [step.count for step in result.steps[:3]] == [0, 101, 101]
    assert all(receipts.is_logged_out(KRATOS_URL, held.id) for held in opened)
    assert all(receipt.completed_at for receipt in LogoutReceipt.objects.all())
    assert len(admin_calls(alone)) == 3


def test_sessions_of_an_inactive_identity_stay_ended(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, browser: SiteBrowser
) -> None:
    assert browser.user
    amber.state = "inactive"

    result = force_logout(user=user())
    amber.state = "active"

    assert result.steps[1].count == 1
    assert kratos.sessions_of(amber.id) == []
    assert browser.user is None


def test_a_session_that_stays_active_signs_nobody_in_here_and_a_new_one_does(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, browser: SiteBrowser, fail: Break, logged: Logged
) -> None:
    elsewhere = kratos.sign_in(amber)
    assert browser.user
    fail("DELETE")

    result = force_logout(user=user())

    assert ("kratos_sessions", "failed", "kratos_fault") in outcomes(result)
    assert not result.ok
    assert result.still_alive == (Remark("kratos_sessions", amber.id),)
    assert logged()[0].startswith("forced logout: step kratos_sessions failed: kratos_fault")
    assert kratos.is_active(elsewhere)
    assert browser.user is None
    assert browser_with(elsewhere).user is None
    assert browser_with(kratos.sign_in(amber)).user is not None


def test_the_receipt_lasts_as_long_as_the_session(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, session: Session
) -> None:
    force_logout(subject=amber.id)

    receipt = LogoutReceipt.objects.get()
    assert receipt.expires_at.timestamp() == pytest.approx(
        session.expires_at + receipts.LIFETIME.total_seconds(), abs=1
    )


def test_local_sessions_end_although_kratos_is_unreachable(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, browser: SiteBrowser
) -> None:
    elsewhere = kratos.sign_in(amber)
    assert browser.user
    alone.down()

    result = force_logout(user=user())
    alone.mend()

    assert outcomes(result) == [
        ("local", "done", ""),
        ("kratos_list", "failed", "unreachable"),
        ("kratos_sessions", "failed", "unreachable"),
    ]
    assert codes(result.still_alive) == ["kratos_sessions"]
    assert Remark("kratos_listing_incomplete", amber.id) in result.unknown
    assert browser.user is None
    assert browser_with(elsewhere).user is not None  # the remark says so


def test_an_incomplete_list_is_used_and_all_its_sessions_end(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, fail: Break
) -> None:
    opened = [kratos.sign_in(amber) for _ in range(101)]
    fail("GET", page="2")

    result = force_logout(subject=amber.id)

    assert outcomes(result)[1:] == [
        ("kratos_list", "failed", "kratos_fault"),
        ("kratos_refused", "done", ""),
        ("kratos_sessions", "done", ""),
    ]
    assert [receipts.is_logged_out(KRATOS_URL, held.id) for held in opened] == [False] + 100 * [True]
    assert kratos.sessions_of(amber.id) == []
    assert Remark("kratos_listing_incomplete", amber.id) in result.unknown


def test_a_database_fault_does_not_stop_kratos(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record_logout(*_: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(receipts, "record_logout", record_logout)

    result = force_logout(subject=amber.id)

    assert ("kratos_refused", "failed", "database_fault") in outcomes(result)
    assert kratos.sessions_of(amber.id) == []


def test_without_an_admin_url_only_this_site_ends_its_sessions(
    alone: KratosNetwork, kratos: Kratos, session: Session, browser: SiteBrowser, settings: Any
) -> None:
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": in_kratos(admin_url="")}}
    assert browser.user

    result = force_logout(user=user())

    assert outcomes(result) == [("local", "done", "")]
    assert result.still_alive == (Remark("kratos_unconfigured", KRATOS_URL),)
    assert kratos.is_active(session)
    assert browser.user is None


def test_an_empty_list_may_come_from_another_kratos(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, browser: SiteBrowser
) -> None:
    assert browser.user
    kratos.delete_sessions(amber.id)

    result = force_logout(user=user())

    assert result.ok
    assert Remark("identity_unlisted", amber.id) in result.unknown


def test_dry_run_lists_and_ends_nothing(
    alone: KratosNetwork, kratos: Kratos, session: Session, browser: SiteBrowser
) -> None:
    assert browser.user

    result = force_logout(user=user(), dry_run=True)

    assert outcomes(result) == [
        ("local", "planned", ""),
        ("kratos_list", "done", ""),
        ("kratos_refused", "planned", ""),
        ("kratos_sessions", "planned", ""),
    ]
    assert [step.count for step in result.steps] == [1, 1, 1, None]
    assert {call.split()[0] for call in admin_calls(alone)} == {"GET"}
    assert not LogoutReceipt.objects.exists()
    assert kratos.is_active(session)
    assert browser.user is not None


def test_a_user_that_kratos_does_not_know_is_reported(alone: KratosNetwork) -> None:
    result = force_logout(user=User.objects.create_user("cedar"))

    assert outcomes(result) == [("kratos_sessions", "failed", "subject_unknown"), ("local", "done", "")]
    assert admin_calls(alone) == []


def test_a_subject_that_is_no_identity_is_reported(alone: KratosNetwork) -> None:
    result = force_logout(subject="amber")

    assert outcomes(result) == [("local", "not_known", "")]
    assert Remark("identity_unknown", "amber") in result.unknown
    assert admin_calls(alone) == []


def test_subjects_of_hydra_alone_are_not_sent_to_kratos(alone: KratosNetwork, browser: SiteBrowser) -> None:
    assert browser.user

    assert revoke_consents(user=user()).steps == ()
    with pytest.raises(ValueError, match="no OpenID provider"):
        revoke_access_tokens("mail")
    with pytest.raises(ValueError, match="no OpenID provider"):
        revoke_access_tokens("mail", provider="default")
    with pytest.raises(ValueError, match="no provider 'defualt'"):
        force_logout(sid=NOBODY, provider="defualt")


# One session at Kratos


def test_only_the_named_session_ends(
    alone: KratosNetwork, kratos: Kratos, amber: Identity, session: Session, browser: SiteBrowser
) -> None:
    second = browser_with(kratos.sign_in(amber))
    assert browser.user
    assert second.user

    result = force_logout(sid=session.id)

    assert outcomes(result) == [("local", "done", ""), ("kratos_session", "done", "")]
    assert result.steps[0].count == 1
    assert admin_calls(alone) == [f"DELETE /admin/sessions/{session.id}"]
    assert not kratos.is_active(session)
    assert browser.user is None
    assert second.user is not None
    assert (result.still_alive, codes(result.unknown)) == ((), ["kratos_tells_nobody"])


@pytest.mark.parametrize("has_row", [True, False])
def test_a_named_session_that_stays_active_signs_nobody_in(
    alone: KratosNetwork, kratos: Kratos, session: Session, browser: SiteBrowser, fail: Break, has_row: bool
) -> None:
    assert not has_row or browser.user
    fail("DELETE")

    result = force_logout(sid=session.id, provider="default")

    assert not result.ok
    assert (result.still_alive, result.untold) == ((Remark("kratos_session", session.id),), ())
    assert kratos.is_active(session)
    assert browser.user is None
    assert LogoutReceipt.objects.count() == 1


@pytest.mark.parametrize("sid", [NOBODY, "no id of Kratos"])
def test_an_unknown_session_is_not_reported_as_ended(alone: KratosNetwork, sid: str) -> None:
    result = force_logout(sid=sid)

    assert outcomes(result) == [("local", "not_known", ""), ("kratos_session", "not_known", "")]
    assert not result.ok


def test_a_session_that_has_ended_is_no_failure(
    alone: KratosNetwork, kratos: Kratos, browser: SiteBrowser, session: Session
) -> None:
    assert browser.user
    assert force_logout(sid=session.id).ok
    assert force_logout(sid=session.id).ok


def test_a_refusal_of_kratos_to_end_a_session_is_a_failure(alone: KratosNetwork, session: Session) -> None:
    alone.replace(f"/admin/sessions/{session.id}", status=403)

    assert outcomes(force_logout(sid=session.id))[-1] == ("kratos_session", "failed", "kratos_unauthorized")


def test_a_session_without_an_admin_url_ends_here_only(
    alone: KratosNetwork, session: Session, browser: SiteBrowser, settings: Any
) -> None:
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": in_kratos(admin_url="")}}

    result = force_logout(sid=session.id)

    assert codes(result.still_alive) == ["kratos_unconfigured"]
    assert browser.user is None


def test_dry_run_of_one_session_ends_nothing(alone: KratosNetwork, session: Session, browser: SiteBrowser) -> None:
    assert browser.user

    result = force_logout(sid=session.id, dry_run=True)

    assert outcomes(result) == [("local", "planned", ""), ("kratos_session", "planned", "")]
    assert admin_calls(alone) == []
    assert browser.user is not None


# Hydra with Kratos as its login page


@pytest.fixture
def at_hydra(hydra: Network, provider: Provider, kratos: Kratos, session: Session, signed_in: SignIn) -> SiteBrowser:
    """Amber, signed in here through Hydra, with the cookie of her session at Kratos."""
    return signed_in(session)


@pytest.fixture
def signed_in(hydra: Network, provider: Provider, kratos: Kratos) -> SignIn:
    def signed_in(session: Session) -> SiteBrowser:
        browser = SiteBrowser(hydra)
        browser.sign_in(session.identity.id, login_session=login_session(provider, kratos, session, US))
        browser.cookies["ory_kratos_session"] = session.cookie
        return browser

    return signed_in


ALL_STEPS = [
    "local",
    "kratos_list",
    "kratos_refused",
    "kratos_sessions",
    "client",
    "list",
    "sid",
    "subject",
    "consents",
]


def test_kratos_comes_before_hydra(
    hydra: Network, provider: Provider, kratos: Kratos, amber: Identity, at_hydra: SiteBrowser
) -> None:
    assert at_hydra.user["issuer"] == django_settings.ISSUER

    result = force_logout(user=user())

    assert at_hydra.user is None
    assert kratos.sessions_of(amber.id) == []
    assert (provider.login_sessions, provider.consents) == ({}, [])
    assert [delivery.client_id for delivery in hydra.deliveries] == [US]
    assert [(name, outcome) for name, outcome, _ in outcomes(result)] == [(name, "done") for name in ALL_STEPS]
    assert result.still_alive == ()
    assert "identity_provider" not in codes(result.unknown)


def test_a_user_signed_in_by_the_kratos_cookie_ends_at_hydra_too(
    hydra: Network, provider: Provider, kratos: Kratos, amber: Identity, session: Session, browser: SiteBrowser
) -> None:
    assert browser.user["issuer"] == KRATOS_URL
    login_session(provider, kratos, session, US)

    result = force_logout(user=user())

    assert result.ok
    assert provider.login_sessions == {}
    assert [delivery.client_id for delivery in hydra.deliveries] == [US]
    assert kratos.sessions_of(amber.id) == []


def test_rows_of_the_same_identity_end_for_each_user(
    hydra: Network,
    kratos: Kratos,
    amber: Identity,
    at_hydra: SiteBrowser,
    browser: SiteBrowser,
    kratos_network: KratosNetwork,
) -> None:
    assert browser.user["username"] != at_hydra.user["username"]  # two users, because they are not associated
    kratos_network.down()

    force_logout(user=Subject.objects.get(issuer=django_settings.ISSUER).user)
    kratos_network.mend()

    assert not LoginSession.objects.exists()
    assert browser.user is None


def test_a_subject_ends_at_both(
    hydra: Network, provider: Provider, kratos: Kratos, amber: Identity, at_hydra: SiteBrowser
) -> None:
    result = force_logout(subject=amber.id)

    assert [name for name, _, _ in outcomes(result)] == ALL_STEPS
    assert at_hydra.user is None
    assert provider.login_sessions == {}


def test_a_kratos_session_that_stays_active_behind_hydra_signs_nobody_in_here(
    hydra: Network, kratos: Kratos, amber: Identity, session: Session, at_hydra: SiteBrowser, fail: Break
) -> None:
    fail("DELETE")

    result = force_logout(user=user())

    assert ("sid", "done", "") in outcomes(result)
    assert "kratos_sessions" in codes(result.still_alive)
    assert Remark("identity_provider", amber.id) in result.unknown
    session.active = True  # Hydra has ended it already
    assert at_hydra.user is None
    assert browser_with(kratos.sign_in(amber)).user is not None


def test_a_fault_of_kratos_does_not_stop_hydra(
    hydra: Network, provider: Provider, amber: Identity, at_hydra: SiteBrowser, kratos_network: KratosNetwork
) -> None:
    kratos_network.down()

    result = force_logout(user=user())

    assert [(name, outcome) for name, outcome, _ in outcomes(result)] == [
        ("local", "done"),
        ("kratos_list", "failed"),
        ("kratos_sessions", "failed"),
        *((name, "done") for name in ALL_STEPS[4:]),
    ]
    assert provider.login_sessions == {}
    assert "identity_provider" in codes(result.unknown)


def test_a_fault_of_hydra_does_not_stop_kratos(
    hydra: Network, kratos: Kratos, amber: Identity, at_hydra: SiteBrowser
) -> None:
    sid = at_hydra.user["sid"]
    hydra.down()

    result = force_logout(user=user())

    assert kratos.sessions_of(amber.id) == []
    assert at_hydra.user is None
    assert result.untold == (Untold(sid, "default"),)
    assert "identity_provider" not in codes(result.unknown)


def test_the_remaining_steps_at_hydra_can_be_done_later(
    hydra: Network, provider: Provider, kratos_network: KratosNetwork, at_hydra: SiteBrowser
) -> None:
    hydra.down()
    (left,) = force_logout(user=user()).untold
    hydra.mend()

    assert force_logout(sid=left.sid, provider=left.provider).ok
    assert provider.login_sessions == {}


def test_a_pairwise_subject_is_no_identity(
    hydra: Network, provider: Provider, kratos: Kratos, session: Session, signed_in: SignIn
) -> None:
    provider.register(replace(provider.clients[US], subject_type="pairwise"))
    browser = signed_in(session)
    subject = browser.user["subject"]

    result = force_logout(user=user())

    assert Remark("identity_unknown", subject) in result.unknown
    assert Remark("identity_provider", subject) in result.unknown
    assert [(name, code) for name, outcome, code in outcomes(result) if outcome == "failed"] == [
        ("subject", "subject_pairwise")
    ]
    assert not any(name.startswith("kratos") for name, _, _ in outcomes(result))


def test_dry_run_at_both_ends_nothing(
    hydra: Network, provider: Provider, kratos: Kratos, at_hydra: SiteBrowser
) -> None:
    result = force_logout(user=user(), dry_run=True)

    assert [name for name, _, _ in outcomes(result)] == ALL_STEPS
    assert at_hydra.user is not None
    assert len(provider.login_sessions) == 1
    assert all(kratos.is_active(held) for held in kratos.sessions.values())
    assert "identity_provider" not in codes(result.unknown)


def test_one_login_session_at_hydra_needs_no_call_at_kratos(
    hydra: Network, provider: Provider, at_hydra: SiteBrowser, kratos_network: KratosNetwork
) -> None:
    sid = at_hydra.user["sid"]

    result = force_logout(sid=sid)

    assert at_hydra.user is None or at_hydra.user["issuer"] == KRATOS_URL
    assert [name for name, _, _ in outcomes(result)] == ["local", "sid"]
    assert provider.login_sessions == {}
    assert admin_calls(kratos_network) == []
    assert Remark("counterpart", sid) in result.unknown


def test_one_session_at_kratos_needs_no_call_at_hydra(
    hydra: Network, kratos: Kratos, session: Session, browser: SiteBrowser
) -> None:
    assert browser.user["issuer"] == KRATOS_URL

    result = force_logout(sid=session.id)

    assert [name for name, _, _ in outcomes(result)] == ["local", "kratos_session"]
    assert not kratos.is_active(session)
    assert hydra.calls == []
    assert (result.still_alive, codes(result.unknown)) == ((), ["kratos_tells_nobody", "counterpart"])


def test_an_unknown_sid_is_tried_at_both(
    hydra: Network, kratos: Kratos, session: Session, browser: SiteBrowser
) -> None:
    result = force_logout(sid=session.id)

    assert [name for name, _, _ in outcomes(result)] == ["local", "kratos_session", "sid"]
    assert not kratos.is_active(session)
    assert browser.user is None


def test_consents_only_makes_no_call_at_kratos(
    hydra: Network,
    provider: Provider,
    amber: Identity,
    browser: SiteBrowser,
    session: Session,
    kratos_network: KratosNetwork,
) -> None:
    assert browser.user
    provider.sign_in(amber.id, US, "mail")

    result = revoke_consents(user=user(), client_id="mail")

    assert [consent.client_id for consent in provider.consents] == [US]
    assert codes(result.still_alive) == ["login_sessions_kept", "recipients_lost"]
    assert admin_calls(kratos_network) == []


# A Kratos next to an independent Hydra


@pytest.fixture
def independent(settings: Any, hydra: Network, provider: Provider) -> None:
    entry = {name: value for name, value in settings.ORY_LOGOUT["PROVIDERS"]["default"].items() if name != "KRATOS"}
    providers = {"hydra": entry, "kratos": in_kratos()}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": providers}


@pytest.mark.usefixtures("independent")
def test_a_user_of_kratos_is_unknown_at_an_independent_hydra(
    hydra: Network, amber: Identity, kratos: Kratos, browser: SiteBrowser
) -> None:
    assert browser.user

    result = force_logout(user=user())

    assert result.ok
    assert hydra.calls == []
    assert kratos.sessions_of(amber.id) == []
    assert [(name, code) for name, _, code in outcomes(revoke_consents(user=user()))] == [
        ("subject", "subject_unknown")
    ]


@pytest.mark.usefixtures("independent")
def test_a_subject_or_sid_needs_a_named_provider(hydra: Network, kratos: Kratos, amber: Identity) -> None:
    with pytest.raises(ValueError, match="several providers"):
        force_logout(subject=amber.id)
    with pytest.raises(ValueError, match="several providers"):
        force_logout(sid=NOBODY)

    kratos.sign_in(amber)
    assert force_logout(subject=amber.id, provider="kratos").ok
    assert hydra.calls == []
    assert kratos.sessions_of(amber.id) == []


@pytest.mark.usefixtures("independent")
def test_a_user_ends_only_at_the_named_provider(
    hydra: Network, kratos: Kratos, browser: SiteBrowser, session: Session
) -> None:
    assert browser.user
    Subject.objects.create(user=user(), issuer=django_settings.ISSUER, subject="amber")

    result = force_logout(user=Subject.objects.get(subject="amber").user, provider="hydra")

    assert browser.user is not None
    assert kratos.is_active(session)
    assert "kratos_list" not in [name for name, _, _ in outcomes(result)]


@pytest.mark.usefixtures("independent")
def test_access_tokens_belong_to_the_independent_hydra(hydra: Network) -> None:
    assert revoke_access_tokens(US).ok
    with pytest.raises(ValueError, match="no OpenID provider"):
        revoke_access_tokens("mail", provider="kratos")


def test_an_entry_of_the_same_kratos_alone_means_no_hydra(
    hydra: Network, kratos: Kratos, amber: Identity, browser: SiteBrowser, settings: Any
) -> None:
    providers = {**settings.ORY_LOGOUT["PROVIDERS"], "kratos": in_kratos()}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": providers}
    assert browser.user

    result = force_logout(user=user(), provider="kratos")

    assert kratos.sessions_of(amber.id) == []
    assert (hydra.calls, result.still_alive) == ([], ())
