"""The section ``receiver``: a proxy, another server or the site's own middleware keeps notices from the site."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import set_script_prefix
from django.utils import translation

from django_ory_logout.doctor.checks import receiver
from django_ory_logout.http import Response
from django_ory_logout.models import LoginSession, LogoutEvent, LogoutReceipt, RefusalCount
from django_ory_logout.testing.network import connected

from ...conftest import Configure, SiteBrowser
from ..conftest import Proxy, looked, red, row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("healthy")]

BACKCHANNEL, FRONTCHANNEL, LOGOUT = "/auth/logout/backchannel/", "/auth/logout/frontchannel/", "/auth/logout/"
View = Callable[[HttpRequest], Any]


def test_the_checks_change_nothing(browser: SiteBrowser, network: Any, logged: Any) -> None:
    browser.sign_in()
    looked()
    looked("receiver")

    assert browser.user
    assert LoginSession.objects.count() == 1
    assert [model._default_manager.count() for model in (LogoutReceipt, LogoutEvent, RefusalCount)] == [0, 0, 0]


# receiver.backchannel, receiver.slash


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (301, {"Location": "{path}/"}, b"", "adds a slash"),
        (302, {"Location": "https://www.rp.example{path}"}, b"", "PREPEND_WWW"),
        (302, {"Location": "/accounts/login/?next=/auth/"}, b"", "login wall"),
        (307, {}, b"", "login wall"),
        (200, {}, b"<form>", "login page"),
        (204, {}, b"", "login page"),
        (401, {}, b"", "login wall or a firewall"),
        (403, {}, b"no", "login wall or a firewall"),
        (403, {}, b"CSRF verification failed.", "CSRF check"),
        (404, {}, b"nginx", "Another server"),
        (405, {}, b"", "Another server"),
        (400, {}, b"Bad Request (400)", "ALLOWED_HOSTS"),
        (400, {}, b'{"error": "invalid_host"}', "ALLOWED_HOSTS"),
        (413, {}, b"", "logs of this site"),
        (429, {}, b"", "rate limit"),
        (502, {}, b"", "logs of both"),
    ],
)
@pytest.mark.parametrize("path", [BACKCHANNEL, BACKCHANNEL.rstrip("/")])
def test_another_server_that_answers_turns_red(
    proxy: Proxy, path: str, status: int, headers: dict[str, str], body: bytes, words: str
) -> None:
    there = {name: value.format(path=path) for name, value in headers.items()}
    proxy.replace(path, body, status=status, headers=there)
    check = "receiver.backchannel" if path == BACKCHANNEL else "receiver.slash"

    assert red() == {check: ["fail"]}
    assert words in row(check).todo
    assert f"https://rp.example{path} " in row(check).found


def test_a_redirect_to_https_turns_red(proxy: Proxy, settings: Any) -> None:
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "SITE_URL": "http://rp.example"}
    settings.SECURE_SSL_REDIRECT = True
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", *settings.MIDDLEWARE]

    assert red("receiver.inside") == {"receiver.inside": ["fail"]}
    assert "SECURE_SSL_REDIRECT" in row("receiver.inside").todo


def test_the_target_of_a_redirect_is_shown_without_possible_secrets(proxy: Proxy) -> None:
    proxy.replace(
        BACKCHANNEL, status=302, headers={"Location": "https://name:secret@sso.example/in?token=secret#secret"}
    )

    found = row("receiver.backchannel").found
    assert found.endswith("redirects (302) to https://***@sso.example/in.")


@pytest.mark.parametrize("body", [b"", b"logout_token=x", b"logout_token="])
def test_a_lost_request_body_turns_red(proxy: Proxy, body: bytes) -> None:
    proxy.body = lambda _sent: body

    assert red("receiver") == {
        check: ["fail"] for check in ("receiver.backchannel", "receiver.slash", "receiver.logout")
    }
    assert "SECRET_KEY" in row("receiver.backchannel").todo


def test_another_site_with_this_app_turns_red(proxy: Proxy) -> None:
    answer = json.dumps({"error": "invalid_request", "error_description": "malformed"}).encode()
    proxy.replace(BACKCHANNEL, answer, status=400)

    assert red() == {"receiver.backchannel": ["fail"]}
    assert "malformed" in row("receiver.backchannel").found


def test_an_unreachable_site_is_unknown(proxy: Proxy) -> None:
    proxy.down()
    waiting = ("receiver.slash", "receiver.logout", "receiver.frontchannel")

    assert red() == {"receiver.backchannel": ["unknown"], **{check: ["unknown"] for check in waiting}}
    assert [call.url for call in proxy.calls] == [f"https://rp.example{BACKCHANNEL}"]
    assert {row(check).found for check in waiting} == {"See receiver.backchannel."}
    assert (
        "curl -i -d logout_token=ory_doctor https://rp.example/auth/logout/backchannel/"
        in row("receiver.backchannel").todo
    )


def test_a_refused_connection_turns_red(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_more: Any) -> None:
        raise requests.ConnectionError from ConnectionRefusedError()

    monkeypatch.setattr(proxy, "send", refuse)

    waiting = ("receiver.slash", "receiver.logout", "receiver.frontchannel")
    assert red() == {"receiver.backchannel": ["fail"], **{check: ["unknown"] for check in waiting}}
    assert row("receiver.backchannel").found == f"The connection to https://rp.example{BACKCHANNEL} is refused."


def test_one_receiver_without_an_answer_turns_red(proxy: Proxy) -> None:
    proxy.slow(BACKCHANNEL.rstrip("/"))

    assert red() == {"receiver.slash": ["unknown"]}


def test_a_host_outside_allowed_hosts_turns_red(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["other.example"]

    assert set(red()) == {
        "site.checks",
        "receiver.inside",
        "receiver.backchannel",
        "receiver.slash",
        "receiver.logout",
        "receiver.frontchannel",
    }
    assert "ALLOWED_HOSTS" in row("receiver.backchannel").todo


# receiver.inside


def login_wall(get_response: View) -> View:
    def middleware(request: HttpRequest) -> Any:
        return get_response(request) if request.user.is_authenticated else HttpResponseRedirect("/login/")

    return middleware


def csrf_for_all(get_response: View) -> View:
    return lambda _request: HttpResponse("CSRF verification failed.", status=403)


def in_german(get_response: View) -> View:
    def middleware(request: HttpRequest) -> Any:
        translation.activate("de")
        return get_response(request)

    return middleware


def streaming(get_response: View) -> View:
    return lambda _request: StreamingHttpResponse([b"x"])


def broken(get_response: View) -> View:
    raise RuntimeError("a password")


def failing(get_response: View) -> View:
    def middleware(_request: HttpRequest) -> Any:
        raise RuntimeError("a password")

    return middleware


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("login_wall", "redirects (302) to https://rp.example/login/."),
        ("csrf_for_all", "answers 403, which is not the answer of this app."),
        ("streaming", "answers 200, which is not the answer of this app."),
        ("failing", "answers 500, which is not the answer of this app."),
        ("broken", "The site's middleware cannot be loaded: RuntimeError."),
        ("not_there", "The site's middleware cannot be loaded: ImportError."),
    ],
)
def test_the_sites_own_middleware_turns_the_row_red(
    settings: Any, logged: Any, caplog: pytest.LogCaptureFixture, name: str, words: str
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"tests.doctor.checks.test_receiver.{name}"]

    finding = row("receiver.inside")

    assert (finding.verdict, finding.found.endswith(words)) == ("fail", True), finding
    assert caplog.records == []


def test_a_middleware_does_not_change_the_doctors_language(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.doctor.checks.test_receiver.in_german"]

    with translation.override("en"):
        assert row("receiver.inside").verdict == "pass"
        assert translation.get_language() == "en"


def test_a_proxy_that_ends_tls_is_green(settings: Any) -> None:
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", *settings.MIDDLEWARE]
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    assert red("receiver.inside") == {}


def test_a_site_below_a_path_is_green(settings: Any) -> None:
    settings.FORCE_SCRIPT_NAME = "/app"
    set_script_prefix("/app/")
    try:
        assert row("receiver.inside").found.startswith(
            "https://rp.example/app/auth/logout/backchannel/ answers an invalid token"
        )
    finally:
        set_script_prefix("/")


# receiver.logout


def test_a_refused_form_turns_red(proxy: Proxy) -> None:
    """TLS ends at the proxy, which does not send the header that says so."""
    proxy.secure = False

    assert red() == {"receiver.logout": ["fail"]}
    assert "SECURE_PROXY_SSL_HEADER" in row("receiver.logout").todo


def test_a_form_from_a_trusted_origin_is_green(proxy: Proxy, settings: Any) -> None:
    proxy.secure, settings.CSRF_TRUSTED_ORIGINS = False, ["https://rp.example"]

    assert red() == {}


@pytest.mark.parametrize("url", [None, "/"])
def test_logout_may_lead_to_the_sites_own_page(settings: Any, url: str | None) -> None:
    settings.LOGOUT_REDIRECT_URL = url

    assert row("receiver.logout").verdict == "pass"


@pytest.mark.parametrize(
    ("status", "headers"), [(404, {}), (200, {}), (302, {}), (302, {"Location": "/login/"}), (302, {"Location": "/"})]
)
def test_another_page_in_place_of_logout_turns_red(proxy: Proxy, status: int, headers: dict[str, str]) -> None:
    proxy.replace(LOGOUT, b"please sign in", status=status, headers=headers)

    assert red() == {"receiver.logout": ["fail"]}


def test_tokens_in_sessions_cannot_be_checked(settings: Any) -> None:
    settings.CSRF_USE_SESSIONS = True

    assert red() == {"receiver.logout": ["unknown"]}


# receiver.frontchannel


@pytest.mark.parametrize(
    ("headers", "verdict", "words"),
    [
        (
            {"Content-Security-Policy": "frame-ancestors 'none'"},
            "fail",
            "forbids https://op.example to show it in a frame",
        ),
        (
            {"Content-Security-Policy": "frame-ancestors *, frame-ancestors 'self'"},
            "fail",
            "forbids https://op.example",
        ),
        ({"X-Frame-Options": "DENY"}, "warn", "has an X-Frame-Options header."),
        (
            {"X-Frame-Options": "DENY", "Content-Security-Policy": None},
            "fail",
            "has an X-Frame-Options header, and not",
        ),
        ({"Content-Security-Policy": None}, "warn", "does not have its own"),
        ({"Content-Security-Policy": "default-src 'none'"}, "warn", "does not have its own"),
    ],
)
def test_headers_that_forbid_the_frame_turn_red(
    proxy: Proxy, headers: dict[str, str | None], verdict: str, words: str
) -> None:
    proxy.headers = headers

    assert red() == {"receiver.frontchannel": [verdict]}
    assert words in row("receiver.frontchannel").found


def test_a_missing_front_channel_page_turns_red(proxy: Proxy) -> None:
    proxy.replace(FRONTCHANNEL, status=302, headers={"Location": "/login/"})

    assert red() == {"receiver.frontchannel": ["fail"]}
    assert "login wall" in row("receiver.frontchannel").todo


def test_a_running_site_with_other_settings_turns_red(proxy: Proxy) -> None:
    policy = {"Content-Security-Policy": "frame-ancestors https://other.example"}
    proxy.replace(FRONTCHANNEL, b"This logout request failed.", status=400, headers=policy)

    assert red() == {"receiver.frontchannel": ["fail"]}
    assert "other settings than the doctor" in row("receiver.frontchannel").todo


def sent(policy: str) -> Response:
    return Response(200, {"Content-Security-Policy": policy}, b"")


def test_an_http_frame_in_an_https_page_turns_red(settings: Any) -> None:
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "SITE_URL": "http://rp.example"}

    with connected(Proxy("http://rp.example")):
        assert red("receiver") == {"receiver.frontchannel": ["fail"]}
        assert "Browsers block such a frame" in row("receiver.frontchannel").todo


def test_a_frame_that_identifies_the_session_by_cookie_is_reported(configure: Configure) -> None:
    configure(FRONTCHANNEL_LOGOUT_SESSION_REQUIRED=False)

    assert red() == {"receiver.frontchannel": ["pass", "warn"]}
    assert "Safari" in looked("receiver.frontchannel")["receiver.frontchannel"][1].todo


@pytest.mark.parametrize(
    "source",
    [
        "*",
        "https:",
        "http:",
        "https://op.example",
        "http://op.example",
        "op.example",
        "https://op.example:443/path",
        "https://op.example:*",
        "https://*.example",
        "https://*",
        "https://OP.example",
        "'none' https://op.example",
    ],
)
def test_sources_that_match_the_provider(source: str) -> None:
    (policy,) = receiver.policies(sent(f"default-src 'none'; Frame-Ancestors {source}"))

    assert receiver.allows(policy, "https://op.example", "https://rp.example")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "'none'",
        "'self'",
        "ws:",
        "ws://op.example",
        "https://example",
        "https://*.op.example",
        "https://*p.example",
        "https://op.example.org",
        "https://op.example:4444",
        "https://",
    ],
)
def test_sources_that_do_not_match_the_provider(source: str) -> None:
    (policy,) = receiver.policies(sent(f"frame-ancestors {source}"))

    assert not receiver.allows(policy, "https://op.example", "https://rp.example")


def test_the_sites_own_headers_are_green() -> None:
    assert receiver.allows(["'self'"], "https://rp.example", "https://rp.example")
    assert not receiver.allows(["https:"], "http://op.example", "https://rp.example")
    assert receiver.allows(["op.example:4444"], "http://op.example:4444", "https://rp.example")
