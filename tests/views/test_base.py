"""What all views share."""

import pytest
from django.db import connections
from django.urls import URLPattern

from django_ory_logout.urls import urlpatterns
from django_ory_logout.views.base import non_atomic

PRIVATE = {"sessions"}


@pytest.mark.parametrize("pattern", urlpatterns, ids=lambda pattern: str(pattern.pattern))
def test_no_view_runs_in_a_transaction(pattern: URLPattern) -> None:
    assert getattr(pattern.callback, "_non_atomic_requests", set()) == set(connections)


@pytest.mark.parametrize("pattern", urlpatterns, ids=lambda pattern: str(pattern.pattern))
def test_every_view_that_is_not_private_stands_before_the_login_wall(pattern: URLPattern) -> None:
    assert getattr(pattern.callback, "login_required", True) is (pattern.name in PRIVATE)


def test_every_database_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_ory_logout.views.base.connections", ["default", "replica", "sessions"])

    view = non_atomic(lambda request: request)

    assert vars(view)["_non_atomic_requests"] == {"default", "replica", "sessions"}
