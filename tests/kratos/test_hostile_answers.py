"""Ids that no database stores, and bodies that parsers read differently: a clear answer of each journey, never 500."""

import json
from typing import Any

import pytest

from django_ory_logout.testing import Kratos, KratosNetwork
from django_ory_logout.testing.kratos import Identity, Session

from ..conftest import SiteBrowser
from .conftest import KratosBrowser

pytestmark = pytest.mark.django_db

WHOAMI, SESSIONS = "/sessions/whoami", "/sessions"


@pytest.fixture
def signed_in(browser_of: KratosBrowser, session: Session) -> SiteBrowser:
    browser = browser_of(session)
    assert browser.user
    return browser


@pytest.mark.parametrize("name", ["id", "identity"])
def test_id_that_cannot_be_stored_is_the_clear_error_of_the_journey(
    wire: KratosNetwork, browser_of: KratosBrowser, session: Session, name: str
) -> None:
    wire.change(WHOAMI, lambda document: {**document, name: {"id": "\ud800"} if name == "identity" else "\ud800"})

    for path in ("/private/", "/auth/login/", "/auth/kratos/sessions/", "/auth/kratos/logout/browser/"):
        assert browser_of(session).get(path).status_code == 500
    browser = browser_of(session)
    assert browser.post("/auth/logout/").status_code in {200, 302}


@pytest.mark.parametrize(
    "traits", [{"email": "\ud800@a"}, {"name": "\ud800"}, {"name": {"first": "a\0b"}}, {"\udfff": 1}]
)
def test_trait_that_no_database_stores_keeps_nobody_out(
    wire: KratosNetwork, browser_of: KratosBrowser, session: Session, traits: dict[str, Any]
) -> None:
    wire.change(WHOAMI, lambda document: {**document, "identity": {**document["identity"], "traits": traits}})

    assert browser_of(session).user


def test_session_of_the_list_that_cannot_be_stored(
    signed_in: SiteBrowser, wire: KratosNetwork, kratos: Kratos, amber: Identity
) -> None:
    kratos.sign_in(amber)
    wire.replace(SESSIONS, b'[{"id": "\\ud800", "active": true, "identity": {"id": "a"}}]')

    assert signed_in.get("/auth/kratos/sessions/").status_code == 500
    assert signed_in.get("/auth/sessions/").status_code == 200
    assert signed_in.post("/auth/sessions/", {"end": "others"}).status_code == 503


# Bodies of native applications


def end(body: str) -> Any:
    return SiteBrowser().delete("/auth/kratos/logout/api/", body, content_type="application/json")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[" * 100_000,
        '{"session_token":' * 936,
        '{"session_token": NaN}',
        '{"session_token": "a", "session_token": "b"}',
        '\ufeff{"session_token": "a"}',
    ],
)
def test_native_logout_needs_json(wire: KratosNetwork, body: str) -> None:
    answer = end(body)

    assert (answer.status_code, answer.json()) == (400, {"error": "body_not_json"})
    assert wire.calls == []


@pytest.mark.parametrize("body", [[], None, 7, {}, {"session_token": ""}, {"session_token": 7}, {"token": "a"}])
def test_native_logout_needs_a_token(wire: KratosNetwork, body: object) -> None:
    answer = end(json.dumps(body))

    assert (answer.status_code, answer.json()) == (400, {"error": "session_token_missing"})
    assert wire.calls == []


@pytest.mark.parametrize("token", ["\ud800", "a\0b", "ünsendable"])
def test_token_that_kratos_cannot_have_given(wire: KratosNetwork, token: str) -> None:
    assert end(json.dumps({"session_token": token})).status_code == 204


@pytest.mark.parametrize("token", ["", "%ED%A0%80"])
def test_logout_link_without_its_token(signed_in: SiteBrowser, token: str) -> None:
    answer = signed_in.get(f"/auth/kratos/logout/?token={token}", headers={"Accept": "application/json"})

    assert answer.status_code == (403 if token else 400)
    assert answer.json()["error"] == ("logout_token_foreign" if token else "link_token_missing")
    assert signed_in.user


def test_native_logout_where_no_kratos_is_configured(settings: Any) -> None:
    entry = {"ISSUER": "https://op.example", "CLIENT_ID": "a", "CLIENT_SECRET": "b"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": entry}}

    answer = end('{"session_token": "ory_st_a"}')

    assert (answer.status_code, answer.json()) == (400, {"error": "kratos_not_configured"})
