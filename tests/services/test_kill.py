"""``kill -9`` of a worker before each statement: answered requests hold, and others can be repeated."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db, file
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import call_command

from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.sessions import index
from django_ory_logout.sessions.engines import has_keys, site_store
from django_ory_logout.sessions.index import INDEX_KEY
from django_ory_logout.sessions.store import indexed
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.testing import Network, Provider

from ..conftest import NewBrowser, SiteBrowser
from .conftest import copy_of
from .worker import handle

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("engine")]

FRAME = "/auth/logout/frontchannel/"


def on(*engines: str) -> pytest.MarkDecorator:
    """Test only these engines, because each new process takes time."""
    return pytest.mark.parametrize("engine", engines, indirect=True)


class KilledWorkers:
    """Repeats an act, each time for a new user, and kills it one statement later. Another user must stay signed in."""

    def __init__(self, new_browser: NewBrowser) -> None:
        self.new_browser = new_browser
        self.other = self.signed_in("somebody else")
        self.killed = 0

    def signed_in(self, subject: str) -> SiteBrowser:
        browser = self.new_browser()
        assert browser.sign_in(subject).status_code == 302
        return browser

    def runs(self, begin: Callable[[str], SiteBrowser], act: Callable[[SiteBrowser], Any]) -> Iterator[Any]:
        """Yield the subject, the browser, an earlier copy of it, and the answer, if there was one."""
        for number in count():
            subject = f"person {number}"
            browser = begin(subject)
            copy = copy_of(browser, self.new_browser)
            answer = handle(act, browser, kill_at=number)
            index._seen.clear()
            assert_each_session_can_end()
            yield subject, browser, copy, answer
            assert self.other.user, f"killed at {number}: the other user was signed out"
            if answer:
                assert answer.operations == number
                return
            self.killed += 1


@pytest.fixture
def workers(new_browser: NewBrowser) -> KilledWorkers:
    return KilledWorkers(new_browser)


def stored() -> list[dict[str, Any]]:
    """All sessions that the engine has stored."""
    store: Any = site_store()
    if not has_keys(store):
        return []
    if issubclass(store, db.SessionStore):
        keys = list(Session.objects.values_list("session_key", flat=True))
    elif issubclass(store, file.SessionStore):
        name = django_settings.SESSION_COOKIE_NAME
        keys = [path.name.removeprefix(name) for path in Path(str(django_settings.SESSION_FILE_PATH)).glob(f"{name}*")]
    else:
        prefix, redis = store.cache_key_prefix, cast(Any, cache)
        client = redis._cache.get_client()
        keys = [name.decode().rpartition(prefix)[2] for name in client.scan_iter(f"*{prefix}*")]
    return [store(key).load() for key in keys]


def assert_each_session_can_end() -> None:
    """Each stored session of a signed-in user has a mark, and a row that a notice finds."""
    rows = {str(pk) for pk in LoginSession.objects.values_list("pk", flat=True)}
    for data in stored():
        if SESSION_KEY in data:
            assert data[INDEX_KEY]["id"] in rows


def assert_nothing_left(subject: str) -> None:
    rows = LoginSession.objects.filter(subject=subject)
    assert not rows.exists(), rows.values()
    assert len([data for data in stored() if SESSION_KEY in data]) == (1 if has_keys(site_store()) else 0)


@on("db", "signed_cookies")
def test_a_killed_sign_in_leaves_nothing_that_a_notice_cannot_end(
    workers: KilledWorkers, network: Network, provider: Provider
) -> None:
    """No browser has the key of a killed worker's session, and a notice ends that session."""
    sids: dict[str, str] = {}
    callbacks: dict[str, str] = {}

    def begin(subject: str) -> SiteBrowser:
        browser, at_provider = workers.new_browser(), provider.sign_in(subject)
        callbacks["now"] = network.follow(browser.start(), login_session=at_provider)
        sids[subject] = at_provider.sid
        return browser

    for subject, browser, copy, answer in workers.runs(begin, lambda browser: browser.visit(callbacks["now"])):
        assert copy.user is None
        if answer:
            assert answer.status == 302
            assert browser.user["subject"] == subject
        else:
            assert browser.user is None
            browser.sign_in(subject)
            signed_in: Any = browser.user
            assert browser.deliver(provider.end(signed_in["sid"])) == [200]
        assert browser.deliver(provider.end(sids[subject])) == [200]
        assert browser.user is None
        assert_nothing_left(subject)
    assert workers.killed > 5


@on("db", "cached_db", "cache")
def test_a_killed_sign_in_keeps_the_earlier_session(
    workers: KilledWorkers, network: Network, provider: Provider
) -> None:
    """The earlier session lasts until the new one is complete."""
    sids: dict[str, list[str]] = {}
    callbacks: dict[str, str] = {}

    def begin(subject: str) -> SiteBrowser:
        browser = workers.signed_in(subject)
        at_provider = provider.sign_in(subject)
        callbacks["now"] = network.follow(browser.start(), login_session=at_provider)
        sids[subject] = [browser.user["sid"], at_provider.sid]
        return browser

    for subject, browser, copy, answer in workers.runs(begin, lambda browser: browser.visit(callbacks["now"])):
        if answer:
            assert browser.user["sid"] == sids[subject][1]
            assert copy.user is None
        elif copy.user is None:
            assert LoginSession.objects.filter(subject=subject, ended_at=None).exists()
        for sid in sids[subject]:
            assert browser.deliver(provider.end(sid)) == [200]
        assert browser.user is None
        assert copy.user is None
        assert_nothing_left(subject)
    assert workers.killed > 5


def assert_logged_out_by(workers: KilledWorkers, act: Callable[[SiteBrowser], Any], statuses: set[int]) -> None:
    """An answered logout is in force. Otherwise a second request logs out."""
    for subject, browser, copy, answer in workers.runs(workers.signed_in, act):
        if answer is None:
            assert act(browser).status_code in statuses
        else:
            assert answer.status in statuses
        assert copy.user is None
        assert browser.user is None
        call_command("ory_purge")
        assert_nothing_left(subject)
    assert workers.killed > 2


def test_a_killed_logout_can_be_repeated(workers: KilledWorkers) -> None:
    assert_logged_out_by(workers, lambda browser: browser.post("/auth/logout/"), {200, 302})


@on("db")
def test_a_killed_return_from_the_provider_can_be_repeated(workers: KilledWorkers) -> None:
    def follow_link(browser: SiteBrowser) -> Any:
        data = indexed(site_store())(browser.key).load()
        state = data[LOGIN_KEY]["logout_state"] if data else ""
        return browser.get("/auth/logout/callback/", {"state": state})

    assert_logged_out_by(workers, follow_link, {200})


def test_a_killed_back_channel_notice_can_be_repeated(workers: KilledWorkers, provider: Provider) -> None:
    """The provider delivers a notice without an answer again. If there is a receipt, purge completes it too."""
    forms: dict[str, Any] = {}

    def begin(subject: str) -> SiteBrowser:
        browser = workers.signed_in(subject)
        (delivery,) = provider.end(browser.user["sid"])
        forms["now"] = delivery.form
        return browser

    def deliver(_browser: SiteBrowser) -> Any:
        return workers.new_browser().post_form("/auth/logout/backchannel/", forms["now"])

    for subject, browser, copy, answer in workers.runs(begin, deliver):
        if answer is None and LogoutReceipt.objects.filter(completed_at=None).exists():
            call_command("ory_purge")
            assert copy.user is None
        if answer is None:
            assert deliver(browser).status_code == 200
        else:
            assert answer.status == 200
        assert copy.user is None
        assert browser.user is None
        assert not LogoutReceipt.objects.filter(completed_at=None).exists()
        assert_nothing_left(subject)
    assert workers.killed > 4


@on("db")
def test_a_killed_front_channel_notice_can_be_repeated(workers: KilledWorkers) -> None:
    frames: dict[str, dict[str, str]] = {}

    def begin(subject: str) -> SiteBrowser:
        browser = workers.signed_in(subject)
        frames["now"] = {"iss": browser.user["issuer"], "sid": browser.user["sid"]}
        return browser

    for subject, browser, copy, answer in workers.runs(begin, lambda browser: browser.get(FRAME, frames["now"])):
        if answer is None:
            assert browser.get(FRAME, frames["now"]).status_code == 200
        assert copy.user is None
        assert browser.user is None
        assert_nothing_left(subject)
    assert workers.killed > 2
