"""Kratos' rows: green at a Kratos that is set up well, red in each of their ways."""

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

#: Below the site's own host, and with a cookie for both.
PUBLIC_URL, ADMIN_URL = "https://login.rp.example", "http://kratos:4434"
LOGIN, WHOAMI = "/self-service/login/browser", "/sessions/whoami"
CSRF = "csrf_token_5f1c=value; Path=/; HttpOnly; SameSite=Lax"
NOBODY = "/admin/identities/00000000-0000-0000-0000-000000000000/sessions"


@pytest.fixture
def kratos() -> Kratos:
    return Kratos(PUBLIC_URL, allowed_return_urls=["https://rp.example"])


@pytest.fixture
def wire(kratos: Kratos) -> Iterator[KratosNetwork]:
    with connect_kratos(kratos, PUBLIC_URL, ADMIN_URL) as wire:
        give_cookie(wire, f"{CSRF}; Domain=rp.example")
        yield wire


@pytest.fixture(autouse=True)
def configured(settings: Any, wire: KratosNetwork) -> dict[str, Any]:
    """A site at which people sign in by Kratos alone."""
    given: dict[str, Any] = {"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": ADMIN_URL}
    settings.ORY_LOGOUT = {"SITE_URL": "https://rp.example", "PROVIDERS": {"default": {"KRATOS": given}}}
    return given


def give_cookie(wire: KratosNetwork, cookie: str) -> None:
    """Begin each sign-in with this ``Set-Cookie``."""
    headers = {"Content-Type": "application/json", **({"Set-Cookie": cookie} if cookie else {})}
    wire.replace(LOGIN, b"{}", headers=headers)


def red() -> dict[str, Verdict]:
    return not_green("kratos", "history", "registration")


def test_healthy(wire: KratosNetwork) -> None:
    assert red() == {}
    assert row("kratos.cookie").found == "Domain rp.example, path /."
    assert [call.headers["Accept"] for call in wire.calls if LOGIN in call.url] == ["application/json"] * 3


def test_healthy_on_one_host(settings: Any, kratos: Kratos, wire: KratosNetwork) -> None:
    """With the answers of the Kratos itself: its cookie has no domain, and goes to its own host."""
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "SITE_URL": PUBLIC_URL}
    kratos.allowed_return_urls = [PUBLIC_URL]
    wire.mend()

    assert red() == {}
    assert row("kratos.cookie").found == "Domain login.rp.example, path /."


# Public API


FOLLOWING = {"kratos.return_to": Verdict.UNKNOWN, "kratos.cookie": Verdict.UNKNOWN}


def test_public_api_out_of_reach(wire: KratosNetwork) -> None:
    for path in (WHOAMI, LOGIN):
        wire.down(path)

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
def test_another_answers_in_its_place(wire: KratosNetwork, status: int, body: bytes, words: str) -> None:
    wire.replace(WHOAMI, body, status=status)

    assert red() == {"kratos.public": Verdict.FAIL}
    assert words in row("kratos.public").found


def test_it_knows_everybody(wire: KratosNetwork, kratos: Kratos) -> None:
    session = kratos.sign_in(kratos.identity("amber@example.org"))
    told: dict[str, Any] = {"id": session.id, "active": True, "identity": {"id": session.identity.id}}
    told |= dict.fromkeys(("expires_at", "authenticated_at", "issued_at"), "2026-01-01T00:00:00Z")
    wire.replace(WHOAMI, json.dumps(told).encode())

    assert red() == {"kratos.public": Verdict.FAIL}
    assert row("kratos.public").found == f"{PUBLIC_URL} knows everybody."


# The way back


def test_site_is_no_allowed_return_url(kratos: Kratos, wire: KratosNetwork, settings: Any) -> None:
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "SITE_URL": PUBLIC_URL}
    kratos.allowed_return_urls = ["https://elsewhere.example"]
    wire.mend()

    assert red() == {"kratos.return_to": Verdict.FAIL, "kratos.cookie": Verdict.UNKNOWN}
    assert row("kratos.return_to").todo == "Add it to selfservice.allowed_return_urls."


def test_refused_by_the_real_kratos_with_its_cookie(wire: KratosNetwork) -> None:
    """As v26.2.0 answers."""
    body = (
        b'{"error":{"id":"self_service_flow_return_to_forbidden","code":400,"status":"Bad Request","reason":"Requested '
        b'return_to URL \\"https://rp.example/auth/login/\\" is not allowed.","message":"The request was malformed or '
        b'contained invalid parameters"}}'
    )
    headers = {"Content-Type": "application/json", "Set-Cookie": f"{CSRF}; Domain=rp.example"}
    wire.replace(LOGIN, body, status=400, headers=headers)

    assert red() == {"kratos.return_to": Verdict.FAIL}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":{"id":"another","code":400}}'),
        (502, b'{"error":{"id":"self_service_flow_return_to_forbidden"}}'),
    ],
)
def test_refused_otherwise(wire: KratosNetwork, status: int, body: bytes) -> None:
    wire.replace(LOGIN, body, status=status, headers={"Set-Cookie": f"{CSRF}; Domain=rp.example"})

    assert red() == {"kratos.return_to": Verdict.UNKNOWN}


def test_start_of_a_sign_in_fails(wire: KratosNetwork) -> None:
    wire.replace(LOGIN, b"{}", status=500)

    assert red() == FOLLOWING
    assert row("kratos.return_to").found == "Kratos answers 500 to the start of a sign-in."


# The cookie


@pytest.mark.parametrize(
    ("cookie", "words"),
    [
        (CSRF, "Domain login.rp.example, path /: it does not reach rp.example."),
        (f"{CSRF}; Domain=.login.rp.example", "Domain login.rp.example, path /: it does not reach rp.example."),
        (f"{CSRF}; Domain=p.example", "Domain p.example, path /: it does not reach rp.example."),
        (
            f"{CSRF.replace('Path=/', 'Path=/kratos')}; Domain=rp.example",
            "Domain rp.example, path /kratos: it does not reach rp.example.",
        ),
    ],
    ids=["of its host alone", "below", "another that ends alike", "of another path"],
)
def test_cookie_does_not_reach_the_site(wire: KratosNetwork, cookie: str, words: str) -> None:
    give_cookie(wire, cookie)

    assert red() == {"kratos.cookie": Verdict.FAIL}
    assert row("kratos.cookie").found == words


def test_cookie_of_a_host_above_the_site(configured: dict[str, Any], wire: KratosNetwork, settings: Any) -> None:
    """Without a domain it goes to that host alone."""
    kratos = {**configured, "PUBLIC_URL": "https://example", "INTERNAL_URL": PUBLIC_URL}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": {"KRATOS": kratos}}}
    assert red() == {}

    give_cookie(wire, CSRF)
    assert red() == {"kratos.cookie": Verdict.FAIL}


@pytest.mark.parametrize("domain", ["RP.example", ".rp.example", "example"])
def test_cookie_reaches_the_site(wire: KratosNetwork, domain: str) -> None:
    give_cookie(wire, f"{CSRF}; Domain={domain}")

    assert red() == {}


@pytest.mark.parametrize("cookie", ["", "__cf_bm=of-a-proxy; Path=/; Domain=rp.example"])
def test_no_cookie_of_kratos(wire: KratosNetwork, cookie: str) -> None:
    give_cookie(wire, cookie)

    assert red() == {"kratos.cookie": Verdict.UNKNOWN}


def test_session_cookie_has_a_domain_of_its_own(wire: KratosNetwork, django_user_model: Any) -> None:
    give_cookie(wire, CSRF)
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
    assert "that of sessions has to be another" in row("kratos.cookie").found


# Admin API


def test_admin_api_out_of_reach(wire: KratosNetwork) -> None:
    wire.down(NOBODY)

    assert red() == {"kratos.admin": Verdict.FAIL}
    assert "unreachable" in row("kratos.admin").found


def test_admin_api_wants_another_key(wire: KratosNetwork) -> None:
    wire.replace(NOBODY, b"{}", status=401)

    assert red() == {"kratos.admin": Verdict.FAIL}


def test_no_admin_api(configured: dict[str, Any], settings: Any) -> None:
    kratos = {"PUBLIC_URL": PUBLIC_URL}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": {"KRATOS": kratos}}}

    assert red() == {}
    assert row("kratos.admin").found.startswith("None is configured")


def test_nobody_is_signed_in_by_looking(wire: KratosNetwork, kratos: Kratos) -> None:
    red()

    assert not kratos.sessions
    assert SiteBrowser().user is None
