"""``ory_doctor --try``: its rows for a working set-up and for broken ones. It leaves nothing behind."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import StringIO
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.utils import timezone

from django_ory_logout.backends import ProviderBackend
from django_ory_logout.doctor import Finding, Verdict, explain
from django_ory_logout.doctor.findings import CheckResult, passed
from django_ory_logout.doctor.trial import cleanup, hydra_user, runner
from django_ory_logout.doctor.trial.interrupts import raising_keyboard_interrupt
from django_ory_logout.doctor.trial.runner import ROWS, HydraTrial, run_trials
from django_ory_logout.flows import logout
from django_ory_logout.management.commands import ory_doctor
from django_ory_logout.models import LoginSession, LogoutEvent, LogoutReceipt, Subject, digest
from django_ory_logout.ory.hydra import HydraAdmin
from django_ory_logout.sessions import opening
from django_ory_logout.testing import Provider
from django_ory_logout.testing.hydra import end_session
from django_ory_logout.testing.network import connected
from django_ory_logout.testing.uris import set_query

from ...conftest import Configure
from ..hydra_network import ADMIN_URL, SITE_URL, HydraNetwork, forget_documents

pytestmark = pytest.mark.django_db

HYDRA_ROWS = [row for row in ROWS if row != "try.kratos"]
PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
PATCH = pytest.MonkeyPatch

Break = Callable[[HydraNetwork, Configure, PATCH], object]


@pytest.fixture
def hydra(provider: Provider, configure: Configure, monkeypatch: PATCH) -> Iterator[HydraNetwork]:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL})
    monkeypatch.setattr(runner, "NOTICE_SECONDS", 0.0)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.0)
    forget_documents()
    with connected(HydraNetwork(provider)) as hydra:
        yield hydra


def register(hydra: HydraNetwork, **changes: Any) -> None:
    """Change the registration of the site."""
    [client] = hydra.provider.clients.values()
    hydra.provider.register(replace(client, **changes))


def left() -> dict[str, int]:
    """Count the rows in the database."""
    kinds: list[Any] = [User, Session, LoginSession, LogoutReceipt, Subject, LogoutEvent]
    found = {kind.__name__: kind.objects.count() for kind in kinds}
    return {name: count for name, count in found.items() if count}


def said(found: Sequence[Finding], row: str) -> str:
    [finding] = [finding for finding in found if finding.check == row]
    return f"{finding.found} {finding.todo}"


# Working set-ups


def assert_well(hydra: HydraNetwork) -> None:
    found = list(run_trials())

    assert {finding.check: finding.verdict for finding in found} == dict.fromkeys(HYDRA_ROWS, PASS), found
    assert {finding.about for finding in found} == {"default"}
    assert left() == {}
    assert (hydra.provider.login_sessions, hydra.provider.consents) == ({}, [])


def test_a_working_set_up_is_green(hydra: HydraNetwork) -> None:
    assert_well(hydra)
    frames = [call for call in hydra.calls if "/frontchannel/" in call.url]
    assert [call.headers.get("Cookie") for call in frames] == [None]


def test_no_front_channel_is_green(hydra: HydraNetwork) -> None:
    register(hydra, frontchannel_logout_uri=None)

    assert_well(hydra)


def test_receivers_registered_without_last_slash_are_green(hydra: HydraNetwork) -> None:
    register(
        hydra,
        frontchannel_logout_uri=f"{SITE_URL}/auth/logout/frontchannel",
        backchannel_logout_uri=f"{SITE_URL}/auth/logout/backchannel",
    )

    assert_well(hydra)


def test_forms_are_green(hydra: HydraNetwork, configure: Configure) -> None:
    """The authorization response and the end session request are both forms."""
    configure(RESPONSE_MODE="form_post", END_SESSION_REQUEST_METHOD="POST")

    assert_well(hydra)
    posts = [call.url.partition("?")[0] for call in hydra.calls if call.method == "POST"]
    assert {f"{SITE_URL}/auth/callback/", "https://op.example/oauth2/sessions/logout"} <= set(posts)


def test_a_browser_that_ends_elsewhere_is_green(hydra: HydraNetwork, configure: Configure) -> None:
    elsewhere = "https://www.example/bye?a=1"
    configure(POST_LOGOUT_REDIRECT_URI=elsewhere)
    register(hydra, post_logout_redirect_uris=[elsewhere])

    assert_well(hydra)
    assert not [call for call in hydra.calls if call.url.startswith("https://www.example")]


def test_pairwise_subjects_are_green(hydra: HydraNetwork) -> None:
    register(hydra, subject_type="pairwise")

    assert_well(hydra)


def test_other_usernames_are_green(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    monkeypatch.setattr(ProviderBackend, "username", lambda _self, authentication: f"u-{authentication.subject}")

    assert_well(hydra)


def test_real_users_are_not_changed(hydra: HydraNetwork) -> None:
    amber = User.objects.create_user("amber")
    Subject.objects.create(user=amber, issuer=hydra.provider.issuer, subject="amber")
    theirs = hydra.provider.sign_in("amber", "django-site")

    list(run_trials())

    assert left() == {"User": 1, "Subject": 1}
    assert hydra.provider.login_sessions == {theirs.sid: theirs}
    assert [consent.login_session for consent in hydra.provider.consents] == [theirs]


# Broken set-ups


def path(name: str, **fault: Any) -> Break:
    """Another server answers for this path."""
    return lambda hydra, _configure, _patch: hydra.replace(name, **fault)


def registered(**changes: Any) -> Break:
    return lambda hydra, _configure, _patch: register(hydra, **changes)


def configured(**changes: Any) -> Break:
    return lambda _hydra, configure, _patch: configure(HYDRA={"ADMIN_URL": ADMIN_URL}, **changes)


def whoami(**changes: Any) -> Break:
    return lambda hydra, _configure, _patch: hydra.change("/auth/whoami/", lambda document: {**document, **changes})


def patched(where: Any, name: str, value: Any) -> Break:
    return lambda _hydra, _configure, patch: patch.setattr(where, name, value)


def redirecting(uri: str, **parameters: str) -> Break:
    """Hydra redirects the browser elsewhere after a logout."""
    return patched(end_session, "_redirect_uri", lambda *_args: set_query(uri, **parameters) if parameters else uri)


def not_remembered(hydra: HydraNetwork, _configure: Configure, patch: PATCH) -> None:
    accept = HydraAdmin.accept_login_request
    patch.setattr(
        HydraAdmin,
        "accept_login_request",
        lambda self, challenge, **said: accept(self, challenge, **{**said, "remember": False}),
    )


def without_backend(_hydra: HydraNetwork, _configure: Configure, patch: PATCH) -> None:
    patch.setattr(ProviderBackend, "authenticate", lambda *_args, **_kwargs: None)


def rotated(hydra: HydraNetwork, _configure: Configure, _patch: PATCH) -> None:
    hydra.replace("/.well-known/jwks.json", b'{"keys": []}')


def site_down_later(hydra: HydraNetwork, _configure: Configure, patch: PATCH) -> None:
    def backchannel(_attempt: HydraTrial) -> CheckResult:
        hydra.down("/auth/login/")
        return passed("")

    patch.setattr(HydraTrial, "backchannel", backchannel)


AFTER_SIGN_IN = dict.fromkeys(HYDRA_ROWS[1:-1], UNKNOWN)
SIGN_IN = {**AFTER_SIGN_IN, "try.sign_in": FAIL}
RP_INITIATED = {"try.rp_initiated": FAIL, "try.frontchannel": UNKNOWN, "try.returned": UNKNOWN}
GONE = f"{SITE_URL}/auth/logout/callback/"

BROKEN: dict[str, tuple[Break, dict[str, Verdict], str]] = {
    "no login page": (
        path("/auth/login/", status=404),
        SIGN_IN,
        f"{SITE_URL}/auth/login/ answers 404. This site did not redirect. See its log.",
    ),
    "no redirect URI": (
        registered(redirect_uris=["https://rp.example/elsewhere/"]),
        SIGN_IN,
        "sends the browser to https://op.example/error. Error: invalid_request The redirect_uri is not one",
    ),
    "no redirect URI, and what to do": (
        registered(redirect_uris=["https://rp.example/elsewhere/"]),
        SIGN_IN,
        "Hydra should send the browser to its login page. See registration.redirect_uri.",
    ),
    "no tokens": (
        rotated,
        SIGN_IN,
        f"{SITE_URL}/auth/callback/ answers 400. This site refused the sign-in: kid_unknown. Run manage.py",
    ),
    "nobody let in": (
        without_backend,
        SIGN_IN,
        "/auth/callback/ answers 403. This site refused the sign-in: user_refused. "
        "Run manage.py ory_doctor --explain user_refused.",
    ),
    "another page in place of the callback": (
        path("/auth/callback/", body=b"<h1>", status=200),
        SIGN_IN,
        "/auth/callback/ answers 200. This site did not redirect. See its log.",
    ),
    "consent refused": (
        lambda hydra, _configure, patch: patch.setattr(
            HydraAdmin,
            "accept_consent_request",
            lambda self, challenge, **_said: self.reject_consent_request(challenge, "access_denied", "no"),
        ),
        SIGN_IN,
        "https://rp.example/auth/callback/. Error: access_denied no Hydra should send the browser back",
    ),
    "cookies lost": (
        path("/auth/whoami/", body=b"{}", status=401),
        SIGN_IN,
        "/auth/whoami/ answers 401. The test user should be signed in now.",
    ),
    "whoami broken": (path("/auth/whoami/", status=500), SIGN_IN, "/auth/whoami/ answers 500. whoami should say"),
    "somebody else": (whoami(subject="amber"), SIGN_IN, "The test user should be signed in now."),
    "no sid": (whoami(sid=None), SIGN_IN, "The ID token has no sid"),
    "site down": (
        lambda hydra, _configure, _patch: hydra.down("/auth/login/"),
        SIGN_IN,
        f"unreachable: GET {SITE_URL}/auth/login/: ConnectionError",
    ),
    "discovery down": (
        lambda hydra, _configure, _patch: hydra.down("/.well-known/openid-configuration"),
        SIGN_IN,
        f"{SITE_URL}/auth/login/ answers 503. This site refused the sign-in: unreachable.",
    ),
    "issuer with a slash": (
        lambda hydra, _configure, _patch: hydra.provider.metadata.update(issuer="https://op.example/"),
        SIGN_IN,
        "/auth/login/ answers 500. This site refused the sign-in: issuer_mismatch.",
    ),
    "another site's login page": (
        path("/auth/login/", status=302, headers={"Location": "https://rp.example/accounts/login/"}),
        SIGN_IN,
        "sends the browser to https://rp.example/accounts/login/. The login page should send the browser to Hydra.",
    ),
    "admin API down": (
        lambda hydra, _configure, _patch: hydra.down("/admin/oauth2/auth/requests/login/accept"),
        SIGN_IN,
        f"unreachable: PUT {ADMIN_URL}/admin/oauth2/auth/requests/login/accept: ConnectionError",
    ),
    "no second sign-in": (
        site_down_later,
        RP_INITIATED,
        "unreachable: GET",
    ),
    "no back-channel URI": (
        registered(backchannel_logout_uri=None),
        {"try.backchannel": UNKNOWN},
        "No back-channel URI is registered. See registration.backchannel.",
    ),
    "back-channel URI elsewhere": (
        registered(backchannel_logout_uri=f"{SITE_URL}/elsewhere/"),
        {"try.backchannel": FAIL},
        "no notice came. See registration.backchannel",
    ),
    "notices refused": (
        configured(LOGOUT_TOKEN_EXP_REQUIRED=True),
        {"try.backchannel": FAIL},
        "This site refused the notice: exp_missing. Run manage.py ory_doctor --explain exp_missing.",
    ),
    "not remembered": (
        not_remembered,
        {"try.backchannel": FAIL, **RP_INITIATED},
        "no notice came",
    ),
    "no button": (
        path("/auth/logout/", body=b"<form action='/search/'><input name=q></form>"),
        RP_INITIATED,
        "/auth/logout/ answers 200. The logout page should have a form",
    ),
    "the session stays": (
        patched(logout, "end_current", lambda *_args: None),
        RP_INITIATED,
        "The session here should have ended first.",
    ),
    "no end session endpoint": (
        lambda hydra, _configure, _patch: hydra.provider.metadata.update(end_session_endpoint=None),
        RP_INITIATED,
        "/auth/logout/ answers 200. This site should send the browser to Hydra. See provider.endpoints",
    ),
    "no post-logout redirect URI": (
        registered(post_logout_redirect_uris=[]),
        RP_INITIATED,
        "for the client. Hydra should show its logout page.",
    ),
    "front-channel URI elsewhere": (
        registered(frontchannel_logout_uri=f"{SITE_URL}/elsewhere/"),
        {"try.frontchannel": FAIL},
        f"Hydra's page loads {SITE_URL}/elsewhere/, which is not the URL of this site. Run manage.py",
    ),
    "front channel broken": (
        path("/auth/logout/frontchannel/", status=500),
        {"try.frontchannel": FAIL},
        "/auth/logout/frontchannel/ answers 500. The frame should answer 200",
    ),
    "another sid in the frame": (
        lambda hydra, _configure, patch: patch.setattr(
            hydra.provider,
            "frontchannel_uris",
            lambda _sid: [f"{SITE_URL}/auth/logout/frontchannel/?iss=https://op.example&sid=another"],
        ),
        {"try.frontchannel": FAIL},
        "The sid of the frame is not the sid of the sign-in.",
    ),
    "no frame": (
        lambda hydra, _configure, patch: patch.setattr(hydra.provider, "frontchannel_uris", lambda _sid: []),
        {"try.frontchannel": FAIL},
        "Hydra's page loads no frame, although one is registered.",
    ),
    "left at Hydra": (
        redirecting("https://op.example/signed-out"),
        {"try.returned": FAIL},
        f"Hydra should send the browser to {GONE}.",
    ),
    "another state": (redirecting(GONE, state="another"), {"try.returned": FAIL}, "came back with another state"),
    "no way back": (
        path("/auth/logout/callback/", status=502),
        {"try.returned": FAIL},
        "/auth/logout/callback/ answers 502. This site should accept the return.",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_set_up_turns_its_rows_red(
    hydra: HydraNetwork, configure: Configure, monkeypatch: PATCH, what: str
) -> None:
    break_it, changed, words = BROKEN[what]
    break_it(hydra, configure, monkeypatch)

    found = list(run_trials())

    assert {row.check: row.verdict for row in found} == {**dict.fromkeys(HYDRA_ROWS, PASS), **changed}, found
    assert words in said(found, next(row for row in HYDRA_ROWS if row in changed))
    assert (hydra.provider.login_sessions, hydra.provider.consents) == ({}, [])
    assert not {"User", "LoginSession", "Subject"} & set(left())


def test_a_step_that_raises_is_unknown_and_its_text_is_hidden(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    def fail(_attempt: HydraTrial) -> None:
        raise DatabaseError("a secret")

    monkeypatch.setattr(HydraTrial, "_without_frames", fail)
    register(hydra, frontchannel_logout_uri=None)

    found = list(run_trials())

    assert said(found, "try.frontchannel") == "The step itself failed: DatabaseError. "


def test_the_run_waits_for_a_late_notice(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    monkeypatch.setattr(runner, "NOTICE_SECONDS", 5.0)
    late: list[Any] = []
    monkeypatch.setattr(hydra.face.backchannel, "deliver_in_background", late.extend)
    deliver = type(hydra.face.backchannel).deliver_in_background
    hydra.admin = replace(hydra.admin, deliver=late.extend)

    def sleep(_seconds: float) -> None:
        deliver(hydra.face.backchannel, late)
        late.clear()

    monkeypatch.setattr(time, "sleep", sleep)

    assert_well(hydra)
    assert late == [], "later events would remain"


# Another database


def test_a_site_with_another_database_is_detected(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    monkeypatch.setattr(hydra_user, "index", SimpleNamespace(rows=LoginSession.objects.none))

    found = list(run_trials())

    changed = {**SIGN_IN, "try.cleanup": FAIL}
    assert {finding.check: finding.verdict for finding in found} == changed
    assert said(found, "try.sign_in").startswith(
        "The site at the public URL uses another database than this command. Run"
    )
    assert said(found, "try.cleanup").startswith("Left of ory-doctor-")
    assert "in the other database" in said(found, "try.cleanup")
    assert (hydra.provider.login_sessions, hydra.provider.consents) == ({}, [])


def test_without_a_database_the_trial_does_not_start(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    def fail(_target: Any) -> None:
        raise DatabaseError("a secret")

    monkeypatch.setattr(runner, "leftover_test_users", fail)

    [finding] = run_trials()

    assert (finding.check, finding.verdict, finding.found) == ("try.sign_in", UNKNOWN, "See site.database.")
    assert hydra.calls == []


# Cleanup


def test_events_of_a_failed_trial_are_removed_from_the_log(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    without_backend(hydra, lambda **_changes: None, monkeypatch)
    before = LogoutEvent.objects.create(at=timezone.now(), kind="refused", code="sign-in: state_unknown")

    list(run_trials())

    assert list(LogoutEvent.objects.all()) == [before]


def test_counts_of_a_failed_trial_remain_and_are_reported(hydra: HydraNetwork, configure: Configure) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, LOGOUT_TOKEN_EXP_REQUIRED=True)

    found = list(run_trials())

    assert said(found, "try.cleanup") == "Nothing is left, except in history.refused: back-channel: exp_missing. "
    assert not LogoutEvent.objects.exists()


def test_counters_that_cannot_be_read_do_not_stop_the_cleanup(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    def fail() -> None:
        raise DatabaseError("a secret")

    monkeypatch.setattr("django_ory_logout.doctor.trial.cleanup.events.counts", fail)

    assert_well(hydra)


def test_the_next_trial_removes_rows_of_a_killed_one(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    monkeypatch.setattr(runner, "clean_up", lambda _user: passed("killed"))
    monkeypatch.setattr(HydraTrial, "backchannel", lambda _attempt: passed(""))
    monkeypatch.setattr(HydraTrial, "rp_initiated", lambda _attempt: passed(""))
    list(run_trials())
    monkeypatch.undo()
    amber = User.objects.create_user("amber")
    Subject.objects.create(user=amber, issuer=hydra.provider.issuer, subject="ory-doctor-of-mine")
    assert left()["Subject"] == 2
    assert hydra.provider.login_sessions

    found = list(run_trials())

    assert [finding.found for finding in found if finding.check == "try.cleanup"] == [
        "Earlier trial: Nothing is left, here and at Hydra.",
        "Nothing is left, here and at Hydra.",
    ]
    assert left() == {"User": 1, "Subject": 1}
    assert hydra.provider.login_sessions == {}


def test_a_failed_cleanup_is_reported(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    hydra.down("/admin/oauth2/auth/sessions/consent")

    found = list(run_trials())

    assert [finding.check for finding in found if finding.verdict == FAIL] == ["try.cleanup"]
    assert ": the consent at Hydra. Delete it by hand" in said(found, "try.cleanup")
    assert left() == {}


@pytest.mark.parametrize("known_before", ["another link", "joined before"])
def test_an_earlier_user_is_not_deleted(hydra: HydraNetwork, monkeypatch: PATCH, known_before: str) -> None:
    """For example, a backend of the site links the subject to an existing user."""
    amber = User.objects.create_user("amber", date_joined="2020-01-01T00:00Z")
    if known_before == "another link":
        User.objects.update(date_joined="2099-01-01T00:00Z")
        Subject.objects.create(user=amber, issuer=hydra.provider.issuer, subject="amber")
    monkeypatch.setattr(ProviderBackend, "_create_user", lambda *_args: amber)

    found = list(run_trials())

    assert [finding.check for finding in found if finding.verdict == FAIL] == ["try.cleanup"]
    assert ": the user." in said(found, "try.cleanup")
    assert list(User.objects.all()) == [amber]
    assert list(Subject.objects.values_list("subject", flat=True)) == (
        ["amber"] if known_before == "another link" else []
    )


def test_users_without_a_date_are_recognised_by_name() -> None:
    """A site's own user model may have no ``date_joined``."""

    def made(username: str) -> bool:
        user: Any = SimpleNamespace(get_username=lambda: username)
        link: Any = SimpleNamespace(issuer="https://op.example", subject="ory-doctor-1")
        trial_user: Any = SimpleNamespace(started=timezone.now())
        return cleanup._is_created_for(link, user, trial_user)

    assert made(digest("https://op.example", "ory-doctor-1")[:30])
    assert not made("amber")


def test_a_run_stopped_between_steps_cleans_up(hydra: HydraNetwork) -> None:
    found = run_trials()
    assert next(found).verdict == PASS
    assert left()["LoginSession"] == 1

    found.close()

    assert left() == {}
    assert hydra.provider.login_sessions == {}


def test_a_run_interrupted_in_a_step_cleans_up(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    def interrupt(_self: HydraAdmin, _sid: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(HydraAdmin, "revoke_login_session", interrupt)

    with pytest.raises(KeyboardInterrupt):
        list(run_trials())

    assert left() == {}


@pytest.fixture
def _default_signals() -> Iterator[None]:
    """Signals are not ignored. Under ``nohup`` and in the background they are."""
    ways: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, way) for number, way in ways.items()}
    yield
    for number, way in before.items():
        signal.signal(number, way)


@pytest.mark.usefixtures("_default_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_stop_the_cleanup(
    hydra: HydraNetwork, monkeypatch: PATCH, number: signal.Signals
) -> None:
    """An impatient user presses Ctrl-C twice."""
    clean_up = cleanup.clean_up

    def impatient(user: Any) -> CheckResult:
        signal.raise_signal(number)
        return clean_up(user)

    monkeypatch.setattr(HydraAdmin, "revoke_login_session", lambda *_args: signal.raise_signal(number))
    monkeypatch.setattr(runner, "clean_up", impatient)
    before = signal.getsignal(number)

    text, status = command()

    assert [line.split()[:2] for line in text.splitlines() if line[0] != " "] == [
        ["pass", "try.sign_in"],
        ["pass", "try.cleanup"],
    ]
    assert (left(), hydra.provider.login_sessions, status) == ({}, {}, 2)
    assert signal.getsignal(number) == before


def test_a_stopped_run_reports_its_cleanup_in_json(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    monkeypatch.setattr(HydraAdmin, "revoke_login_session", lambda *_args: signal.raise_signal(signal.SIGTERM))

    [row] = json.loads(command("--json")[0])

    assert (row["check"], row["verdict"]) == ("try.cleanup", "pass")


def test_ignored_signals_stay_ignored(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    """As under nohup."""
    monkeypatch.setattr(HydraAdmin, "revoke_login_session", lambda *_args: signal.raise_signal(signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert [line.split()[1] for line in command()[0].splitlines() if line[0] != " "] == HYDRA_ROWS
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_handles_no_signal() -> None:
    def stop() -> None:
        with raising_keyboard_interrupt():
            handlers.append(signal.getsignal(signal.SIGTERM))

    handlers: list[Any] = []
    thread = Thread(target=stop)
    thread.start()
    thread.join()

    assert handlers == [signal.getsignal(signal.SIGTERM)]


# No trial


def test_without_admin_api_nobody_can_sign_in(network: Any) -> None:
    [finding] = run_trials()

    assert (finding.check, finding.verdict) == ("try.sign_in", UNKNOWN)
    assert "No HYDRA" in finding.found


def test_a_site_without_new_users_is_not_tried(hydra: HydraNetwork, configure: Configure) -> None:
    configure(CREATE_USERS=False)

    [finding] = run_trials()

    assert (finding.check, finding.verdict) == ("try.sign_in", UNKNOWN)
    assert "CREATE_USERS" in finding.found
    assert hydra.calls == []


def test_an_unknown_alias_is_refused(hydra: HydraNetwork) -> None:
    with pytest.raises(ValueError, match="no provider 'nobody'"):
        run_trials(alias="nobody")


def test_each_row_is_explained() -> None:
    assert [row for row in ROWS if not explain(row)] == []


# The command


def command(*options: str) -> tuple[str, int]:
    """Return the output and the exit status."""
    out = StringIO()
    try:
        call_command("ory_doctor", "--try", *options, stdout=out)
    except CommandError as error:
        return out.getvalue(), error.returncode
    return out.getvalue(), 0


def test_the_command_prints_rows(hydra: HydraNetwork) -> None:
    text, status = command("--provider", "default")

    assert [line.split()[1] for line in text.splitlines() if line.startswith("pass")] == HYDRA_ROWS
    assert status == 0


def test_the_command_exits_with_1_for_a_failed_row(hydra: HydraNetwork) -> None:
    register(hydra, backchannel_logout_uri=f"{SITE_URL}/elsewhere/")

    text, status = command("--json")

    assert [row["check"] for row in json.loads(text) if row["verdict"] == "fail"] == ["try.backchannel"]
    assert status == 2


def test_a_stopped_command_cleans_up(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    """It also cleans up if it is stopped while it writes, between two steps."""

    def interrupt(_command: Any, _finding: Finding) -> None:
        assert left()["LoginSession"] == 1
        raise KeyboardInterrupt

    found = [run_trials()]
    monkeypatch.setattr(ory_doctor, "run_trials", lambda **_options: found[0])
    monkeypatch.setattr(ory_doctor.Command, "_show", interrupt)

    assert command()[1] == 2
    assert left() == {}
    assert hydra.provider.login_sessions == {}


def test_the_command_refuses_an_unknown_alias(hydra: HydraNetwork) -> None:
    assert command("--provider", "nobody")[1] == 3


def test_no_row_contains_a_secret(hydra: HydraNetwork, settings: Any, monkeypatch: PATCH) -> None:
    keys: list[str] = []
    opened = opening.open_login_session

    def open_login_session(*args: Any, **kwargs: Any) -> LoginSession:
        row = opened(*args, **kwargs)
        keys.append(str(row.session_key))
        return row

    monkeypatch.setattr("django_ory_logout.sessions.opening.open_login_session", open_login_session)
    text = command()[0]

    assert len(keys) == 2
    assert [key for key in (*keys, settings.CLIENT_SECRET, "eyJ", "ory_ac_", "challenge=") if key in text] == []
