"""``ory_doctor --try``: what it says of a set-up that is well and of broken ones, and that it leaves nothing behind."""

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
from ..world import ADMIN_URL, SITE_URL, World, forget_documents

pytestmark = pytest.mark.django_db

OF_HYDRA = [row for row in ROWS if row != "try.kratos"]
PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
PATCH = pytest.MonkeyPatch

Break = Callable[[World, Configure, PATCH], object]


@pytest.fixture
def world(provider: Provider, configure: Configure, monkeypatch: PATCH) -> Iterator[World]:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL})
    monkeypatch.setattr(runner, "NOTICE_SECONDS", 0.0)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.0)
    forget_documents()
    with connected(World(provider)) as world:
        yield world


def register(world: World, **changes: Any) -> None:
    """Register the site in another way."""
    [client] = world.provider.clients.values()
    world.provider.register(replace(client, **changes))


def left() -> dict[str, int]:
    """What is left in the database."""
    kinds: list[Any] = [User, Session, LoginSession, LogoutReceipt, Subject, LogoutEvent]
    found = {kind.__name__: kind.objects.count() for kind in kinds}
    return {name: count for name, count in found.items() if count}


def said(found: Sequence[Finding], row: str) -> str:
    [one] = [one for one in found if one.check == row]
    return f"{one.found} {one.todo}"


# Well


def assert_well(world: World) -> None:
    found = list(run_trials())

    assert {one.check: one.verdict for one in found} == dict.fromkeys(OF_HYDRA, PASS), found
    assert {one.about for one in found} == {"default"}
    assert left() == {}
    assert (world.provider.login_sessions, world.provider.consents) == ({}, [])


def test_well(world: World) -> None:
    assert_well(world)
    frames = [call for call in world.calls if "/frontchannel/" in call.url]
    assert [call.headers.get("Cookie") for call in frames] == [None]


def test_well_without_front_channel(world: World) -> None:
    register(world, frontchannel_logout_uri=None)

    assert_well(world)


def test_well_where_receivers_are_registered_without_last_slash(world: World) -> None:
    register(
        world,
        frontchannel_logout_uri=f"{SITE_URL}/auth/logout/frontchannel",
        backchannel_logout_uri=f"{SITE_URL}/auth/logout/backchannel",
    )

    assert_well(world)


def test_well_by_forms(world: World, configure: Configure) -> None:
    """Both ways: the authorization response, and the end session request."""
    configure(RESPONSE_MODE="form_post", END_SESSION_REQUEST_METHOD="POST")

    assert_well(world)
    posts = [call.url.partition("?")[0] for call in world.calls if call.method == "POST"]
    assert {f"{SITE_URL}/auth/callback/", "https://op.example/oauth2/sessions/logout"} <= set(posts)


def test_well_where_the_browser_ends_elsewhere(world: World, configure: Configure) -> None:
    elsewhere = "https://www.example/bye?a=1"
    configure(POST_LOGOUT_REDIRECT_URI=elsewhere)
    register(world, post_logout_redirect_uris=[elsewhere])

    assert_well(world)
    assert not [call for call in world.calls if call.url.startswith("https://www.example")]


def test_well_where_subjects_are_pairwise(world: World) -> None:
    register(world, subject_type="pairwise")

    assert_well(world)


def test_well_where_users_are_called_otherwise(world: World, monkeypatch: PATCH) -> None:
    monkeypatch.setattr(ProviderBackend, "username", lambda _self, authentication: f"u-{authentication.subject}")

    assert_well(world)


def test_nobody_real_is_touched(world: World) -> None:
    amber = User.objects.create_user("amber")
    Subject.objects.create(user=amber, issuer=world.provider.issuer, subject="amber")
    theirs = world.provider.sign_in("amber", "django-site")

    list(run_trials())

    assert left() == {"User": 1, "Subject": 1}
    assert world.provider.login_sessions == {theirs.sid: theirs}
    assert [one.login_session for one in world.provider.consents] == [theirs]


# Broken


def path(name: str, **fault: Any) -> Break:
    """Somebody else answers there."""
    return lambda world, _configure, _patch: world.replace(name, **fault)


def registered(**changes: Any) -> Break:
    return lambda world, _configure, _patch: register(world, **changes)


def configured(**changes: Any) -> Break:
    return lambda _world, configure, _patch: configure(HYDRA={"ADMIN_URL": ADMIN_URL}, **changes)


def whoami(**changes: Any) -> Break:
    return lambda world, _configure, _patch: world.change("/auth/whoami/", lambda document: {**document, **changes})


def patched(where: Any, name: str, value: Any) -> Break:
    return lambda _world, _configure, patch: patch.setattr(where, name, value)


def redirecting(uri: str, **parameters: str) -> Break:
    """Hydra sends the browser elsewhere after a logout."""
    return patched(end_session, "_redirect_uri", lambda *_args: set_query(uri, **parameters) if parameters else uri)


def not_remembered(world: World, _configure: Configure, patch: PATCH) -> None:
    accept = HydraAdmin.accept_login_request
    patch.setattr(
        HydraAdmin,
        "accept_login_request",
        lambda self, challenge, **said: accept(self, challenge, **{**said, "remember": False}),
    )


def without_backend(_world: World, _configure: Configure, patch: PATCH) -> None:
    patch.setattr(ProviderBackend, "authenticate", lambda *_args, **_kwargs: None)


def rotated(world: World, _configure: Configure, _patch: PATCH) -> None:
    world.replace("/.well-known/jwks.json", b'{"keys": []}')


def site_down_later(world: World, _configure: Configure, patch: PATCH) -> None:
    def backchannel(_attempt: HydraTrial) -> CheckResult:
        world.down("/auth/login/")
        return passed("")

    patch.setattr(HydraTrial, "backchannel", backchannel)


AFTER_SIGN_IN = dict.fromkeys(OF_HYDRA[1:-1], UNKNOWN)
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
        lambda world, _configure, patch: patch.setattr(
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
        lambda world, _configure, _patch: world.down("/auth/login/"),
        SIGN_IN,
        f"unreachable: GET {SITE_URL}/auth/login/: ConnectionError",
    ),
    "discovery down": (
        lambda world, _configure, _patch: world.down("/.well-known/openid-configuration"),
        SIGN_IN,
        f"{SITE_URL}/auth/login/ answers 503. This site refused the sign-in: unreachable.",
    ),
    "issuer with a slash": (
        lambda world, _configure, _patch: world.provider.metadata.update(issuer="https://op.example/"),
        SIGN_IN,
        "/auth/login/ answers 500. This site refused the sign-in: issuer_mismatch.",
    ),
    "another site's login page": (
        path("/auth/login/", status=302, headers={"Location": "https://rp.example/accounts/login/"}),
        SIGN_IN,
        "sends the browser to https://rp.example/accounts/login/. The login page should send the browser to Hydra.",
    ),
    "admin API down": (
        lambda world, _configure, _patch: world.down("/admin/oauth2/auth/requests/login/accept"),
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
        lambda world, _configure, _patch: world.provider.metadata.update(end_session_endpoint=None),
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
        lambda world, _configure, patch: patch.setattr(
            world.provider,
            "frontchannel_uris",
            lambda _sid: [f"{SITE_URL}/auth/logout/frontchannel/?iss=https://op.example&sid=another"],
        ),
        {"try.frontchannel": FAIL},
        "The sid of the frame is not the sid of the sign-in.",
    ),
    "no frame": (
        lambda world, _configure, patch: patch.setattr(world.provider, "frontchannel_uris", lambda _sid: []),
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
def test_broken(world: World, configure: Configure, monkeypatch: PATCH, what: str) -> None:
    break_it, changed, words = BROKEN[what]
    break_it(world, configure, monkeypatch)

    found = list(run_trials())

    assert {one.check: one.verdict for one in found} == {**dict.fromkeys(OF_HYDRA, PASS), **changed}, found
    assert words in said(found, next(row for row in OF_HYDRA if row in changed))
    assert (world.provider.login_sessions, world.provider.consents) == ({}, [])
    assert not {"User", "LoginSession", "Subject"} & set(left())


def test_a_step_that_itself_fails_is_not_known_without_its_text(world: World, monkeypatch: PATCH) -> None:
    def fail(_attempt: HydraTrial) -> None:
        raise DatabaseError("a secret")

    monkeypatch.setattr(HydraTrial, "_without_frames", fail)
    register(world, frontchannel_logout_uri=None)

    found = list(run_trials())

    assert said(found, "try.frontchannel") == "The step itself failed: DatabaseError. "


def test_a_notice_that_comes_late_is_waited_for(world: World, monkeypatch: PATCH) -> None:
    monkeypatch.setattr(runner, "NOTICE_SECONDS", 5.0)
    late: list[Any] = []
    monkeypatch.setattr(world.face.backchannel, "deliver_in_background", late.extend)
    deliver = type(world.face.backchannel).deliver_in_background
    world.admin = replace(world.admin, deliver=late.extend)

    def sleep(_seconds: float) -> None:
        deliver(world.face.backchannel, late)
        late.clear()

    monkeypatch.setattr(time, "sleep", sleep)

    assert_well(world)
    assert late == [], "what comes later would be left"


# Another database


def test_a_site_with_another_database_is_found_out(world: World, monkeypatch: PATCH) -> None:
    monkeypatch.setattr(hydra_user, "index", SimpleNamespace(rows=LoginSession.objects.none))

    found = list(run_trials())

    changed = {**SIGN_IN, "try.cleanup": FAIL}
    assert {one.check: one.verdict for one in found} == changed
    assert said(found, "try.sign_in").startswith(
        "The site at the public URL uses another database than this command. Run"
    )
    assert said(found, "try.cleanup").startswith("Left of ory-doctor-")
    assert "in the other database" in said(found, "try.cleanup")
    assert (world.provider.login_sessions, world.provider.consents) == ({}, [])


def test_without_a_database_nobody_is_tried(world: World, monkeypatch: PATCH) -> None:
    def fail(_patient: Any) -> None:
        raise DatabaseError("a secret")

    monkeypatch.setattr(runner, "leftover_test_users", fail)

    [one] = run_trials()

    assert (one.check, one.verdict, one.found) == ("try.sign_in", UNKNOWN, "See site.database.")
    assert world.calls == []


# Tidying up


def test_what_a_broken_try_left_in_the_log_is_removed(world: World, monkeypatch: PATCH) -> None:
    without_backend(world, lambda **_changes: None, monkeypatch)
    before = LogoutEvent.objects.create(at=timezone.now(), kind="refused", code="sign-in: state_unknown")

    list(run_trials())

    assert list(LogoutEvent.objects.all()) == [before]


def test_what_a_broken_try_left_in_the_counters_is_said(world: World, configure: Configure) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, LOGOUT_TOKEN_EXP_REQUIRED=True)

    found = list(run_trials())

    assert said(found, "try.cleanup") == "Nothing is left, except in history.refused: back-channel: exp_missing. "
    assert not LogoutEvent.objects.exists()


def test_counters_that_cannot_be_read_keep_nothing_from_being_tidied_up(world: World, monkeypatch: PATCH) -> None:
    def fail() -> None:
        raise DatabaseError("a secret")

    monkeypatch.setattr("django_ory_logout.doctor.trial.cleanup.events.counts", fail)

    assert_well(world)


def test_the_next_try_removes_what_a_killed_one_left(world: World, monkeypatch: PATCH) -> None:
    monkeypatch.setattr(runner, "clean_up", lambda _person: passed("killed"))
    monkeypatch.setattr(HydraTrial, "backchannel", lambda _attempt: passed(""))
    monkeypatch.setattr(HydraTrial, "rp_initiated", lambda _attempt: passed(""))
    list(run_trials())
    monkeypatch.undo()
    amber = User.objects.create_user("amber")
    Subject.objects.create(user=amber, issuer=world.provider.issuer, subject="ory-doctor-of-mine")
    assert left()["Subject"] == 2
    assert world.provider.login_sessions

    found = list(run_trials())

    assert [one.found for one in found if one.check == "try.cleanup"] == [
        "Earlier trial: Nothing is left, here and at Hydra.",
        "Nothing is left, here and at Hydra.",
    ]
    assert left() == {"User": 1, "Subject": 1}
    assert world.provider.login_sessions == {}


def test_what_cannot_be_tidied_up_is_said(world: World, monkeypatch: PATCH) -> None:
    world.down("/admin/oauth2/auth/sessions/consent")

    found = list(run_trials())

    assert [one.check for one in found if one.verdict == FAIL] == ["try.cleanup"]
    assert ": the consent at Hydra. Delete it by hand" in said(found, "try.cleanup")
    assert left() == {}


@pytest.mark.parametrize("known_before", ["another link", "joined before"])
def test_a_user_who_was_there_before_stays(world: World, monkeypatch: PATCH, known_before: str) -> None:
    """Such as one that a backend of the site's own links the subject with."""
    amber = User.objects.create_user("amber", date_joined="2020-01-01T00:00Z")
    if known_before == "another link":
        User.objects.update(date_joined="2099-01-01T00:00Z")
        Subject.objects.create(user=amber, issuer=world.provider.issuer, subject="amber")
    monkeypatch.setattr(ProviderBackend, "_create_user", lambda *_args: amber)

    found = list(run_trials())

    assert [one.check for one in found if one.verdict == FAIL] == ["try.cleanup"]
    assert ": the user." in said(found, "try.cleanup")
    assert list(User.objects.all()) == [amber]
    assert list(Subject.objects.values_list("subject", flat=True)) == (
        ["amber"] if known_before == "another link" else []
    )


def test_users_without_a_date_are_known_by_their_names() -> None:
    """A site's own user model may have no ``date_joined``."""

    def made(username: str) -> bool:
        user: Any = SimpleNamespace(get_username=lambda: username)
        link: Any = SimpleNamespace(issuer="https://op.example", subject="ory-doctor-1")
        person: Any = SimpleNamespace(started=timezone.now())
        return cleanup._is_created_for(link, user, person)

    assert made(digest("https://op.example", "ory-doctor-1")[:30])
    assert not made("amber")


def test_stopped_in_the_middle_it_tidies_up(world: World) -> None:
    found = run_trials()
    assert next(found).verdict == PASS
    assert left()["LoginSession"] == 1

    found.close()

    assert left() == {}
    assert world.provider.login_sessions == {}


def test_interrupted_in_a_step_it_tidies_up(world: World, monkeypatch: PATCH) -> None:
    def interrupt(_self: HydraAdmin, _sid: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(HydraAdmin, "revoke_login_session", interrupt)

    with pytest.raises(KeyboardInterrupt):
        list(run_trials())

    assert left() == {}


@pytest.fixture
def _as_at_a_terminal() -> Iterator[None]:
    """Signals that are not ignored, as they are under ``nohup`` and in the background."""
    ways: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, way) for number, way in ways.items()}
    yield
    for number, way in before.items():
        signal.signal(number, way)


@pytest.mark.usefixtures("_as_at_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_step_and_another_while_it_tidies_up(
    world: World, monkeypatch: PATCH, number: signal.Signals
) -> None:
    """Whoever is impatient presses Ctrl-C twice."""
    clean_up = cleanup.clean_up

    def impatient(person: Any) -> CheckResult:
        signal.raise_signal(number)
        return clean_up(person)

    monkeypatch.setattr(HydraAdmin, "revoke_login_session", lambda *_args: signal.raise_signal(number))
    monkeypatch.setattr(runner, "clean_up", impatient)
    before = signal.getsignal(number)

    text, status = command()

    assert [line.split()[:2] for line in text.splitlines() if line[0] != " "] == [
        ["pass", "try.sign_in"],
        ["pass", "try.cleanup"],
    ]
    assert (left(), world.provider.login_sessions, status) == ({}, {}, 2)
    assert signal.getsignal(number) == before


def test_stopped_with_json_it_says_how_it_tidied_up(world: World, monkeypatch: PATCH) -> None:
    monkeypatch.setattr(HydraAdmin, "revoke_login_session", lambda *_args: signal.raise_signal(signal.SIGTERM))

    [row] = json.loads(command("--json")[0])

    assert (row["check"], row["verdict"]) == ("try.cleanup", "pass")


def test_what_is_ignored_stays_so(world: World, monkeypatch: PATCH) -> None:
    """As under nohup."""
    monkeypatch.setattr(HydraAdmin, "revoke_login_session", lambda *_args: signal.raise_signal(signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert [line.split()[1] for line in command()[0].splitlines() if line[0] != " "] == OF_HYDRA
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_no_signal_is_handled() -> None:
    def stop() -> None:
        with raising_keyboard_interrupt():
            handlers.append(signal.getsignal(signal.SIGTERM))

    handlers: list[Any] = []
    thread = Thread(target=stop)
    thread.start()
    thread.join()

    assert handlers == [signal.getsignal(signal.SIGTERM)]


# Not tried


def test_without_admin_api_nobody_can_be_signed_in(network: Any) -> None:
    [one] = run_trials()

    assert (one.check, one.verdict) == ("try.sign_in", UNKNOWN)
    assert "No HYDRA" in one.found


def test_where_nobody_new_is_let_in_nobody_is_tried(world: World, configure: Configure) -> None:
    configure(CREATE_USERS=False)

    [one] = run_trials()

    assert (one.check, one.verdict) == ("try.sign_in", UNKNOWN)
    assert "CREATE_USERS" in one.found
    assert world.calls == []


def test_an_alias_that_there_is_not(world: World) -> None:
    with pytest.raises(ValueError, match="no provider 'nobody'"):
        run_trials(alias="nobody")


def test_each_row_is_explained() -> None:
    assert [row for row in ROWS if not explain(row)] == []


# The command


def command(*options: str) -> tuple[str, int]:
    """What it says, and its exit status."""
    out = StringIO()
    try:
        call_command("ory_doctor", "--try", *options, stdout=out)
    except CommandError as error:
        return out.getvalue(), error.returncode
    return out.getvalue(), 0


def test_the_command_says_rows(world: World) -> None:
    text, status = command("--provider", "default")

    assert [line.split()[1] for line in text.splitlines() if line.startswith("pass")] == OF_HYDRA
    assert status == 0


def test_the_command_fails_with_a_row(world: World) -> None:
    register(world, backchannel_logout_uri=f"{SITE_URL}/elsewhere/")

    text, status = command("--json")

    assert [row["check"] for row in json.loads(text) if row["verdict"] == "fail"] == ["try.backchannel"]
    assert status == 2


def test_the_command_tidies_up_when_it_is_stopped(world: World, monkeypatch: PATCH) -> None:
    """Also while it writes, which is not in the middle of a step."""

    def interrupt(_command: Any, _finding: Finding) -> None:
        assert left()["LoginSession"] == 1
        raise KeyboardInterrupt

    found = [run_trials()]
    monkeypatch.setattr(ory_doctor, "run_trials", lambda **_options: found[0])
    monkeypatch.setattr(ory_doctor.Command, "_show", interrupt)

    assert command()[1] == 2
    assert left() == {}
    assert world.provider.login_sessions == {}


def test_the_command_knows_no_such_alias(world: World) -> None:
    assert command("--provider", "nobody")[1] == 3


def test_no_row_holds_a_secret(world: World, settings: Any, monkeypatch: PATCH) -> None:
    keys: list[str] = []
    opened = opening.open_login_session

    def open_login_session(*args: Any, **kwargs: Any) -> LoginSession:
        row = opened(*args, **kwargs)
        keys.append(str(row.session_key))
        return row

    monkeypatch.setattr("django_ory_logout.sessions.opening.open_login_session", open_login_session)
    text = command()[0]

    assert len(keys) == 2
    assert [one for one in (*keys, settings.CLIENT_SECRET, "eyJ", "ory_ac_", "challenge=") if one in text] == []
