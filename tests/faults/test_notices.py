"""A provider's notice with a fault at each single operation: 200 is true, and 503 delivered again ends it."""

from typing import Any

import pytest

from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.testing import Provider

from .conftest import Stage

pytestmark = pytest.mark.django_db(transaction=True)


def test_back_channel(stage: Stage, engine: str, kind: str, onward: bool, provider: Provider) -> None:
    def run() -> None:
        _browser, copy, other = stage.reset()
        row = LoginSession.objects.get(subject="amber")
        deliveries = list(provider.end(str(row.sid)))
        form = deliveries[0].form

        def deliver(one: Any) -> Any:
            return one.post_form("/auth/logout/backchannel/", form)

        answer = stage.act(deliver, stage.new_browser())
        if answer.status_code == 503:
            assert deliver(stage.new_browser()).status_code == 200
        assert copy.user is None
        assert other.user
        assert LogoutReceipt.objects.get().completed_at

    stage.sweep(kind, onward=onward, run=run)
    assert stage.answers[-1] == 200


def test_front_channel(stage: Stage, engine: str, kind: str, onward: bool) -> None:
    def run() -> None:
        _browser, copy, other = stage.reset()
        row = LoginSession.objects.get(subject="amber")

        def frame(one: Any) -> Any:
            return one.get("/auth/logout/frontchannel/", {"iss": row.issuer, "sid": str(row.sid)})

        answer = stage.act(frame, stage.new_browser())
        if answer.status_code == 503:
            assert frame(stage.new_browser()).status_code == 200
        assert copy.user is None
        assert other.user

    stage.sweep(kind, onward=onward, run=run)
    assert stage.answers[-1] == 200
