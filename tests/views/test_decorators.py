"""Behaviour that all views share."""

import pytest
from django.db import connections
from django.urls import URLPattern

from django_ory_logout.exceptions import ProviderUnavailable, SetupError
from django_ory_logout.urls import urlpatterns
from django_ory_logout.views.requests import non_atomic
from django_ory_logout.views.responses import error_json

PRIVATE = {"sessions"}


@pytest.mark.parametrize("pattern", urlpatterns, ids=lambda pattern: str(pattern.pattern))
def test_no_view_runs_in_a_transaction(pattern: URLPattern) -> None:
    assert getattr(pattern.callback, "_non_atomic_requests", set()) == set(connections)


@pytest.mark.parametrize("pattern", urlpatterns, ids=lambda pattern: str(pattern.pattern))
def test_every_public_view_is_exempt_from_login_required_middleware(pattern: URLPattern) -> None:
    assert getattr(pattern.callback, "login_required", True) is (pattern.name in PRIVATE)


def test_every_database_is_used_without_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_ory_logout.views.requests.connections", ["default", "replica", "sessions"])

    view = non_atomic(lambda request: request)

    assert vars(view)["_non_atomic_requests"] == {"default", "replica", "sessions"}


def test_a_program_learns_when_to_try_again() -> None:
    answer = error_json(ProviderUnavailable("unreachable"))

    assert (answer.status_code, answer["Retry-After"], answer.content) == (503, "5", b'{"error": "unreachable"}')


def test_a_program_gets_no_retry_time_if_it_does_not_help() -> None:
    answer = error_json(SetupError("issuer_mismatch"))

    assert (answer.status_code, answer.get("Retry-After"), answer.content) == (
        500,
        None,
        b'{"error": "issuer_mismatch"}',
    )
