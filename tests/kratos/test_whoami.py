"""Whose cookie or session token is it? The app asks Kratos seldom, and never guesses the answer."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from django_ory_logout import conf
from django_ory_logout.cache import SharedCache
from django_ory_logout.conf import KratosConfig
from django_ory_logout.exceptions import KratosError, OryLogoutError, ProviderUnavailable, SetupError, TemporaryError
from django_ory_logout.kratos import whoami
from django_ory_logout.kratos.whoami import COOL_DOWN_SECONDS, KratosSession, WhoamiResult
from django_ory_logout.models import LogoutReceipt, moment
from django_ory_logout.ory import kratos as documents
from django_ory_logout.ory.kratos import Credential
from django_ory_logout.sessions import receipts
from django_ory_logout.testing import Kratos, KratosNetwork
from django_ory_logout.testing.kratos import Address, Identity, Session

from ..conftest import Clock
from .conftest import COOKIE, PUBLIC_URL

pytestmark = pytest.mark.django_db

WHOAMI = "/sessions/whoami"
Calls = Callable[[], int]


def configured() -> KratosConfig:
    return conf.get().kratos[0]


def cookie_of(session: Session) -> Credential:
    return Credential(session.cookie, COOKIE)


@pytest.fixture(params=["cookie", "token"])
def credential(request: pytest.FixtureRequest, session: Session) -> Credential:
    return cookie_of(session) if request.param == "cookie" else Credential(session.token)


def asked(credential: Credential) -> WhoamiResult:
    return whoami.lookup(configured(), credential)


# The credential of a request


def request_with(**headers: str) -> HttpRequest:
    return RequestFactory().get("/", headers=headers)


def test_a_request_without_a_credential_has_none() -> None:
    assert whoami.credential_of(request_with(), configured()) is None


def test_the_cookie_is_the_credential() -> None:
    found = whoami.credential_of(request_with(cookie=f"{COOKIE}=value; other=1"), configured())

    assert found == Credential("value", COOKIE)
    assert not found.is_token


def test_a_cookie_with_another_name_is_the_credential(configure_kratos: Callable[..., None]) -> None:
    configure_kratos(COOKIE_NAME="people.session")

    assert whoami.credential_of(request_with(cookie=f"{COOKIE}=value"), configured()) is None
    found = whoami.credential_of(request_with(cookie="people.session=value"), configured())
    assert found == Credential("value", "people.session")


def test_the_token_wins_over_the_cookie() -> None:
    request = request_with(**{"cookie": f"{COOKIE}=value", "x-session-token": "token"})

    assert whoami.credential_of(request, configured()) == Credential("token")
    assert whoami.cookie_of(request, configured()) == Credential("value", COOKIE)


@pytest.mark.parametrize("headers", [{"cookie": f"{COOKIE}="}, {"x-session-token": ""}])
def test_an_empty_credential_is_none(headers: dict[str, str]) -> None:
    assert whoami.credential_of(request_with(**headers), configured()) is None


def test_an_empty_token_with_a_cookie_is_none() -> None:
    request = request_with(**{"cookie": f"{COOKIE}=value", "x-session-token": ""})

    assert whoami.credential_of(request, configured()) == Credential("value", COOKIE)


def test_the_authorization_header_is_no_kratos_credential() -> None:
    """It may belong to the site, and Kratos would read it as a session token."""
    assert whoami.credential_of(request_with(authorization="Bearer ory_st_token"), configured()) is None


# The answer of Kratos


def test_an_active_session_is_found(kratos_network: KratosNetwork, credential: Credential, session: Session) -> None:
    found = asked(credential)

    assert found.code == ""
    assert found.session
    assert (found.session.issuer, found.session.subject, found.session.sid) == (
        PUBLIC_URL,
        session.identity.id,
        session.id,
    )
    assert found.session.iat == pytest.approx(session.authenticated_at)
    assert found.session.expires_at == pytest.approx(session.expires_at)


def test_kratos_receives_only_the_credential(kratos_network: KratosNetwork, session: Session) -> None:
    asked(cookie_of(session))
    asked(Credential(session.token))

    by_cookie, by_token = (call.headers for call in kratos_network.calls)
    assert by_cookie["Cookie"] == f"{COOKIE}={session.cookie}"
    assert by_token["X-Session-Token"] == session.token
    assert "X-Session-Token" not in by_cookie
    assert "Cookie" not in by_token
    assert "Authorization" not in {**by_cookie, **by_token}


def disabled(kratos: Kratos, session: Session) -> None:
    kratos.end(session.id)


def deactivated(kratos: Kratos, session: Session) -> None:
    session.identity.state = "inactive"


def deleted(kratos: Kratos, session: Session) -> None:
    kratos.delete_sessions(session.identity.id)


def expired(kratos: Kratos, session: Session) -> None:
    session.expires_at = kratos.clock() - 1


End = Callable[[Kratos, Session], None]
every_end = pytest.mark.parametrize("end", [disabled, deactivated, deleted, expired], ids=lambda end: end.__name__)


@every_end
def test_an_ended_session_is_refused(
    kratos_network: KratosNetwork, kratos: Kratos, session: Session, credential: Credential, end: End
) -> None:
    end(kratos, session)

    assert asked(credential) == WhoamiResult(code="session_inactive")


@pytest.mark.parametrize("value", ["unknown", "not sendable\n", "Ünicode", "\u2028", "x" * 10_000])
@pytest.mark.parametrize("cookie_name", ["", COOKIE])
def test_an_unknown_credential_is_refused(kratos_network: KratosNetwork, value: str, cookie_name: str) -> None:
    assert asked(Credential(value, cookie_name)) == WhoamiResult(code="session_inactive")


def test_a_missing_second_factor_is_refused(
    kratos_network: KratosNetwork, kratos: Kratos, session: Session, credential: Credential
) -> None:
    kratos.required_aal, session.identity.totp_secret = "highest_available", "JBSWY3DPEHPK3PXP"

    assert asked(credential) == WhoamiResult(
        code="session_aal2_required", redirect_browser_to=f"{PUBLIC_URL}/self-service/login/browser?aal=aal2"
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"error": {"code": 500, "message": "the database is down"}}'),
        (502, b"<html>Bad Gateway</html>"),
        (503, b""),
        (429, b'{"error": {"code": 429}}'),
        (401, b"<html>Authorization Required</html>"),
        (401, b'{"message": "no key"}'),
        (401, b'{"error": {"code": 401, "reason": "the proxy wants a password"}}'),
        (403, b"<html>Forbidden</html>"),
        (403, b'{"error": {"code": 403, "reason": "blocked by a rule"}}'),
        (404, b"404 page not found\n"),
        (400, b'{"error": {"code": 400, "message": "malformed"}}'),
        (302, b""),
        (200, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"id": 7, "active": true}'),
        (200, b'{"id": "a", "active": true}'),
        (200, b'{"id": "a", "active": true, "identity": {"traits": {}}}'),
        (200, b'{"id": "\\ud800", "active": true, "identity": {"id": "a"}}'),
        (200, b'{"id": "a", "active": true, "identity": {"id": "a", "id": "b"}}'),
        (200, b'{"id": "a", "active": true, "identity": {"id": "a", "traits": ' + b"[" * 936 + b"]" * 936 + b"}}"),
        (200, b'\xef\xbb\xbf{"id": "a", "active": true, "identity": {"id": "a"}}'),
    ],
)
def test_an_answer_that_decides_nothing_is_not_kept(
    kratos_network: KratosNetwork, credential: Credential, status: int, body: bytes
) -> None:
    kratos_network.replace(WHOAMI, body, status=status)

    with pytest.raises(TemporaryError) as raised:
        asked(credential)

    assert isinstance(raised.value, SetupError) == (status in {200, 302, 400, 403, 404}), "waiting can help or not"
    kratos_network.mend()
    assert asked(credential).session, "the answer is not kept, and the app asks again at once"


def test_an_inactive_session_is_refused(kratos_network: KratosNetwork, credential: Credential) -> None:
    kratos_network.change(WHOAMI, lambda document: {**document, "active": False})

    assert asked(credential) == WhoamiResult(code="session_inactive")


def test_missing_times_are_now(kratos_network: KratosNetwork, credential: Credential, clock: Clock) -> None:
    kratos_network.change(WHOAMI, lambda document: {**document, "authenticated_at": None, "expires_at": None})

    found = asked(credential).session

    assert found
    assert found.iat == pytest.approx(time.time(), abs=5)
    assert found.expires_at == pytest.approx(time.time(), abs=5)


# The claims of a user


def identity(*addresses: Address, **traits: Any) -> documents.Identity:
    said = [{"value": address.value, "verified": address.verified, "via": address.via} for address in addresses]
    return documents.Identity.parse({"id": "id", "traits": traits, "verifiable_addresses": said})


@pytest.mark.parametrize(
    ("traits", "given_name", "family_name"),
    [
        ({"name": {"first": "Amber", "last": "Stone"}}, "Amber", "Stone"),
        ({"name": {"first_name": "Amber", "last_name": "Stone"}}, "Amber", "Stone"),
        ({"first_name": "Amber", "last_name": "Stone"}, "Amber", "Stone"),
        ({"given_name": "Amber", "family_name": "Stone"}, "Amber", "Stone"),
        ({"name": {"given_name": "Amber"}, "family_name": "Stone"}, "Amber", None),
        ({"name": "Amber Stone"}, "Amber Stone", None),
        ({"name": "Amber Stone", "given_name": "Amber", "family_name": "Stone"}, "Amber", "Stone"),
        ({"name": None, "first": "Amber", "last": "Stone"}, "Amber", "Stone"),
        ({}, None, None),
    ],
)
def test_names_come_from_the_traits(traits: dict[str, Any], given_name: str | None, family_name: str | None) -> None:
    claims = whoami.claims(identity(**traits))

    assert (claims["given_name"], claims["family_name"]) == (given_name, family_name)
    assert claims["traits"] == traits


@pytest.mark.parametrize(
    ("addresses", "verified"),
    [
        ([], False),
        ([Address("amber@example.org")], False),
        ([Address("amber@example.org", verified=True)], True),
        ([Address("AMBER@Example.org", verified=True)], True),
        ([Address("birch@example.org", verified=True)], False),
        ([Address("amber@example.org"), Address("birch@example.org", verified=True)], False),
        ([Address("amber@example.org", verified=True, via="sms")], False),
    ],
)
def test_an_address_is_verified_only_if_kratos_verified_that_address(addresses: list[Address], verified: bool) -> None:
    claims = whoami.claims(identity(*addresses, email="Amber@example.org"))

    assert (claims["email"], claims["email_verified"]) == ("Amber@example.org", verified)


@pytest.mark.parametrize("email", [None, 7, ["amber@example.org"], {}])
def test_a_trait_that_is_no_address_is_not_verified(email: Any) -> None:
    assert whoami.claims(identity(Address("amber@example.org", verified=True), email=email))["email_verified"] is False


def test_any_traits_can_become_claims(kratos_network: KratosNetwork, amber: Identity, credential: Credential) -> None:
    amber.traits = {"email": ["a"], "name": [{"first": 7}], "first": None, "phone": "+1"}

    found = asked(credential).session

    assert found
    assert found.claims["traits"] == amber.traits


# How often the app asks


def test_an_answer_is_kept_for_some_seconds(
    kratos_network: KratosNetwork, credential: Credential, clock: Clock, whoami_calls: Calls
) -> None:
    first = asked(credential)
    clock.advance(9)
    assert asked(credential) == first
    assert whoami_calls() == 1

    clock.advance(2)
    assert asked(credential) == first
    assert whoami_calls() == 1


def test_a_refusal_is_kept_as_long(kratos_network: KratosNetwork, clock: Clock, whoami_calls: Calls) -> None:
    for _ in range(3):
        assert asked(Credential("unknown")) == WhoamiResult(code="session_inactive")
    assert whoami_calls() == 1

    clock.advance(11)
    asked(Credential("unknown"))
    assert whoami_calls() == 1


def test_a_missing_second_factor_is_kept_as_long_for_a_cookie(
    kratos_network: KratosNetwork, kratos: Kratos, session: Session, whoami_calls: Calls
) -> None:
    """Kratos sets a new cookie with the second factor."""
    kratos.required_aal, session.identity.totp_secret = "highest_available", "JBSWY3DPEHPK3PXP"

    assert asked(cookie_of(session)) == asked(cookie_of(session))

    assert whoami_calls() == 1


def test_a_second_factor_for_a_token_is_noticed_at_once(
    kratos_network: KratosNetwork, kratos: Kratos, session: Session
) -> None:
    """The token stays the same."""
    kratos.required_aal, session.identity.totp_secret = "highest_available", "JBSWY3DPEHPK3PXP"
    assert asked(Credential(session.token)).code == "session_aal2_required"

    kratos.reauthenticate(session, "totp")

    assert asked(Credential(session.token)).session


@pytest.mark.parametrize(("seconds", "calls"), [(0, 3), (0.5, 1), (60, 1)])
def test_a_setting_says_how_long_an_answer_is_kept(
    kratos_network: KratosNetwork,
    credential: Credential,
    configure_kratos: Callable[..., None],
    whoami_calls: Calls,
    seconds: float,
    calls: int,
) -> None:
    configure_kratos(WHOAMI_SECONDS=seconds)

    for _ in range(3):
        assert asked(credential).session

    assert whoami_calls() == calls


def test_an_answer_is_kept_exactly_as_long_as_the_setting_says(
    kratos_network: KratosNetwork,
    credential: Credential,
    configure_kratos: Callable[..., None],
    clock: Clock,
    whoami_calls: Calls,
) -> None:
    configure_kratos(WHOAMI_SECONDS=60)
    asked(credential)
    clock.advance(59)
    asked(credential)
    assert whoami_calls() == 1

    clock.advance(2)
    asked(credential)
    assert whoami_calls() == 1


def test_an_answer_that_is_valid_for_no_time_is_not_kept(
    kratos_network: KratosNetwork,
    credential: Credential,
    configure_kratos: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure_kratos(WHOAMI_SECONDS=0)
    kept: list[object] = []
    monkeypatch.setattr(SharedCache, "set", lambda *arguments: kept.append(arguments))

    assert asked(credential).session

    assert kept == []


def test_each_credential_has_its_own_answer(
    kratos_network: KratosNetwork, kratos: Kratos, amber: Identity, session: Session, whoami_calls: Calls
) -> None:
    another = kratos.sign_in(amber)
    value = session.token

    found = [asked(credential).session for credential in (cookie_of(session), cookie_of(another), Credential(value))]

    assert [result and result.sid for result in found] == [session.id, another.id, session.id]
    assert whoami_calls() == 3
    assert asked(Credential(value, COOKIE)).code == "session_inactive", (
        "a cookie with the same text is another credential"
    )
    assert asked(Credential(session.cookie)).code == "session_inactive"


def test_each_kratos_has_its_own_answers(
    kratos_network: KratosNetwork, credential: Credential, configure_kratos: Callable[..., None], whoami_calls: Calls
) -> None:
    asked(credential)
    configure_kratos(PUBLIC_URL="https://other.example", INTERNAL_URL=PUBLIC_URL)

    found = asked(credential).session

    assert found
    assert found.issuer == "https://other.example"
    assert whoami_calls() == 2


def test_after_forget_kratos_is_asked_again(
    kratos_network: KratosNetwork, kratos: Kratos, session: Session, credential: Credential
) -> None:
    assert asked(credential).session
    kratos.end(session.id)
    assert asked(credential).session, "kept"

    whoami.delete_cached(configured(), credential)

    assert asked(credential).code == "session_inactive"


def test_an_answer_can_be_replaced(kratos_network: KratosNetwork, credential: Credential, whoami_calls: Calls) -> None:
    whoami.store(configured(), credential, WhoamiResult(code="user_refused"))

    assert asked(credential) == WhoamiResult(code="user_refused")
    assert whoami_calls() == 0


def test_no_cache_key_shows_the_credential(
    kratos_network: KratosNetwork, credential: Credential, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    monkeypatch.setattr(SharedCache, "set", lambda _cache, key, _value, _seconds: keys.append(key))

    asked(credential)

    assert len(keys) == 1
    assert credential.value not in keys[0]
    assert whoami.credential_digest(configured(), credential) in keys[0]


# Logouts here


@pytest.mark.parametrize("name", ["session", "credential"])
def test_a_logout_here_overrides_the_answer_of_kratos(
    kratos_network: KratosNetwork, credential: Credential, session: Session, whoami_calls: Calls, name: str
) -> None:
    named = session.id if name == "session" else whoami.credential_digest(configured(), credential)
    receipts.record_logout(PUBLIC_URL, named)

    found = asked(credential)

    assert found.code == "logged_out_here"
    assert found.session
    assert found.session.sid == session.id
    assert found.accepted_session is None
    assert asked(credential) == found
    assert whoami_calls() == 1


def test_receipts_are_read_whenever_kratos_is_asked(
    kratos_network: KratosNetwork, credential: Credential, django_assert_num_queries: Any
) -> None:
    first = asked(credential)

    with django_assert_num_queries(0):
        assert asked(credential) == first
    assert first.accepted_session == first.session


def test_the_receipt_of_a_logout_lasts_as_long_as_a_prolonged_session(
    kratos_network: KratosNetwork, kratos: Kratos, credential: Credential, session: Session, clock: Clock
) -> None:
    receipts.record_logout(PUBLIC_URL, session.id, moment(session.expires_at))
    session.expires_at += 30 * 24 * 60 * 60

    assert asked(credential).code == "logged_out_here"

    until = moment(session.expires_at) + receipts.LIFETIME
    assert abs(LogoutReceipt.objects.get().expires_at - until) < timedelta(seconds=1)


def test_the_receipt_of_a_logout_is_never_shortened(
    kratos_network: KratosNetwork, credential: Credential, session: Session
) -> None:
    receipt = receipts.record_logout(PUBLIC_URL, session.id)

    assert asked(credential).code == "logged_out_here"

    assert LogoutReceipt.objects.get().expires_at == receipt.expires_at


# Kratos does not answer


@pytest.mark.parametrize("fault", ["down", "slow"])
def test_a_kratos_that_does_not_answer_is_not_asked_for_some_seconds(
    kratos_network: KratosNetwork, credential: Credential, clock: Clock, whoami_calls: Calls, fault: str
) -> None:
    getattr(kratos_network, fault)()
    with pytest.raises(ProviderUnavailable):
        asked(credential)
    with pytest.raises(ProviderUnavailable, match="cooling_down"):
        asked(Credential("another"))
    assert whoami_calls() == 1

    kratos_network.mend()
    clock.advance(COOL_DOWN_SECONDS + 1)
    assert asked(credential).session


def test_after_a_fault_kratos_is_asked_again(
    kratos_network: KratosNetwork, credential: Credential, whoami_calls: Calls
) -> None:
    """Otherwise anyone with a credential that makes Kratos fail could lock out all users."""
    kratos_network.replace(WHOAMI, b'{"error": {"code": 500}}', status=500)
    with pytest.raises(ProviderUnavailable, match="kratos_fault"):
        asked(Credential("unknown-token"))
    kratos_network.mend()

    assert asked(credential).session
    assert whoami_calls() == 2


def test_a_kept_answer_is_used_while_kratos_does_not_answer(
    kratos_network: KratosNetwork, credential: Credential
) -> None:
    first = asked(credential)
    kratos_network.down()
    with pytest.raises(ProviderUnavailable):
        asked(Credential("another"))

    assert asked(credential) == first


def test_each_kratos_has_its_own_outage(
    kratos_network: KratosNetwork, credential: Credential, configure_kratos: Callable[..., None]
) -> None:
    kratos_network.down()
    with pytest.raises(ProviderUnavailable):
        asked(credential)
    kratos_network.mend()
    configure_kratos(PUBLIC_URL="https://other.example", INTERNAL_URL=PUBLIC_URL)

    assert asked(credential).session


def test_without_the_cache_nothing_is_decided(
    kratos_network: KratosNetwork, credential: Credential, cache_down: Callable[[], None], whoami_calls: Calls
) -> None:
    cache_down()

    with pytest.raises(TemporaryError, match="cache_fault"):
        asked(credential)
    assert whoami_calls() == 0, "otherwise each request would ask"


@pytest.mark.parametrize("code", ["unreachable", "too_slow"])
def test_an_outage_at_one_call_skips_all_calls(
    kratos_network: KratosNetwork, credential: Credential, code: str
) -> None:
    with pytest.raises(ProviderUnavailable, match=code), whoami.cool_down(configured()):
        raise ProviderUnavailable(code)

    with pytest.raises(ProviderUnavailable, match="cooling_down"):
        asked(credential)
    assert kratos_network.calls == []


@pytest.mark.parametrize("error", [ProviderUnavailable("kratos_fault"), KratosError("session_inactive")])
def test_an_error_answer_is_no_outage(
    kratos_network: KratosNetwork, credential: Credential, error: OryLogoutError
) -> None:
    with pytest.raises(type(error)), whoami.cool_down(configured()):
        raise error

    assert asked(credential).session


def test_without_the_cache_kratos_can_still_be_asked(cache_down: Callable[[], None]) -> None:
    """A logout needs this."""
    cache_down()

    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match="unreachable"), whoami.cool_down(configured()):
            raise ProviderUnavailable("unreachable")


# Texts show no credential and no trait


def test_representations_show_no_credential_and_no_trait(
    kratos_network: KratosNetwork, amber: Identity, credential: Credential
) -> None:
    amber.traits = {"email": "amber@example.org"}
    found = asked(credential)

    for shown in (
        repr(credential),
        repr(found),
        str(found.session),
        repr(whoami.credential_of(request_with(), configured())),
    ):
        assert credential.value not in shown
        assert "amber@example.org" not in shown
    assert isinstance(found.session, KratosSession)
