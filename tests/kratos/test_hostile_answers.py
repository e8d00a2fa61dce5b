"""Ids that no database can store, and bodies that parsers read differently: no view answers with 500."""

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
def test_an_id_that_cannot_be_stored_is_a_clear_error(
    kratos_network: KratosNetwork, browser_of: KratosBrowser, session: Session, name: str
) -> None:
    kratos_network.change(
        WHOAMI, lambda document: {**document, name: {"id": "\ud800"} if name == "identity" else "\ud800"}
    )

    for path in ("/private/", "/auth/login/", "/auth/kratos/sessions/", "/auth/kratos/logout/browser/"):
        assert browser_of(session).get(path).status_code == 500
    browser = browser_of(session)
    assert browser.post("/auth/logout/").status_code in {200, 302}


@pytest.mark.parametrize(
    "traits", [{"email": "\ud800@a"}, {"name": "\ud800"}, {"name": {"first": "a\0b"}}, {"\udfff": 1}]
)
def test_a_trait_that_cannot_be_stored_does_not_stop_the_sign_in(
    kratos_network: KratosNetwork, browser_of: KratosBrowser, session: Session, traits: dict[str, Any]
) -> None:
    kratos_network.change(WHOAMI, lambda document: {**document, "identity": {**document["identity"], "traits": traits}})

    assert browser_of(session).user


def test_a_listed_session_that_cannot_be_stored_is_skipped(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, kratos: Kratos, amber: Identity
) -> None:
    kratos.sign_in(amber)
    kratos_network.replace(SESSIONS, b'[{"id": "\\ud800", "active": true, "identity": {"id": "a"}}]')

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
def test_native_logout_needs_json(kratos_network: KratosNetwork, body: str) -> None:
    answer = end(body)

    assert (answer.status_code, answer.json()) == (400, {"error": "body_not_json"})
    assert kratos_network.calls == []


@pytest.mark.parametrize("body", [[], None, 7, {}, {"session_token": ""}, {"session_token": 7}, {"token": "a"}])
def test_native_logout_needs_a_token(kratos_network: KratosNetwork, body: object) -> None:
    answer = end(json.dumps(body))

    assert (answer.status_code, answer.json()) == (400, {"error": "session_token_missing"})
    assert kratos_network.calls == []


@pytest.mark.parametrize("token", ["\ud800", "a\0b", "ünsendable"])
def test_a_token_that_kratos_cannot_have_issued_is_refused(kratos_network: KratosNetwork, token: str) -> None:
    assert end(json.dumps({"session_token": token})).status_code == 204


@pytest.mark.parametrize("token", ["", "%ED%A0%80"])
def test_a_logout_link_without_its_token_is_refused(signed_in: SiteBrowser, token: str) -> None:
    answer = signed_in.get(f"/auth/kratos/logout/?token={token}", headers={"Accept": "application/json"})

    assert answer.status_code == (403 if token else 400)
    assert answer.json()["error"] == ("logout_token_foreign" if token else "link_token_missing")
    assert signed_in.user


def test_native_logout_without_kratos_is_refused(settings: Any) -> None:
    entry = {"ISSUER": "https://op.example", "CLIENT_ID": "a", "CLIENT_SECRET": "b"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": entry}}

    answer = end('{"session_token": "ory_st_a"}')

    assert (answer.status_code, answer.json()) == (400, {"error": "kratos_not_configured"})
