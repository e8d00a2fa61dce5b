"""States of a logout, and the parameters that a browser sends to the provider."""

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.sessions.backends import signed_cookies
from django.core import signing
from django.http import HttpRequest
from hypothesis import given
from hypothesis import strategies as st

from django_ory_logout.flows import logout
from django_ory_logout.flows.logout import end_session_request, held_end_session_request, new_state
from django_ory_logout.sessions.store import indexed
from django_ory_logout.sessions.stored_login import StoredLogin
from django_ory_logout.testing import Network

from ..conftest import Configure, Logged

LOGIN = StoredLogin(issuer="https://op.example", client_id="django-site", id_token="the-id-token")


@given(next_url=st.text())
def test_the_state_contains_next(next_url: str) -> None:
    assert signing.loads(new_state(next_url), salt=logout.SALT)["next"] == next_url


@pytest.mark.parametrize("incomplete", [True, False])
def test_the_state_contains_unconfirmed_logouts(incomplete: bool) -> None:
    returned = logout.return_from_provider(request_of_nobody(), new_state("/bye/", incomplete=incomplete))

    assert returned == logout.LogoutCallback(started_here=True, next="/bye/", incomplete=incomplete)


def request_of_nobody() -> HttpRequest:
    request = HttpRequest()
    request.session = indexed(signed_cookies.SessionStore)()
    return request


def test_every_state_is_different() -> None:
    assert new_state("/") != new_state("/")


def test_the_request_names_hint_client_redirect_uri_and_state(network: Network) -> None:
    request = end_session_request(LOGIN, "the-state")

    assert request is not None
    assert request.parameters == {
        "id_token_hint": "the-id-token",
        "client_id": "django-site",
        "post_logout_redirect_uri": "https://rp.example/auth/logout/callback/",
        "state": "the-state",
    }
    assert not request.by_post
    assert "the-id-token" not in repr(request)


def test_a_request_from_the_stored_login_is_the_same(network: Network) -> None:
    request = end_session_request(LOGIN, "the-state")
    network.calls.clear()

    assert held_end_session_request(LOGIN, "the-state") == request
    assert network.calls == []


def test_no_stored_login_means_no_request_and_no_call(network: Network, logged: Logged) -> None:
    assert held_end_session_request(LOGIN, "the-state") is None
    assert network.calls == []
    assert logged() == []


KRATOS = "https://login.example"
OF_KRATOS = StoredLogin(issuer=KRATOS)


def test_the_request_of_a_session_that_kratos_opened_for_hydra_has_no_parameter(
    network: Network, configure: Configure
) -> None:
    configure(KRATOS={"PUBLIC_URL": KRATOS})

    request = end_session_request(OF_KRATOS, "the-state")

    assert request is not None
    assert request.url == "https://op.example/oauth2/sessions/logout"
    assert not request.by_post


def test_a_session_of_kratos_alone_needs_no_request(network: Network, settings: Any, logged: Logged) -> None:
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    both = {"default": default, "kratos": {"KRATOS": {"PUBLIC_URL": KRATOS}}}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": both}

    assert end_session_request(OF_KRATOS, "the-state") is None
    assert network.calls == []
    assert logged() == []


@pytest.mark.parametrize("changes", [{"issuer": "https://other.example"}, {"client_id": "another"}])
def test_a_client_that_is_no_longer_configured_needs_no_request(network: Network, changes: dict[str, Any]) -> None:
    assert end_session_request(replace(LOGIN, **changes), "the-state") is None
    assert held_end_session_request(replace(LOGIN, **changes), "the-state") is None
    assert network.calls == []


def test_the_request_follows_the_settings(network: Network, configure: Configure) -> None:
    configure(END_SESSION_REQUEST_METHOD="POST", POST_LOGOUT_REDIRECT_URI="https://rp.example/bye")

    request = end_session_request(LOGIN, "the-state")

    assert request is not None
    assert request.by_post
    assert request.parameters["post_logout_redirect_uri"] == "https://rp.example/bye"
