"""After a session ends, the app revokes its tokens. A failed revocation never stops the logout."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from django.conf import settings as django_settings
from django.contrib import auth
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.base import SessionBase
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from django_ory_logout import conf
from django_ory_logout.exceptions import InvalidMessage, ProviderUnavailable
from django_ory_logout.force import force_logout
from django_ory_logout.models import EndReason, LoginSession
from django_ory_logout.sessions import engines, token_revocation
from django_ory_logout.sessions.store import indexed
from django_ory_logout.sessions.stored_login import LOGIN_KEY, StoredLogin
from django_ory_logout.testing import Network, Provider

from ..conftest import Configure, Logged, NewBrowser, SiteBrowser
from ..fake_hydra import URL, FakeHydra, connect

# Revocation waits for the commit.
pytestmark = pytest.mark.django_db(transaction=True)

REVOKE = "/oauth2/revoke"
REFRESH, ACCESS = "refresh_token", "access_token"


@pytest.fixture
def grants(provider: Provider, network: Network, configure: Configure) -> None:
    """The provider issues refresh tokens and revokes tokens, and this site uses both."""
    provider.metadata = {"revocation_endpoint": f"{django_settings.ISSUER}{REVOKE}"}
    network.change("/oauth2/token", lambda document: document | {REFRESH: "ory_rt_1", "scope": "openid"})
    network.replace(REVOKE)
    configure(KEEP_TOKENS=True, REVOKE_TOKENS_AT_LOGOUT=True)


@pytest.fixture
def amber(grants: None, browser: SiteBrowser) -> SiteBrowser:
    browser.sign_in("amber")
    return browser


def revoked(network: Network) -> list[str]:
    """The tokens that the provider was asked to revoke."""
    calls = [call for call in network.calls if call.url.endswith(REVOKE)]
    assert all(call.method == "POST" and call.form["token"] for call in calls)
    return [call.form["token_type_hint"] for call in calls]


def log_out(browser: SiteBrowser) -> Any:
    return browser.post("/auth/logout/")


# Which tokens, and when


def test_logout_revokes_both_tokens_after_the_session_has_ended(
    amber: SiteBrowser, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_left = []
    revoke_now = token_revocation.revoke_now

    def note(left: Any) -> None:
        rows_left.append(LoginSession.objects.count())
        revoke_now(left)

    monkeypatch.setattr(token_revocation, "revoke_now", note)

    answer = log_out(amber)

    assert answer["Location"].startswith(f"{django_settings.ISSUER}/oauth2/sessions/logout")
    assert amber.user is None
    assert rows_left == [0]
    assert revoked(network) == [REFRESH, ACCESS]


def test_the_client_authenticates(amber: SiteBrowser, network: Network, configure: Configure) -> None:
    configure(TOKEN_ENDPOINT_AUTH_METHOD="client_secret_post")

    log_out(amber)

    form = network.calls[-1].form
    assert (form["client_id"], form["client_secret"]) == (django_settings.CLIENT_ID, django_settings.CLIENT_SECRET)
    assert form["token"].startswith("ory_at_")


def test_revocation_runs_after_the_response(
    amber: SiteBrowser, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_before = []
    close = HttpResponseBase.close

    def note(response: HttpResponseBase) -> None:
        asked_before.append(revoked(network))
        close(response)

    monkeypatch.setattr(HttpResponseBase, "close", note)

    log_out(amber)

    assert asked_before == [[]]
    assert revoked(network) == [REFRESH, ACCESS]


def test_nothing_is_revoked_without_the_setting(amber: SiteBrowser, network: Network, configure: Configure) -> None:
    configure(REVOKE_TOKENS_AT_LOGOUT=False)

    log_out(amber)

    assert revoked(network) == []


@pytest.mark.parametrize(
    ("scope", "expected"), [("openid", [REFRESH]), ("openid offline_access", []), ("openid offline", [])]
)
@pytest.mark.parametrize("engine", ["db", "cached_db", "cache"])
def test_a_back_channel_notice_revokes_the_refresh_token_unless_it_is_for_offline_access(
    grants: None,
    browser: SiteBrowser,
    provider: Provider,
    network: Network,
    settings: Any,
    scope: str,
    expected: list[str],
    engine: str,
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    network.change("/oauth2/token", lambda document: document | {REFRESH: "ory_rt_1", "scope": scope})
    browser.sign_in("amber")

    assert browser.deliver(provider.end(browser.user["sid"])) == [200]

    assert browser.user is None
    assert revoked(network) == expected


def test_a_front_channel_notice_revokes_the_refresh_token_too(amber: SiteBrowser, network: Network) -> None:
    sid = amber.user["sid"]

    amber.get("/auth/logout/frontchannel/", {"iss": django_settings.ISSUER, "sid": sid})

    assert revoked(network) == [REFRESH]


def test_a_missing_scope_in_the_answer_means_the_requested_scope(
    grants: None, browser: SiteBrowser, provider: Provider, network: Network, configure: Configure
) -> None:
    configure(SCOPE="openid offline_access", KEEP_TOKENS=True, REVOKE_TOKENS_AT_LOGOUT=True)
    network.change(
        "/oauth2/token",
        lambda document: {name: document[name] for name in document if name != "scope"} | {REFRESH: "ory_rt_1"},
    )
    browser.sign_in("amber")

    browser.deliver(provider.end(browser.user["sid"]))

    assert revoked(network) == []


def test_signed_cookies_give_no_token_to_a_notice_and_all_tokens_to_a_logout(
    grants: None, new_browser: NewBrowser, provider: Provider, network: Network, settings: Any
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    first, second = new_browser(), new_browser()
    first.sign_in("amber")
    second.sign_in("amber")

    first.deliver(provider.end(first.user["sid"]))
    assert revoked(network) == []

    log_out(second)
    assert revoked(network) == [REFRESH, ACCESS]


def test_another_sign_in_revokes_nothing(amber: SiteBrowser, network: Network) -> None:
    amber.sign_in("amber")

    assert revoked(network) == []


def test_logout_without_a_refresh_token_revokes_the_access_token(
    amber: SiteBrowser, network: Network, browser: SiteBrowser
) -> None:
    session = engines.site_store()(amber.key)
    session[LOGIN_KEY] = session[LOGIN_KEY] | {REFRESH: None}
    session.save()

    log_out(amber)

    assert revoked(network) == [ACCESS]


def test_a_notice_without_a_refresh_token_revokes_nothing(
    amber: SiteBrowser, provider: Provider, network: Network
) -> None:
    session = engines.site_store()(amber.key)
    session[LOGIN_KEY] = session[LOGIN_KEY] | {REFRESH: None}
    session.save()

    amber.deliver(provider.end(amber.user["sid"]))

    assert revoked(network) == []


def test_a_forced_logout_revokes_both_tokens(amber: SiteBrowser, network: Network) -> None:
    force_logout(subject="amber")

    assert revoked(network) == [REFRESH, ACCESS]


def test_the_sites_own_logout_revokes_both_tokens_at_once(
    amber: SiteBrowser, network: Network, rf: RequestFactory
) -> None:
    request = rf.get("/")
    request.session = indexed(engines.site_store())(amber.key)
    request.user = auth.get_user(request)

    auth.logout(request)

    assert revoked(network) == [REFRESH, ACCESS]


def test_a_logout_that_is_rolled_back_revokes_nothing(amber: SiteBrowser, network: Network) -> None:
    with transaction.atomic():
        indexed(engines.site_store())(amber.key).flush()
        transaction.set_rollback(True)

    assert revoked(network) == []
    assert amber.user is not None


# Failed revocations


@pytest.mark.parametrize(
    ("path", "code"), [(REVOKE, "unreachable"), ("/.well-known/openid-configuration", "cooling_down")]
)
def test_an_unreachable_provider_is_called_once_and_logout_succeeds(
    amber: SiteBrowser, network: Network, logged: Logged, path: str, code: str
) -> None:
    cache.clear()
    network.down(path)

    log_out(amber)

    assert amber.user is None
    assert len(revoked(network)) == (path == REVOKE)
    said = [line for line in logged() if "not revoked" in line]
    assert said[0].startswith(f"refresh_token not revoked: {code}")
    assert said[1] == "access_token not revoked: revocation_given_up"
    assert "ory_" not in " ".join(said)


def test_a_provider_that_refuses_is_called_for_each_token(amber: SiteBrowser, network: Network, logged: Logged) -> None:
    network.replace(REVOKE, b'{"error": "invalid_client"}', status=401)

    log_out(amber)

    assert revoked(network) == [REFRESH, ACCESS]
    assert "refresh_token not revoked: revocation_refused: 'invalid_client'" in logged()


def test_revocation_has_a_time_limit(
    amber: SiteBrowser, network: Network, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_revocation, "SECONDS", -1)

    log_out(amber)

    assert revoked(network) == []
    assert logged() == [f"{hint} not revoked: revocation_given_up" for hint in (REFRESH, ACCESS)]


def test_introspection_has_a_time_limit(
    amber: SiteBrowser, network: Network, hydra: FakeHydra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_revocation, "SECONDS", -1)

    log_out(amber)

    assert hydra.calls == []


def test_our_own_fault_is_logged(
    amber: SiteBrowser, logged: Logged, monkeypatch: pytest.MonkeyPatch, configure: Configure
) -> None:
    def revoke(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("django_ory_logout.oidc.provider.Provider.revoke", revoke)

    assert log_out(amber).status_code == 302

    assert logged() == [f"{hint} not revoked: internal_error" for hint in (REFRESH, ACCESS)]


def test_a_session_that_cannot_be_read_ends(
    amber: SiteBrowser, provider: Provider, network: Network, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries = provider.end(amber.user["sid"])
    load = SessionBase.decode

    def decode(self: SessionBase, data: str) -> Any:
        raise RuntimeError

    monkeypatch.setattr(SessionBase, "decode", decode)
    statuses = SiteBrowser().deliver(deliveries)
    monkeypatch.setattr(SessionBase, "decode", load)

    assert statuses == [200]
    assert amber.user is None
    assert logged() == ["tokens not revoked: session_unreadable"]


def test_a_receiver_that_raises_does_not_stop_the_revocation(amber: SiteBrowser, network: Network) -> None:
    def object_to_it(**_: object) -> None:
        raise RuntimeError("a receiver of the site's")

    user_logged_out.connect(object_to_it)
    try:
        log_out(amber)
    finally:
        user_logged_out.disconnect(object_to_it)

    assert amber.user is None
    assert revoked(network) == [REFRESH, ACCESS]


# An answer of 200 does not prove a revocation


@pytest.fixture
def hydra(grants: None, configure: Configure) -> Iterator[FakeHydra]:
    configure(KEEP_TOKENS=True, REVOKE_TOKENS_AT_LOGOUT=True, HYDRA={"ADMIN_URL": URL})
    with connect(FakeHydra()) as hydra:
        yield hydra


def test_hydra_is_asked_whether_the_tokens_are_inactive(hydra: FakeHydra, amber: SiteBrowser, logged: Logged) -> None:
    log_out(amber)

    assert hydra.calls == 2 * ["POST /admin/oauth2/introspect"]
    assert logged() == []


def test_a_token_that_stays_active_is_logged(hydra: FakeHydra, amber: SiteBrowser, logged: Logged) -> None:
    hydra.living_tokens = {"ory_rt_1"}

    log_out(amber)

    assert logged() == ["refresh_token not revoked: token_still_alive"]


def test_a_failed_introspection_is_logged(hydra: FakeHydra, amber: SiteBrowser, logged: Logged) -> None:
    hydra.broken = {"POST"}

    log_out(amber)

    assert len(hydra.calls) == 1
    assert [line.partition("unreachable")[0] for line in logged()] == ["refresh_token revoked: revocation_unproven: "]


def test_an_unreachable_hydra_is_called_once_for_all_sessions(
    hydra: FakeHydra, amber: SiteBrowser, new_browser: NewBrowser, network: Network, logged: Logged
) -> None:
    new_browser().sign_in("amber")
    hydra.broken = {"POST"}

    force_logout(subject="amber")

    assert revoked(network) == 2 * [REFRESH, ACCESS]
    assert hydra.calls.count("POST /admin/oauth2/introspect") == 1


def test_a_hydra_that_refuses_introspection_is_called_for_each_token(
    hydra: FakeHydra, amber: SiteBrowser, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hydra, "_answer", lambda *_: (401, {"error": "request_unauthorized"}))

    log_out(amber)

    assert [line.partition(": POST")[0] for line in logged()] == [
        f"{hint} revoked: revocation_unproven: hydra_unauthorized" for hint in (REFRESH, ACCESS)
    ]


def test_our_own_fault_at_introspection_is_logged_and_logout_succeeds(
    hydra: FakeHydra, amber: SiteBrowser, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def introspect(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("django_ory_logout.ory.hydra.HydraAdmin.introspect", introspect)

    assert log_out(amber).status_code == 302

    assert logged() == [f"{hint} revoked: revocation_unproven: internal_error" for hint in (REFRESH, ACCESS)]


def test_tokens_that_were_not_revoked_are_not_introspected(
    hydra: FakeHydra, amber: SiteBrowser, network: Network
) -> None:
    network.down(REVOKE)

    log_out(amber)

    assert hydra.calls == []


# The protocol


def revoke() -> None:
    conf.get().providers["default"].provider.revoke("ory_rt_1", REFRESH, 0)


def test_a_missing_revocation_endpoint_is_an_error(provider: Provider, network: Network) -> None:
    provider.metadata = {"revocation_endpoint": None}

    with pytest.raises(ProviderUnavailable, match="revocation_endpoint_missing"):
        revoke()


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, InvalidMessage, "revocation_refused"),
        (401, InvalidMessage, "revocation_refused"),
        (403, InvalidMessage, "revocation_refused"),
        (302, ProviderUnavailable, "revocation_fault"),
        (503, ProviderUnavailable, "revocation_fault"),
    ],
)
def test_only_200_is_a_success(grants: None, network: Network, status: int, error: type[Exception], code: str) -> None:
    network.replace(REVOKE, b"{}", status=status)

    with pytest.raises(error, match=code):
        revoke()


# The setting


def test_the_setting_needs_stored_tokens(configure: Configure) -> None:
    configure(REVOKE_TOKENS_AT_LOGOUT=True)

    assert [problem.code for problem in conf.problems()] == ["E009"]
    with pytest.raises(ImproperlyConfigured, match="KEEP_TOKENS"):
        conf.get()


def test_the_setting_is_true_or_false(configure: Configure) -> None:
    configure(KEEP_TOKENS=True, REVOKE_TOKENS_AT_LOGOUT="yes")

    assert [problem.code for problem in conf.problems()] == ["E042"]


def test_a_wrong_setting_does_not_stop_a_logout(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    monkeypatch.setattr(token_revocation, "revoking_config", Mock(side_effect=ImproperlyConfigured))

    assert token_revocation.tokens_of(StoredLogin(issuer="https://op.example"), EndReason.USER) == []
    assert "tokens not revoked: session_unreadable" in logged()
