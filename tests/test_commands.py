"""``ory_purge``, as a timer runs it."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_ory_logout.models import EndReason, LoginSession, LogoutNotice, LogoutReceipt
from django_ory_logout.sessions import index
from django_ory_logout.signals import login_session_ended
from django_ory_logout.testing import Provider

from .conftest import Listen, Logged, NewBrowser, SiteBrowser

pytestmark = pytest.mark.django_db(transaction=True)


def test_purge_fails_if_a_notice_fails_and_completes_the_others(
    new_browser: NewBrowser, provider: Provider, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    amber, birch, cedar = new_browser(), new_browser(), new_browser()
    for browser, subject in ((amber, "amber"), (birch, "birch"), (cedar, "cedar")):
        browser.sign_in(subject)
    end = index.end

    def fail(notice: LogoutNotice, reason: EndReason, progress: Any = None) -> int:
        if notice.subject == "amber" or not purging:
            raise ConnectionError(str(amber.key))
        return end(notice, reason, progress)

    purging = False
    with monkeypatch.context() as broken:
        broken.setattr(index, "end", fail)
        deliveries = [delivery for subject in ("amber", "birch") for delivery in provider.end_subject(subject)]
        assert new_browser().deliver(deliveries) == [503, 503]
        purging, said = True, StringIO()
        with pytest.raises(CommandError, match=r"^1 notices could not be worked off; see the log$"):
            call_command("ory_purge", stdout=said)

    assert said.getvalue().startswith("1 notices worked off, 1 login sessions ended, 0 expired")
    assert [bool(browser.user) for browser in (amber, birch, cedar)] == [True, False, True]
    [receipt] = LogoutReceipt.objects.filter(completed_at=None)
    assert logged()[-1] == f"receipt {receipt.pk} not worked off: ConnectionError"

    call_command("ory_purge", stdout=StringIO())
    assert [bool(browser.user) for browser in (amber, birch, cedar)] == [False, False, True]


def test_purge_deletes_a_row_that_ended_without_a_reason(browser: SiteBrowser, listen: Listen) -> None:
    """For example, an administrator marked it by hand."""
    ended = listen(login_session_ended)
    browser.sign_in("amber")
    LoginSession.objects.update(ended_at=timezone.now())

    call_command("ory_purge", stdout=StringIO())

    assert [arguments["reason"] for arguments in ended] == [EndReason.USER]
    assert browser.user is None
    assert LoginSession.objects.count() == 0
