"""A long command shows its progress if a person uses a terminal."""

import io
import logging
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_ory_logout.management.progress import CLEAR, Progress
from django_ory_logout.models import EndReason, LoginSession, LogoutNotice, LogoutReceipt
from django_ory_logout.sessions import ending, engines, receipts
from django_ory_logout.testing import Network, Provider

from ..conftest import Configure, NewBrowser, SiteBrowser
from ..fake_hydra import URL, FakeHydra, connect


class Terminal(io.StringIO):
    """A terminal that a person reads."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """The final text of each line."""
        return [line.rpartition("\r")[2].removesuffix(CLEAR) for line in self.getvalue().split("\n")[:-1]]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_each_step_has_a_line_with_count_rate_and_time_left(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress(OutputWrapper(terminal), 1, clock)

    for done in range(1, 502):
        clock.now += 0.03125
        progress("sessions", done, 1000)
    assert terminal.getvalue().rpartition("\r")[2] == f"sessions: 501 of 1000, 32 a second, 16 seconds left{CLEAR}"
    clock.now += 0.375
    progress("sessions", 1000, 1000)
    clock.now += 1
    progress("consents", 1, 1)

    assert terminal.lines == ["sessions: 1000 of 1000, 62 a second", "consents: 1 of 1"]
    assert terminal.getvalue().count("\r") < 140


def test_an_interrupted_step_keeps_its_line(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress(OutputWrapper(terminal), 1, clock)

    progress("sessions", 1, 2)
    progress("consents", 1, 1)

    assert terminal.lines == ["sessions: 1 of 2", "consents: 1 of 1"]


@pytest.mark.parametrize(("stream", "verbosity"), [(Terminal, 0), (io.StringIO, 1), (io.StringIO, 3)])
def test_nothing_is_shown_without_a_terminal_or_with_verbosity_0(stream: type[io.StringIO], verbosity: int) -> None:
    said = stream()

    Progress(OutputWrapper(said), verbosity)("sessions", 1, 2)

    assert said.getvalue() == ""


@pytest.mark.django_db
def test_a_forced_logout_shows_progress_and_its_output_is_the_same(configure: Configure, network: Network) -> None:
    configure(HYDRA={"ADMIN_URL": URL})
    terminal, output = Terminal(), io.StringIO()
    with connect(FakeHydra(clients={django_settings.CLIENT_ID: {}})) as hydra:
        for number in range(5):
            hydra.sign_in("amber", f"sid-{number}", django_settings.CLIENT_ID)

        call_command("ory_force_logout", "--subject", "amber", stdout=output, stderr=terminal)

    assert [line.partition(",")[0] for line in terminal.lines] == [
        "sessions on this site: 1 of 1",
        "this site's registration read: 1 of 1",
        "consents listed: 5 of 5",
        "login session at Hydra",
        "all login sessions at Hydra: 1 of 1",
        "consents",
    ]
    assert "notices to its applications: 5 of 5, " in terminal.lines[3]
    assert "\r" not in output.getvalue()


@pytest.fixture(params=["db", "cache"])
def many(request: pytest.FixtureRequest, new_browser: NewBrowser, settings: Any) -> None:
    """Five sessions of one user. A statement deletes two."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    for _number in range(5):
        new_browser().sign_in("amber")
    mp: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    mp.setattr("django_ory_logout.sessions.index.CHUNK", 2)
    mp.setattr("django_ory_logout.management.progress.INTERVAL", 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("many")
def test_a_forced_logout_of_one_user_counts_sessions() -> None:
    terminal = Terminal()

    call_command("ory_force_logout", "--subject", "amber", stdout=io.StringIO(), stderr=terminal)

    for done in (2, 4, 5):
        assert f"\rsessions on this site: {done} of 5" in terminal.getvalue()
    assert len(terminal.lines) == 1
    assert LoginSession.objects.count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("many")
def test_a_forced_logout_of_one_user_with_verbosity_0_counts_nothing() -> None:
    terminal = Terminal()

    call_command("ory_force_logout", "--subject", "amber", verbosity=0, stdout=terminal, stderr=terminal)

    assert terminal.getvalue() == ""


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("many")
def test_a_step_that_fails_ends_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    deleted = list[int]()
    delete = engines.delete_stored

    def fail(store: Any, keys: Any) -> None:
        deleted.append(len(keys))
        if len(deleted) > 1:
            raise ConnectionError
        delete(store, keys)

    monkeypatch.setattr(engines, "delete_stored", fail)
    with pytest.raises(CommandError, match="Not everything"):
        call_command("ory_force_logout", "--subject", "amber", stdout=io.StringIO(), stderr=terminal)

    assert [line.partition(",")[0] for line in terminal.lines] == ["sessions on this site: 2 of 5"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("many")
def test_purge_counts_the_sessions_of_one_notice(new_browser: NewBrowser, provider: Provider) -> None:
    new_browser().sign_in("birch")
    for subject in ("amber", "birch"):
        notice = LogoutNotice(django_settings.ISSUER, subject, None, timezone.now())
        receipts.record(notice, subject, durable=False)
    terminal = Terminal()

    call_command("ory_purge", stdout=io.StringIO(), stderr=terminal)

    for done in (2, 4, 5):
        assert f"\rlogin sessions of one notice: {done} of 5" in terminal.getvalue()
    assert [line.partition(",")[0] for line in terminal.lines] == [
        "login sessions of one notice: 5 of 5",
        "notices: 2 of 2",
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("many")
def test_a_forced_logout_counts_refused_sessions_of_kratos(configure: Configure, network: Network) -> None:
    LoginSession.objects.update(issuer="https://login.example")
    configure(KRATOS={"PUBLIC_URL": "https://login.example"})
    rows, terminal = LoginSession.objects.all(), Terminal()
    progress = Progress(OutputWrapper(terminal), 1)

    count = ending.end_rows(rows, EndReason.FORCED, partial(progress, "ended"), partial(progress, "refused"))

    assert count == LogoutReceipt.objects.exclude(completed_at=None).count() == 5
    assert [line.partition(",")[0] for line in terminal.lines] == [
        "refused: 5 of 5",
        "ended: 5 of 5",
        "refused: 5 of 5",
    ]


def test_a_list_of_unknown_length_is_counted(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress(OutputWrapper(terminal), 1, clock)

    for done in (1, 2, 3):
        clock.now += 1
        progress("listed", done, None)
    assert terminal.getvalue().rpartition("\r")[2] == f"listed: 3 so far{CLEAR}"
    progress("listed", 3, 3)

    assert terminal.lines == ["listed: 3 of 3, 1 a second"]


@pytest.mark.django_db
def test_a_forced_logout_with_verbosity_0_shows_only_what_remains(configure: Configure, network: Network) -> None:
    configure(HYDRA={"ADMIN_URL": URL})
    terminal = Terminal()
    with connect(FakeHydra(clients={django_settings.CLIENT_ID: {}})) as hydra:
        hydra.sign_in("amber", "sid-1", django_settings.CLIENT_ID)

        call_command("ory_force_logout", "--subject", "amber", verbosity=0, stdout=terminal, stderr=terminal)

    assert hydra.logins == {}
    assert terminal.getvalue() == ""


# ory_purge


@pytest.fixture
def expired(new_browser: NewBrowser) -> None:
    for subject in ("amber", "birch", "cedar"):
        new_browser().sign_in(subject)
    LoginSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db(transaction=True)
def test_purge_shows_progress(
    expired: None, browser: SiteBrowser, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_ory_logout.sessions.index.CHUNK", 2)
    browser.sign_in("willow")
    browser.deliver(provider.end_subject("willow"))
    LogoutReceipt.objects.update(completed_at=None)
    terminal = Terminal()

    call_command("ory_purge", stdout=io.StringIO(), stderr=terminal)

    assert [line.partition(",")[0] for line in terminal.lines] == ["notices: 1 of 1", "expired login sessions: 3 of 3"]


@pytest.mark.django_db(transaction=True)
def test_purge_with_verbosity_0_shows_and_counts_nothing(expired: None) -> None:
    terminal = Terminal()

    with CaptureQueriesContext(connection) as queries:
        call_command("ory_purge", verbosity=0, stdout=terminal, stderr=terminal)

    assert terminal.getvalue() == ""
    assert not any("COUNT(" in query["sql"] for query in queries)
    assert not LoginSession.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_purge_logs_one_line_with_counts(expired: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "django_ory_logout")
    caplog.clear()

    call_command("ory_purge", stdout=io.StringIO())

    ours = [record for record in caplog.records if record.name == "django_ory_logout"]
    assert [record.getMessage() for record in ours if record.levelno >= logging.INFO] == [
        "purge: 0 notices worked off, 0 not, 0 login sessions ended, 3 expired, 0 old receipts removed"
    ]
    assert [record.getMessage().partition(" ended: ")[2] for record in ours if record.levelno == logging.DEBUG] == [
        "expired"
    ] * 3


@pytest.mark.django_db(transaction=True)
def test_outside_purge_each_session_has_its_log_line(
    browser: SiteBrowser, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "django_ory_logout")
    browser.sign_in("amber")

    browser.deliver(provider.end_subject("amber"))

    assert any(" ended: back-channel" in message for message in caplog.messages)


@pytest.mark.django_db(transaction=True)
def test_purge_logs_one_of_many_failed_notices(
    new_browser: NewBrowser, provider: Provider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for subject in ("amber", "birch", "cedar"):
        new_browser().sign_in(subject)
        new_browser().deliver(provider.end_subject(subject))
    LogoutReceipt.objects.update(completed_at=None)

    def fail(*_args: object) -> int:
        raise ConnectionError

    monkeypatch.setattr("django_ory_logout.sessions.index.end", fail)
    caplog.clear()
    with pytest.raises(CommandError, match="3 notices"):
        call_command("ory_purge", stdout=io.StringIO())

    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
