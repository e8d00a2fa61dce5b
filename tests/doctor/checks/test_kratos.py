"""Kratos' rows: green with a correct set-up of Kratos, red for each fault."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from django_ory_logout.doctor import Verdict
from django_ory_logout.models import LoginSession
from django_ory_logout.testing import Kratos, KratosNetwork, connect_kratos

from ...conftest import SiteBrowser
from ..targets import not_green, row

pytestmark = pytest.mark.django_db

#: A subdomain of the site's own host, with a cookie for both.
PUBLIC_URL, ADMIN_URL = "https://login.rp.example", "http://kratos:4434"
LOGIN, WHOAMI = "/self-service/login/browser", "/sessions/whoami"
CSRF = "csrf_token_5f1c=value; Path=/; HttpOnly; SameSite=Lax"
NOBODY = "/admin/identities/00000000-0000-0000-0000-000000000000/sessions"


@pytest.fixture
def kratos() -> Kratos:
    return Kratos(PUBLIC_URL, allowed_return_urls=["https://rp.example"])


@pytest.fixture
def kratos_network(kratos: Kratos) -> Iterator[KratosNetwork]:
    with connect_kratos(kratos, PUBLIC_URL, ADMIN_URL) as kratos_network:
        give_cookie(kratos_network, f"{CSRF}; Domain=rp.example")
        yield kratos_network


@pytest.fixture(autouse=True)
def configured(settings: Any, kratos_network: KratosNetwork) -> dict[str, Any]:
    """A site where users sign in with Kratos only."""
    given: dict[str, Any] = {"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": ADMIN_URL}
    settings.ORY_LOGOUT = {"SITE_URL": "https://rp.example", "PROVIDERS": {"default": {"KRATOS": given}}}
    return given


def give_cookie(kratos_network: KratosNetwork, cookie: str) -> None:
    """Kratos answers the start of each sign-in with this ``Set-Cookie``."""
    headers = {"Content-Type": "application/json", **({"Set-Cookie": cookie} if cookie else {})}
    kratos_network.replace(LOGIN, b"{}", headers=headers)


def red() -> dict[str, Verdict]:
    return not_green("kratos", "history", "registration")


def test_a_healthy_set_up_is_green(kratos_network: KratosNetwork) -> None:
    assert red() == {}
    assert row("kratos.cookie").found == "Domain rp.example, path /."
    assert [call.headers["Accept"] for call in kratos_network.calls if LOGIN in call.url] == ["application/json"] * 3


def test_a_healthy_set_up_on_one_host_is_green(settings: Any, kratos: Kratos, kratos_network: KratosNetwork) -> None:
    """The answers come from the fake Kratos itself: its cookie has no domain, so it belongs to Kratos' host."""
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "SITE_URL": PUBLIC_URL}
    kratos.allowed_return_urls = [PUBLIC_URL]
    kratos_network.mend()

    assert red() == {}
    assert row("kratos.cookie").found == "Domain login.rp.example, path /."


# Public API


FOLLOWING = {"kratos.return_to": Verdict.UNKNOWN, "kratos.cookie": Verdict.UNKNOWN}


def test_an_unreachable_public_api_turns_red(kratos_network: KratosNetwork) -> None:
    for path in (WHOAMI, LOGIN):
        kratos_network.down(path)

    assert red() == {"kratos.public": Verdict.FAIL, **FOLLOWING}
    assert "unreachable" in row("kratos.public").found
    assert {row(check).found for check in FOLLOWING} == {"See kratos.public."}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"not here", "does not answer as Kratos does: kratos_unusable"),
        (200, b"<html>", "does not answer as Kratos does: not_json"),
        (400, b'{"error": {"code": 400, "message": "no"}}', "does not answer as Kratos does: kratos_refused"),
    ],
)
def test_another_server_in_place_of_kratos_turns_red(
    kratos_network: KratosNetwork, status: int, body: bytes, words: str
) -> None:
    kratos_network.replace(WHOAMI, body, status=status)

    assert red() == {"kratos.public": Verdict.FAIL}
    assert words in row("kratos.public").found


def test_a_kratos_that_answers_a_session_for_everyone_turns_red(kratos_network: KratosNetwork, kratos: Kratos) -> None:
    session = kratos.sign_in(kratos.identity("amber@example.org"))
    told: dict[str, Any] = {"id": session.id, "active": True, "identity": {"id": session.identity.id}}
    told |= dict.fromkeys(("expires_at", "authenticated_at", "issued_at"), "2026-01-01T00:00:00Z")
    kratos_network.replace(WHOAMI, json.dumps(told).encode())

    assert red() == {"kratos.public": Verdict.FAIL}
    assert row("kratos.public").found == f"{PUBLIC_URL} accepts an invalid session token."


# Return URL


def test_a_site_that_is_no_allowed_return_url_turns_red(
    kratos: Kratos, kratos_network: KratosNetwork, settings: Any
) -> None:
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "SITE_URL": PUBLIC_URL}
    kratos.allowed_return_urls = ["https://elsewhere.example"]
    kratos_network.mend()

    assert red() == {"kratos.return_to": Verdict.FAIL, "kratos.cookie": Verdict.UNKNOWN}
    assert row("kratos.return_to").todo == "Add it to selfservice.allowed_return_urls."


def test_a_refusal_of_the_real_kratos_with_its_cookie_turns_red(kratos_network: KratosNetwork) -> None:
    """The answer of Kratos v26.2.0."""
    body = (
        b'{"error":{"id":"self_service_flow_return_to_forbidden","code":400,"status":"Bad Request","reason":"Requested '
        b'return_to URL \\"https://rp.example/auth/login/\\" is not allowed.","message":"The request was malformed or '
        b'contained invalid parameters"}}'
    )
    headers = {"Content-Type": "application/json", "Set-Cookie": f"{CSRF}; Domain=rp.example"}
    kratos_network.replace(LOGIN, body, status=400, headers=headers)

    assert red() == {"kratos.return_to": Verdict.FAIL}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":{"id":"another","code":400}}'),
        (502, b'{"error":{"id":"self_service_flow_return_to_forbidden"}}'),
    ],
)
def test_another_refusal_is_shown(kratos_network: KratosNetwork, status: int, body: bytes) -> None:
    kratos_network.replace(LOGIN, body, status=status, headers={"Set-Cookie": f"{CSRF}; Domain=rp.example"})

    assert red() == {"kratos.return_to": Verdict.UNKNOWN}


def test_a_sign_in_that_cannot_start_turns_red(kratos_network: KratosNetwork) -> None:
    kratos_network.replace(LOGIN, b"{}", status=500)

    assert red() == FOLLOWING
    assert row("kratos.return_to").found == "Kratos answers 500 to the start of a sign-in."


# The cookie


@pytest.mark.parametrize(
    ("cookie", "words"),
    [
        (CSRF, "Domain login.rp.example, path /: browsers do not send it to rp.example."),
        (
            f"{CSRF}; Domain=.login.rp.example",
            "Domain login.rp.example, path /: browsers do not send it to rp.example.",
        ),
        (f"{CSRF}; Domain=p.example", "Domain p.example, path /: browsers do not send it to rp.example."),
        (
            f"{CSRF.replace('Path=/', 'Path=/kratos')}; Domain=rp.example",
            "Domain rp.example, path /kratos: browsers do not send it to rp.example.",
        ),
    ],
    ids=["of its host alone", "below", "another that ends alike", "of another path"],
)
def test_a_cookie_that_does_not_reach_the_site_turns_red(
    kratos_network: KratosNetwork, cookie: str, words: str
) -> None:
    give_cookie(kratos_network, cookie)

    assert red() == {"kratos.cookie": Verdict.FAIL}
    assert row("kratos.cookie").found == words


def test_a_host_cookie_of_a_parent_host_turns_red(
    configured: dict[str, Any], kratos_network: KratosNetwork, settings: Any
) -> None:
    """A cookie without a domain belongs to that host only."""
    kratos = {**configured, "PUBLIC_URL": "https://example", "INTERNAL_URL": PUBLIC_URL}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": {"KRATOS": kratos}}}
    assert red() == {}

    give_cookie(kratos_network, CSRF)
    assert red() == {"kratos.cookie": Verdict.FAIL}


@pytest.mark.parametrize("domain", ["RP.example", ".rp.example", "example"])
def test_a_cookie_that_reaches_the_site_is_green(kratos_network: KratosNetwork, domain: str) -> None:
    give_cookie(kratos_network, f"{CSRF}; Domain={domain}")

    assert red() == {}


@pytest.mark.parametrize("cookie", ["", "__cf_bm=of-a-proxy; Path=/; Domain=rp.example"])
def test_a_missing_kratos_cookie_turns_red(kratos_network: KratosNetwork, cookie: str) -> None:
    give_cookie(kratos_network, cookie)

    assert red() == {"kratos.cookie": Verdict.UNKNOWN}


def test_the_session_cookie_can_have_its_own_domain(kratos_network: KratosNetwork, django_user_model: Any) -> None:
    give_cookie(kratos_network, CSRF)
    now = timezone.now()
    LoginSession.objects.create(
        user=django_user_model.objects.create(username="amber"),
        issuer=PUBLIC_URL,
        subject="amber",
        sid="sid",
        iat=now,
        created_at=now,
        last_seen_at=now,
        expires_at=now,
    )

    assert red() == {}
    assert "The session cookie arrives, so it has others." in row("kratos.cookie").found


# Admin API


def test_an_unreachable_admin_api_turns_red(kratos_network: KratosNetwork) -> None:
    kratos_network.down(NOBODY)

    assert red() == {"kratos.admin": Verdict.FAIL}
    assert "unreachable" in row("kratos.admin").found


def test_an_admin_api_with_another_key_turns_red(kratos_network: KratosNetwork) -> None:
    kratos_network.replace(NOBODY, b"{}", status=401)

    assert red() == {"kratos.admin": Verdict.FAIL}


def test_a_missing_admin_api_is_green(configured: dict[str, Any], settings: Any) -> None:
    kratos = {"PUBLIC_URL": PUBLIC_URL}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": {"KRATOS": kratos}}}

    assert red() == {}
    assert row("kratos.admin").found.startswith("None is configured")


def test_the_checks_sign_nobody_in(kratos_network: KratosNetwork, kratos: Kratos) -> None:
    red()

    assert not kratos.sessions
    assert SiteBrowser().user is None
