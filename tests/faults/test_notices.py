"""A provider's notice with a fault at each operation: 200 is true, and after 503 a second delivery ends the session."""

from typing import Any

import pytest

from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.testing import Provider

from .conftest import FaultySite

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_back_channel_notice_survives_each_fault(
    faulty_site: FaultySite, engine: str, kind: str, onward: bool, provider: Provider
) -> None:
    def run() -> None:
        _browser, copy, other = faulty_site.reset()
        row = LoginSession.objects.get(subject="amber")
        deliveries = list(provider.end(str(row.sid)))
        form = deliveries[0].form

        def deliver(browser: Any) -> Any:
            return browser.post_form("/auth/logout/backchannel/", form)

        answer = faulty_site.act(deliver, faulty_site.new_browser())
        if answer.status_code == 503:
            assert deliver(faulty_site.new_browser()).status_code == 200
        assert copy.user is None
        assert other.user
        assert LogoutReceipt.objects.get().completed_at

    faulty_site.sweep(kind, onward=onward, run=run)
    assert faulty_site.answers[-1] == 200


def test_a_front_channel_notice_survives_each_fault(
    faulty_site: FaultySite, engine: str, kind: str, onward: bool
) -> None:
    def run() -> None:
        _browser, copy, other = faulty_site.reset()
        row = LoginSession.objects.get(subject="amber")

        def frame(browser: Any) -> Any:
            return browser.get("/auth/logout/frontchannel/", {"iss": row.issuer, "sid": str(row.sid)})

        answer = faulty_site.act(frame, faulty_site.new_browser())
        if answer.status_code == 503:
            assert frame(faulty_site.new_browser()).status_code == 200
        assert copy.user is None
        assert other.user

    faulty_site.sweep(kind, onward=onward, run=run)
    assert faulty_site.answers[-1] == 200
