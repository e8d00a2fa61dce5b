"""Logouts in the log: each row is green on a healthy site, and only the affected rows turn red for each fault."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.db.models import F
from django.utils import timezone
from joserfc import jwt

from django_ory_logout import http
from django_ory_logout.doctor import Verdict
from django_ory_logout.doctor.checks import history_hydra as logins
from django_ory_logout.doctor.checks import logout_probe
from django_ory_logout.doctor.checks.history_refusals import FAULTS, SIGNED
from django_ory_logout.flows.notices import DOCTOR_PROBE_TOKEN, own_probe
from django_ory_logout.models import LoginSession, LogoutEvent, LogoutNotice, LogoutReceipt, RefusalCount
from django_ory_logout.ory.hydra import HydraAdmin
from django_ory_logout.sessions import events, index, receipts
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.testing import Client, Provider
from django_ory_logout.testing.hydra.keys import signing_key as new_signing_key

from ...conftest import SITE, Clock, Configure, NewBrowser, SiteBrowser
from ..targets import END_SESSION, HYDRA_ADMIN, SiteNetwork, found, not_green, row, site_network

pytestmark = pytest.mark.django_db

CONSENTS = "/admin/oauth2/auth/sessions/consent"


@pytest.fixture
def network(provider: Provider, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Iterator[SiteNetwork]:
    monkeypatch.setattr(http, "addresses", lambda _host: ["203.0.114.5"])
    with site_network(provider, configure) as network:
        yield network


def client_of_site(**changes: Any) -> Client:
    return Client.of_site(SITE, settings.CLIENT_ID, settings.CLIENT_SECRET, **changes)


def red() -> dict[str, Verdict]:
    return not_green("registration", "history")


def later() -> None:
    """All events in the log happened two minutes earlier than now."""
    LogoutEvent.objects.update(at=F("at") - timedelta(minutes=2))


def log_out(browser: SiteBrowser, provider: Provider, *, told: bool = True) -> None:
    """RP-initiated logout, with all notices of the provider."""
    sid = str(LoginSession.objects.latest("created_at").sid)
    assert browser.post("/auth/logout/").status_code == 302
    deliveries = provider.end(sid)
    if told:
        assert browser.deliver(deliveries) == [200]


def test_an_empty_log_is_green(network: SiteNetwork) -> None:
    assert red() == {}
    assert row("history.notices").found == "None in the last 7 days, and none was expected."


def test_successful_logouts_are_green(network: SiteNetwork, provider: Provider, new_browser: NewBrowser) -> None:
    first, second, elsewhere = new_browser(), new_browser(), new_browser()
    for browser in (first, second, elsewhere):
        browser.sign_in("amber")
    last = str(LoginSession.objects.latest("created_at").sid)
    assert first.deliver(provider.end(last)) == [200]
    first.get("/auth/logout/frontchannel/", {"iss": settings.ISSUER, "sid": last})
    log_out(second, provider)
    second.sign_in("birch")
    later()

    assert red() == {}
    assert row("history.notices").found == "2 in the last 7 days. Login sessions that they ended: 1."
    assert row("history.sid").found == "2 live login sessions, all with sid."


def test_the_checks_only_read(network: SiteNetwork, provider: Provider, browser: SiteBrowser) -> None:
    """No login session and no Django session ends, and the provider sends no notice."""
    browser.sign_in("amber")
    logins, consents = dict(provider.login_sessions), list(provider.consents)

    found("registration", "history")

    assert (provider.login_sessions, provider.consents) == (logins, consents)
    assert network.deliveries == []
    assert browser.user["subject"] == "amber"
    assert not LogoutEvent.objects.exists()


def test_no_row_has_a_secret(network: SiteNetwork, provider: Provider, browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    login, key = browser.session[LOGIN_KEY], browser.key
    provider.delete_login_sessions("amber")
    said = " ".join(f"{finding.found} {finding.todo}" for finding in found("registration", "history"))
    provider.keys = [new_signing_key(), *provider.keys]
    said += " ".join(f"{finding.found} {finding.todo}" for finding in found("registration", "history"))

    for secret in (login["id_token"], login["sid"], str(key), settings.CLIENT_SECRET):
        assert secret not in said


# sid


def test_login_sessions_without_sid_turn_red(browser: SiteBrowser, network: SiteNetwork) -> None:
    browser.sign_in("amber")
    LoginSession.objects.update(sid=None, sid_digest=None)

    assert red() == {"history.sid": Verdict.WARN}
    assert row("history.sid").found == "1 login session has no sid."


def test_a_provider_without_sid_is_named(browser: SiteBrowser, provider: Provider) -> None:
    browser.sign_in("amber")
    LoginSession.objects.update(sid=None, sid_digest=None)
    provider.metadata["backchannel_logout_session_supported"] = False

    assert red() == {}
    assert "its notices name the subject" in row("history.sid").found


def test_ended_and_expired_login_sessions_do_not_count(browser: SiteBrowser, network: SiteNetwork) -> None:
    browser.sign_in("amber")
    LoginSession.objects.update(sid=None, sid_digest=None, expires_at=timezone.now() - timedelta(seconds=1))

    assert red() == {}


# Notices that arrived


def test_logouts_from_here_without_a_notice_turn_red(
    network: SiteNetwork, provider: Provider, new_browser: NewBrowser
) -> None:
    for number in range(4):
        browser = new_browser()
        browser.sign_in("amber")
        log_out(browser, provider, told=number == 0)
        later()

    assert red() == {"history.notices": Verdict.WARN}
    assert row("history.notices").found.startswith("No notice came after any of the latest 3 logouts")


def test_one_answered_logout_is_enough(network: SiteNetwork, provider: Provider, new_browser: NewBrowser) -> None:
    for number in range(4):
        browser = new_browser()
        browser.sign_in("amber")
        log_out(browser, provider, told=number == 2)
        later()

    assert red() == {}


def test_a_recent_logout_may_still_get_its_notice(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    browser.sign_in("amber")
    log_out(browser, provider, told=False)

    assert red() == {}
    later()
    assert red() == {"history.notices": Verdict.WARN}
    assert row("history.notices").found.startswith("No notice came after the latest logout")


def test_no_notice_is_expected_without_a_back_channel(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    browser.sign_in("amber")
    log_out(browser, provider, told=False)
    later()
    provider.clients.clear()

    assert row("history.notices").found == "See registration.client."

    provider.register(client_of_site(backchannel_logout_uri=None))
    assert row("history.notices").found == "See registration.backchannel."


def test_a_provider_other_than_hydra_may_send_no_notice_for_own_logouts(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser, settings: Any
) -> None:
    of_hydra = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    default = {name: value for name, value in of_hydra.items() if name != "HYDRA"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": default}}
    browser.sign_in("amber")
    log_out(browser, provider, told=False)
    later()

    assert red() == {}
    assert "Some providers send no notice" in row("history.notices").found


def test_notices_that_name_no_session_here_are_reported(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    browser.sign_in("amber")
    browser.deliver(provider.end(provider.sign_in("amber", settings.CLIENT_ID).sid))

    assert red() == {"history.notices": Verdict.WARN}
    assert row("history.notices").found.startswith("1 in the last 7 days, and none named a session here. ")


# Refused


#: Refusals that anyone can cause without a signature of the provider.
OF_ANYONE = ["malformed", "aud_mismatch", "alg_not_registered", "kid_unknown", "signature_invalid", "cooling_down"]


@pytest.mark.parametrize(
    ("code", "verdict"),
    [*((code, Verdict.FAIL) for code in sorted(SIGNED | FAULTS)), *((code, Verdict.WARN) for code in OF_ANYONE)],
)
def test_a_refused_notice_is_reported(network: SiteNetwork, code: str, verdict: Verdict) -> None:
    events.refused("back-channel", code)

    assert red() == {"history.refused": verdict}
    last = timezone.localtime(RefusalCount.objects.get().last_at)
    assert row("history.refused").found == f"back-channel: {code}, once, at {last:%Y-%m-%d %H:%M:%S}."
    assert f"--explain {code}" in row("history.refused").todo
    assert ("Anyone can cause it" in row("history.refused").todo) == (verdict == Verdict.WARN)


def test_tokens_without_the_providers_signature_do_not_fail_the_row(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    """:data:`OF_ANYONE` lists their codes. These tokens name this site."""
    sid, now = provider.sign_in("amber", settings.CLIENT_ID).sid, int(time.time())
    claims = {"iss": settings.ISSUER, "aud": settings.CLIENT_ID, "iat": now, "jti": "1", "sid": sid}
    forged = new_signing_key()
    for kid in (forged.kid, provider.keys[0].kid):
        token = jwt.encode({"alg": "RS256", "kid": str(kid)}, claims, forged, algorithms=["RS256"])
        assert browser.post_form("/auth/logout/backchannel/", {"logout_token": token}).status_code in {400, 503}

    assert {finding.verdict for finding in found("history.refused")} == {Verdict.WARN}


def test_a_later_accepted_notice_is_shown(network: SiteNetwork, provider: Provider, browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    events.refused("back-channel", "iat_too_old")
    events.refused("front-channel", "cache_fault")
    assert browser.deliver(provider.end(sid_of("amber"))) == [200]

    assert [(finding.verdict, "accepted after that" in finding.found) for finding in found("history.refused")] == [
        (Verdict.WARN, True),
        (Verdict.FAIL, False),
    ]

    events.refused("back-channel", "iat_too_old")
    assert {finding.verdict for finding in found("history.refused")} == {Verdict.FAIL}


def test_the_probe_of_another_doctor_is_not_counted(network: SiteNetwork, browser: SiteBrowser, settings: Any) -> None:
    token = own_probe()
    settings.SECRET_KEY = "another"

    answer = browser.post_form("/auth/logout/backchannel/", {"logout_token": token})
    assert answer.json()["error_description"] == "malformed"
    browser.get("/auth/logout/frontchannel/", {"iss": "https://op.example/", "sid": DOCTOR_PROBE_TOKEN})
    assert not RefusalCount.objects.exists()

    browser.get("/auth/logout/frontchannel/", {"iss": "https://op.example/", "sid": "any"})
    assert RefusalCount.objects.count() == 1


def test_refusals_are_grouped_by_channel_and_code_with_the_most_frequent_first(
    network: SiteNetwork, browser: SiteBrowser
) -> None:
    for _ in range(2):
        browser.post_form("/auth/logout/backchannel/", {"logout_token": "no token"})
    browser.get("/auth/logout/frontchannel/", {"iss": "https://op.example/", "sid": "any"})

    assert [finding.found.partition(" at ")[0] for finding in found("history.refused")] == [
        "back-channel: malformed, 2 times, the last",
        "front-channel: issuer_unknown, once,",
    ]


def test_old_refusals_are_not_reported(network: SiteNetwork) -> None:
    events.refused("back-channel", "expired")
    RefusalCount.objects.update(last_at=timezone.now() - timedelta(hours=25))

    assert red() == {}


def test_a_wrong_algorithm_in_the_registration_is_refused(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser, configure: Configure
) -> None:
    sid = provider.sign_in("amber", settings.CLIENT_ID).sid
    configure(ID_TOKEN_SIGNED_RESPONSE_ALG="ES256", HYDRA={"ADMIN_URL": HYDRA_ADMIN})

    browser.deliver(provider.end(sid))

    assert red() == {"history.refused": Verdict.WARN}
    assert row("history.refused").found.startswith("back-channel: alg_not_registered, once, ")


# Overtaken


def test_a_provider_that_reuses_an_old_sid_is_reported(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    login = provider.sign_in("amber", settings.CLIENT_ID)
    browser.deliver(provider.end(login.sid))
    provider.add_login_session(login)

    for _ in range(2):
        assert browser.sign_in("amber", login_session=login).status_code == 409

    assert not_green("history.overtaken", "history.refused") == {"history.overtaken": Verdict.WARN}
    assert row("history.overtaken").found == "logged_out_meanwhile, 2 times in the last 24 hours."


def test_other_failed_sign_ins_are_not_counted(network: SiteNetwork, browser: SiteBrowser) -> None:
    assert browser.get("/auth/callback/", {"state": "unknown", "code": "c"}).status_code == 400

    assert red() == {}
    assert not RefusalCount.objects.exists()


# Sign-ins


def test_a_wrong_client_secret_is_reported(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser, new_browser: NewBrowser
) -> None:
    provider.register(replace(client_of_site(), client_secret="another"))
    assert browser.sign_in("amber").status_code == 400

    assert red() == {"history.sign_ins": Verdict.FAIL}
    assert row("history.sign_ins").found.startswith("sign-in: client_refused, once, at ")
    assert "--explain client_refused" in row("history.sign_ins").todo

    provider.register(client_of_site())
    new_browser().sign_in("amber")
    assert red() == {"history.sign_ins": Verdict.WARN}
    assert "Users have signed in after that." in row("history.sign_ins").found


def test_a_provider_that_does_not_answer_sign_ins_is_reported(network: SiteNetwork, browser: SiteBrowser) -> None:
    network.down("/oauth2/token")
    assert browser.sign_in("amber").status_code == 503

    assert not_green("history.sign_ins") == {"history.sign_ins": Verdict.FAIL}
    assert row("history.sign_ins").found.startswith("sign-in: unreachable, once")


def test_a_refused_id_token_is_reported(network: SiteNetwork, browser: SiteBrowser, configure: Configure) -> None:
    configure(ID_TOKEN_SIGNED_RESPONSE_ALG="ES256", HYDRA={"ADMIN_URL": HYDRA_ADMIN})
    assert browser.sign_in("amber").status_code == 400

    assert not_green("history") == {"history.sign_ins": Verdict.FAIL}


def test_a_code_or_error_from_anyone_is_not_counted(network: SiteNetwork, browser: SiteBrowser) -> None:
    for sent, status in (({"code": "made-up"}, 400), ({"error": "server_error"}, 503)):
        state = parse_qs(urlsplit(browser.get("/auth/login/").headers["Location"]).query)["state"][0]
        assert browser.get("/auth/callback/", {"state": state, "iss": settings.ISSUER, **sent}).status_code == status

    assert red() == {"history.sign_ins": Verdict.WARN}
    assert row("history.sign_ins").found.startswith("sign-in: provider_fault, once")
    assert "Anyone can cause it" in row("history.sign_ins").todo


# Receipts


def a_receipt(**changes: Any) -> LogoutReceipt:
    now = timezone.now()
    receipt = receipts.record(LogoutNotice(settings.ISSUER, "amber", None, now), "jti", durable=False)
    LogoutReceipt.objects.filter(pk=receipt.pk).update(**changes)
    return receipt


def test_a_receipt_that_was_not_completed_is_reported(network: SiteNetwork) -> None:
    receipt = a_receipt(received_at=timezone.now() - timedelta(minutes=4))
    assert red() == {}

    LogoutReceipt.objects.filter(pk=receipt.pk).update(received_at=timezone.now() - timedelta(minutes=6))
    assert red() == {"history.receipts": Verdict.FAIL}
    assert row("history.receipts").found == "1 is left."

    index.purge()
    assert red() == {}


def test_old_receipts_show_that_purge_does_not_run(network: SiteNetwork) -> None:
    age = events.LIFETIME + events.GRACE
    event = LogoutEvent.objects.create(at=timezone.now() - age + timedelta(minutes=1), kind="ended")
    assert red() == {}

    LogoutEvent.objects.filter(pk=event.pk).update(at=timezone.now() - age)
    assert red() == {"history.receipts": Verdict.WARN}
    assert "older than 8 days" in row("history.receipts").found

    index.purge()
    assert red() == {}
    RefusalCount.objects.create(hour=timezone.now() - age, code="expired", last_at=timezone.now() - age)
    assert row("history.receipts").verdict == Verdict.WARN


def test_a_late_completed_receipt_is_reported(network: SiteNetwork) -> None:
    now = timezone.now()
    a_receipt(iat=now - timedelta(seconds=31), completed_at=now)

    assert red() == {"history.late": Verdict.WARN}
    assert row("history.late").found == "1 notice took longer than 30 s."


@pytest.mark.parametrize(
    "in_time",
    [
        {"iat": timedelta(seconds=29)},
        {"iat": timedelta(seconds=31), "completed_at": None},
        {"iat": timedelta(hours=25), "received_at": timedelta(hours=25)},
        {"iat": timedelta(seconds=31), "jti": "here:1"},
    ],
    ids=["in time", "not yet", "long ago", "our own"],
)
def test_receipts_in_time_are_green(network: SiteNetwork, in_time: dict[str, Any]) -> None:
    now = timezone.now()
    given = {name: now - value if isinstance(value, timedelta) else value for name, value in in_time.items()}
    a_receipt(**{"completed_at": now, **given})

    assert red() == {}


# Hydra's answer to a logout request


def test_hydra_asks_the_user_and_the_row_is_green(network: SiteNetwork, browser: SiteBrowser) -> None:
    browser.sign_in("amber")

    assert row("history.logout_request").found == "Hydra shows its logout page, and would end the login session."


def assert_logout_request_fails(found_words: str, todo: str, **besides: Verdict) -> None:
    follows = {f"history.{name}": verdict for name, verdict in besides.items()}
    assert red() == {"history.logout_request": Verdict.FAIL, **follows}
    assert found_words in row("history.logout_request").found
    assert todo in row("history.logout_request").todo


def test_a_login_that_is_not_remembered_turns_red(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    browser.sign_in("amber", login_session=provider.sign_in("amber", settings.CLIENT_ID, remember=False))

    assert_logout_request_fails("straight back: the login was not remembered.", "session.cookie.persistent")


def test_rotated_keys_turn_red(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser, new_browser: NewBrowser, clock: Clock
) -> None:
    browser.sign_in("amber")
    provider.keys = [new_signing_key(), *provider.keys]

    assert_logout_request_fails("cryptographic primitive", "as soon as a signing key is added")

    clock.advance(6)  # For six seconds after a fetch, the app does not fetch the JWK Set again.
    new_browser().sign_in("amber")
    assert red() == {"history.logout_request": Verdict.WARN}
    assert row("history.logout_request").found.startswith("1 of 2: Hydra shows its error page: ")


def unremembered(provider: Provider, subject: str) -> dict[str, Any]:
    return {"subject": subject, "login_session": provider.sign_in(subject, settings.CLIENT_ID, remember=False)}


def test_some_logins_that_are_not_remembered_warn(
    network: SiteNetwork, provider: Provider, new_browser: NewBrowser
) -> None:
    """Later sign-ins do not change the result: the check asks about different users first."""
    new_browser().sign_in(**unremembered(provider, "birch"))
    for _ in range(logout_probe.MAX_SUBJECTS):
        new_browser().sign_in("amber")

    assert red() == {"history.logout_request": Verdict.WARN}
    assert row("history.logout_request").found == (
        f"1 of {logout_probe.MAX_SUBJECTS}: Hydra sends the browser straight back: the login was not remembered."
    )


def test_no_remembered_login_turns_red(network: SiteNetwork, provider: Provider, new_browser: NewBrowser) -> None:
    for name in ("amber", "birch"):
        new_browser().sign_in(**unremembered(provider, name))

    assert red() == {"history.logout_request": Verdict.FAIL}
    assert row("history.logout_request").found.startswith("2 of 2: ")


def test_each_session_is_checked_once(network: SiteNetwork, provider: Provider, new_browser: NewBrowser) -> None:
    for name in ("amber", "birch"):
        new_browser().sign_in(name)
    provider.delete_login_sessions("amber")
    leaving = new_browser()
    leaving.sign_in("cedar")
    log_out(leaving, provider, told=False)
    later()
    with patch.object(logout_probe, "_send_logout_request", wraps=logout_probe._send_logout_request) as begun:
        found("registration.address", "history.logout_request", "history.known_at_hydra")

    assert begun.call_count == LoginSession.objects.filter(ended_at=None).count() == 2


def test_an_unknown_post_logout_redirect_uri_turns_red(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    browser.sign_in("amber")
    provider.register(client_of_site(post_logout_redirect_uris=["https://rp.example/elsewhere/"]))

    assert red() == {
        "registration.post_logout_redirect_uri": Verdict.FAIL,
        "history.logout_request": Verdict.FAIL,
    }
    assert row("history.logout_request").todo.startswith("See registration.post_logout_redirect_uri.")


def test_a_hint_of_another_issuer_turns_red(network: SiteNetwork, provider: Provider, browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    home, provider.issuer = provider.issuer, f"{provider.issuer}/"
    provider.metadata |= {"issuer": home}

    assert_logout_request_fails("issuer claim value", "provider.issuer")


def test_a_slow_clock_of_hydra_turns_red(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser, clock: Clock
) -> None:
    browser.sign_in("amber")
    clock.advance(-60)

    assert_logout_request_fails("used before issued", "provider.clock")


def test_an_unknown_error_of_hydra_is_shown(network: SiteNetwork, browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    network.replace(END_SESSION, status=302, headers={"Location": "https://op.example/error?error=server_error"})

    assert_logout_request_fails("server_error", "See Hydra's log.")


def test_an_error_without_a_preamble_is_shown(network: SiteNetwork, browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    location = "https://op.example/error?error=invalid_request&error_description=Is+otherwise+malformed.+No+such+thing."
    network.replace(END_SESSION, status=302, headers={"Location": location})

    assert row("history.logout_request").found == "Hydra shows its error page: No such thing."


@pytest.mark.parametrize(
    ("status", "headers"), [(500, {}), (302, {"Location": "https://elsewhere.example/"}), (303, {})]
)
def test_other_answers_of_the_end_session_endpoint_are_shown(
    network: SiteNetwork, browser: SiteBrowser, status: int, headers: dict[str, str]
) -> None:
    browser.sign_in("amber")
    network.replace(END_SESSION, status=status, headers=headers)

    assert red() == {"history.logout_request": Verdict.UNKNOWN}
    assert row("history.logout_request").found == f"Hydra answers {status}."


def test_a_missing_end_session_endpoint_is_reported(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    browser.sign_in("amber")
    provider.metadata["end_session_endpoint"] = None

    assert red() == {"history.logout_request": Verdict.UNKNOWN}
    assert row("history.logout_request").found == "See provider.endpoints."


def test_sessions_in_cookies_cannot_be_read(network: SiteNetwork, browser: SiteBrowser, settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    browser.sign_in("amber")

    assert red() == {}
    assert "in browsers' cookies" in row("history.logout_request").found


def test_a_row_without_its_stored_session_is_skipped(
    network: SiteNetwork, browser: SiteBrowser, new_browser: NewBrowser
) -> None:
    browser.sign_in("amber")
    two = new_browser()
    two.sign_in("birch")
    two.session.delete()

    assert row("history.logout_request").verdict == Verdict.PASS
    browser.session.delete()
    assert "Nobody is signed in" in row("history.logout_request").found


def test_sessions_of_another_process_cannot_be_read(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser, settings: Any
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    assert "Nobody is signed in" in row("history.logout_request").found
    browser.sign_in("amber")
    assert row("history.logout_request").verdict == Verdict.PASS

    settings.SESSION_CACHE_ALIAS = "elsewhere"
    elsewhere = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "elsewhere"}
    settings.CACHES = {**settings.CACHES, "elsewhere": elsewhere}
    assert red() == {"history.logout_request": Verdict.UNKNOWN}
    assert "this process can read none of them" in row("history.logout_request").found

    provider.delete_login_sessions("amber")
    assert red() == {"history.logout_request": Verdict.UNKNOWN, "history.known_at_hydra": Verdict.UNKNOWN}


# Login sessions at Hydra


def test_all_sessions_are_known_at_hydra(network: SiteNetwork, new_browser: NewBrowser) -> None:
    for name in ("amber", "birch"):
        new_browser().sign_in(name)

    assert row("history.known_at_hydra").found == "All of 2 that could be checked."


def test_a_slow_hydra_is_asked_about_fewer_sessions(
    network: SiteNetwork, new_browser: NewBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("amber", "birch"):
        new_browser().sign_in(name)
    monkeypatch.setattr(logins, "TIMEOUT", 0)

    with patch.object(HydraAdmin, "consent_sessions") as asked:
        assert row("history.known_at_hydra").verdict == Verdict.UNKNOWN
    assert not asked.called


def sid_of(subject: str) -> str:
    return str(LoginSession.objects.filter(subject=subject).latest("created_at").sid)


def test_a_revoked_subject_turns_red(network: SiteNetwork, provider: Provider, browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    provider.delete_login_sessions("amber")

    assert_logout_request_fails("or Hydra has forgotten it", "known_at_hydra", known_at_hydra=Verdict.FAIL)
    known = row("history.known_at_hydra")
    assert f"{sid_of('amber')[:8]}…, have no login session at Hydra" in known.found
    assert "revoked by subject" in known.found


def test_consents_revoked_before_the_logins_turn_red(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    browser.sign_in("amber")
    provider.revoke_consents(lambda _consent: True)

    assert red() == {"history.known_at_hydra": Verdict.WARN}
    assert "lists no consent" in row("history.known_at_hydra").found

    assert provider.end(sid_of("amber")) == []
    assert_logout_request_fails("straight back", "known_at_hydra", known_at_hydra=Verdict.FAIL)
    assert "lists no consent" in row("history.known_at_hydra").found


def consent(provider: Provider, **changes: Any) -> None:
    """Change the latest consent."""
    provider.consents.append(replace(provider.consents.pop(), **changes))


def test_a_reused_consent_is_not_listed_and_stays_green(
    network: SiteNetwork, provider: Provider, new_browser: NewBrowser
) -> None:
    first, second = new_browser(), new_browser()
    first.sign_in("amber")
    consent(provider, remember=True)
    second.sign_in("amber")
    consent(provider, remember=True, reused=True)
    first.deliver(provider.end(str(LoginSession.objects.earliest("created_at").sid)))

    assert red() == {}


def test_a_reused_consent_of_an_ended_login_turns_red(
    network: SiteNetwork, provider: Provider, new_browser: NewBrowser
) -> None:
    new_browser().sign_in("amber")
    consent(provider, remember=True)
    new_browser().sign_in("amber")
    consent(provider, remember=True, reused=True)
    provider.delete_login_sessions("amber")

    assert not_green("history.known_at_hydra") == {"history.known_at_hydra": Verdict.FAIL}


def test_a_consent_past_its_remember_for_is_green(
    network: SiteNetwork, provider: Provider, new_browser: NewBrowser
) -> None:
    new_browser().sign_in("amber")
    consent(provider, remember=True, remember_for=3600, handled_at=timezone.now().timestamp() - 3601)
    LoginSession.objects.update(created_at=timezone.now() - timedelta(seconds=3601))
    new_browser().sign_in("birch")
    consent(provider, remember=True, remember_for=3600)

    assert red() == {}

    LoginSession.objects.filter(subject="amber").update(created_at=timezone.now() - timedelta(seconds=3000))
    assert red() == {"history.known_at_hydra": Verdict.WARN}


def test_pairwise_subjects_are_unknown(network: SiteNetwork, provider: Provider, browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    provider.consents.clear()
    provider.register(client_of_site(subject_type="pairwise"))

    assert red() == {}
    assert "pairwise" in row("history.known_at_hydra").found


def test_a_hint_that_hydra_refuses_does_not_show_whether_its_session_exists(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    """A session that is not listed may have reused a consent, if there is one."""
    browser.sign_in("amber")
    consent(provider, remember=True)
    provider.login_sessions.clear()
    provider.keys = [new_signing_key(), *provider.keys]

    assert_logout_request_fails("cryptographic", "older key")

    provider.consents.clear()
    assert_logout_request_fails("cryptographic", "older key", known_at_hydra=Verdict.WARN)


def test_an_unreachable_list_of_consents_is_unknown(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    login = provider.sign_in("amber", settings.CLIENT_ID, remember=False)
    browser.sign_in("amber", login_session=login)
    network.down(CONSENTS)

    assert_logout_request_fails("not remembered, or", "known_at_hydra", known_at_hydra=Verdict.UNKNOWN)


def test_a_deleted_stored_session_is_not_missed_at_hydra(
    network: SiteNetwork, provider: Provider, browser: SiteBrowser
) -> None:
    browser.sign_in("amber")
    provider.delete_login_sessions("amber")
    browser.session.delete()

    assert red() == {}


class TestSessionsInCookies:
    """The hint cannot be read, so a session that is not listed may have reused a consent."""

    @pytest.fixture(autouse=True)
    def _signed_in(self, network: SiteNetwork, browser: SiteBrowser, settings: Any) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
        browser.sign_in("amber")

    def test_a_revoked_subject_turns_red(self, provider: Provider) -> None:
        provider.delete_login_sessions("amber")

        assert red() == {"history.known_at_hydra": Verdict.FAIL}

    def test_revoked_consents_turn_red(self, provider: Provider) -> None:
        provider.consents.clear()

        assert red() == {"history.known_at_hydra": Verdict.WARN}

    def test_a_reused_consent_is_unknown(self, provider: Provider) -> None:
        consent(provider, remember=True)
        provider.delete_login_sessions("amber")

        assert red() == {}
