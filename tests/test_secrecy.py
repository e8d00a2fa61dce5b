"""Logs and error mails never show tokens, codes, secrets, verifiers, keys or cookies."""

import base64
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter

from django_ory_logout import conf, http
from django_ory_logout.flows import login as journey_of_login
from django_ory_logout.flows.logout import end_session_request, held_end_session_request
from django_ory_logout.models import LoginSession, LogoutReceiptQuerySet
from django_ory_logout.oidc import documents, jose, messages, tokens
from django_ory_logout.oidc.messages import Tokens
from django_ory_logout.sessions import engines, index, opening
from django_ory_logout.sessions.stored_login import LOGIN_KEY, StoredLogin
from django_ory_logout.testing import Network, Provider
from django_ory_logout.views import logout as logout_views
from django_ory_logout.views.cookies import DONE

from .conftest import Clock, Configure, NewBrowser, SiteBrowser, query_of
from .views.test_login import pending_sign_in

pytestmark = pytest.mark.django_db

Reports = list[str]


class Secrets:
    """All secrets so far."""

    def __init__(self, client_secret: str) -> None:
        credentials = f"django-site:{client_secret}"
        self.known = {client_secret, base64.b64encode(credentials.encode()).decode()}

    def add(self, *secrets: object) -> None:
        self.known |= {str(secret) for secret in secrets if secret}

    def of_token_response(self, document: dict[str, Any]) -> dict[str, Any]:
        self.add(document.get("id_token"), document.get("access_token"))
        return {**document, "refresh_token": "ory_rt_never_to_be_read"}

    def of_browser(self, browser: SiteBrowser) -> None:
        self.add(browser.key, *(cookie.value for name, cookie in browser.cookies.items() if "ory_logout" in name))

    def of_callback(self, url: str) -> None:
        self.add(query_of(url)["code"])

    def found_in(self, text: str) -> list[str]:
        """The secrets in ``text``, whole or in part."""
        parts = {secret: secret if len(secret) < 60 else secret[-40:-10] for secret in self.known}
        return [secret for secret, part in parts.items() if part in text or part in unescape(text)]


@pytest.fixture
def secrets(settings: Any, network: Network) -> Secrets:
    secrets = Secrets(settings.CLIENT_SECRET)
    secrets.add("ory_rt_never_to_be_read")
    network.change("/oauth2/token", secrets.of_token_response)
    return secrets


@pytest.fixture
def sign_in(network: Network, secrets: Secrets) -> Callable[[SiteBrowser], Any]:
    """Sign in, and remember the secrets of this sign-in."""

    def sign_in(browser: SiteBrowser) -> Any:
        start = browser.start()
        pending = pending_sign_in(browser)
        secrets.add(pending.nonce, pending.code_verifier)
        secrets.of_browser(browser)
        callback = network.follow(start)
        secrets.of_callback(callback)
        answer = browser.visit(callback)
        secrets.of_browser(browser)
        secrets.add(*LoginSession.objects.values_list("session_key", flat=True))
        return answer

    return sign_in


# Logs


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """All log lines, with tracebacks."""
    caplog.set_level(logging.DEBUG)
    return lambda: "\n".join(
        logging.Formatter("%(name)s %(message)s %(args)s").format(record) for record in caplog.records
    )


class Context(NamedTuple):
    """The values that a logout needs. ``browser`` is signed in as Amber."""

    browser: SiteBrowser
    other: SiteBrowser
    network: Network
    provider: Provider
    clock: Clock


Journey = Callable[[Context], None]


def logged_out(context: Context) -> None:
    context.browser.post("/auth/logout/", {"next": "/bye/"})


def logged_out_alone(context: Context) -> None:
    cache.clear()
    context.network.down()
    context.browser.post("/auth/logout/")


def logged_out_by_link(context: Context) -> None:
    context.browser.get("/tags/")
    context.browser.get("/auth/logout/callback/", {"state": context.browser.session[LOGIN_KEY]["logout_state"]})


def notified(context: Context) -> None:
    assert context.other.deliver(context.provider.end_subject("amber")) == [200]


def notified_wrongly(context: Context) -> None:
    context.provider.clock = lambda: 0
    assert context.other.deliver(context.provider.end_subject("amber")) == [400]


def notified_by_unknown_key(context: Context) -> None:
    deliveries = list(context.provider.end_subject("amber"))
    context.provider.keys = []
    context.provider.rotate_keys()
    cache.clear()
    documents._parsed.clear()
    assert context.other.deliver(deliveries) == [400]


def notified_in_front(context: Context) -> None:
    context.other.get(
        "/auth/logout/frontchannel/", {"iss": context.provider.issuer, "sid": str(LoginSession.objects.get().sid)}
    )
    context.other.get("/auth/logout/frontchannel/", {"iss": context.provider.issuer})


def signed_in_anew(context: Context) -> None:
    context.browser.sign_in("birch")


def refused_by_the_provider(context: Context) -> None:
    callback = query_of(context.network.follow(context.other.start()))
    context.other.get("/auth/callback/", {**callback, "error": "access_denied", "error_description": "no"})


def code_refused(context: Context) -> None:
    callback = context.network.follow(context.other.start())
    del context.provider.clients["django-site"]
    context.other.visit(callback)


def token_endpoint_down(context: Context) -> None:
    callback = context.network.follow(context.other.start())
    context.network.down("/oauth2/token")
    context.other.visit(callback)
    context.other.visit(callback)


def wrong_id_token(context: Context) -> None:
    context.clock.advance(2 * 24 * 60 * 60)
    context.provider.clock = lambda: 0
    context.other.sign_in("amber")


@pytest.mark.parametrize(
    "journey",
    [
        logged_out,
        logged_out_alone,
        logged_out_by_link,
        notified,
        notified_wrongly,
        notified_by_unknown_key,
        notified_in_front,
        signed_in_anew,
        refused_by_the_provider,
        code_refused,
        token_endpoint_down,
        wrong_id_token,
    ],
    ids=lambda journey: journey.__name__,
)
def test_no_log_line_shows_a_secret(
    browser: SiteBrowser,
    new_browser: NewBrowser,
    network: Network,
    provider: Provider,
    clock: Clock,
    secrets: Secrets,
    sign_in: Callable[[SiteBrowser], Any],
    log: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    journey: Journey,
) -> None:
    sign_in(browser)
    other = new_browser()
    post_form, get = other.post_form, other.get

    def posted(path: str, form: Any, **extra: Any) -> Any:
        secrets.add(form["logout_token"])
        return post_form(path, form, **extra)

    def got(path: str, *args: Any, **extra: Any) -> Any:
        if "code=" in path:
            secrets.of_callback(path)
        return get(path, *args, **extra)

    monkeypatch.setattr(other, "post_form", posted)
    monkeypatch.setattr(other, "get", got)

    journey(Context(browser, other, network, provider, clock))

    for call in network.calls:
        secrets.add(call.form.get("code"), call.form.get("code_verifier"))
    secrets.of_browser(other)
    assert log()
    assert secrets.found_in(log()) == []


# Error mails


@pytest.fixture
def reports() -> Iterator[Reports]:
    """The mails that Django would send for each fault: as text, and as HTML with the variables of all frames."""
    reports: Reports = []

    def receiver(request: HttpRequest, **_arguments: Any) -> None:
        error = sys.exception()
        assert error
        reports.extend(report_of(error, request))

    got_request_exception.connect(receiver)
    yield reports
    got_request_exception.disconnect(receiver)


def fail(*_args: Any, **_kwargs: Any) -> Any:
    raise RuntimeError("a fault that nobody thought of")


@pytest.fixture
def faulty(new_browser: NewBrowser) -> SiteBrowser:
    """A browser that gets the error page of a fault."""
    return new_browser(raise_request_exception=False)


def report_of(error: BaseException, request: HttpRequest | None = None) -> Reports:
    """The mails about ``error``, with the frames below this file."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    reporter = ExceptionReporter(request, type(error), error, traceback, is_email=True)
    return [reporter.get_traceback_text(), reporter.get_traceback_html()]


def assert_secret(secrets: Secrets, reports: Reports) -> None:
    assert len(reports) == 2
    for report in reports:
        assert "a fault that nobody thought of" in report
        assert secrets.found_in(report) == []


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (http, "_read"),
        (http, "post"),
        (messages, "token_request"),
        (messages, "authenticated"),
        (messages, "parse_token_response"),
        (messages, "userinfo_claims"),
        (jose, "_json_object"),
        (tokens, "_check_audience"),
        (tokens, "_check_access_token"),
        (User, "save"),
        (opening, "open_login_session"),
        (opening, "_new_row"),
        (LoginSession, "save"),
        (LogoutReceiptQuerySet, "naming"),
    ],
    ids=lambda where: where if isinstance(where, str) else where.__name__,
)
@pytest.mark.parametrize("response_mode", ["query", "form_post"])
def test_no_report_of_a_failed_sign_in_shows_a_secret(
    faulty: SiteBrowser,
    network: Network,
    provider: Provider,
    secrets: Secrets,
    reports: Reports,
    monkeypatch: pytest.MonkeyPatch,
    configure: Configure,
    where: Any,
    what: str,
    response_mode: str,
) -> None:
    configure(USERINFO=True, KEEP_TOKENS=True, RESPONSE_MODE=response_mode)
    callback = network.follow(faulty.start())
    secrets.of_callback(callback)
    secrets.of_browser(faulty)
    pending = pending_sign_in(faulty)
    secrets.add(pending.nonce, pending.code_verifier)
    monkeypatch.setattr(where, what, fail)

    if response_mode == "query":
        answer = faulty.visit(callback)
    else:
        answer = faulty.post_form("/auth/callback/", query_of(callback))

    assert answer.status_code == 500
    for call in network.calls:
        secrets.add(call.form.get("code"), call.form.get("code_verifier"))
    assert_secret(secrets, reports)


class Mails(AdminEmailHandler):
    """Django's handler, which stores the mails instead of sending them."""

    def __init__(self) -> None:
        super().__init__(include_html=True)
        self.sent: list[str] = []

    def send_mail(self, subject: Any, message: Any, *_args: Any, **kwargs: Any) -> None:
        self.sent += [subject, message, kwargs["html_message"]]


@pytest.fixture
def mails() -> Iterator[list[str]]:
    """The mails that administrators get for each answer with status 500 or above."""
    handler, logger = Mails(), logging.getLogger("django.request")
    handler.setLevel(logging.ERROR)
    level, disabled = logger.level, logger.disabled
    # An earlier test in this process may have silenced this logger, as the demo does.
    logger.setLevel(logging.ERROR)
    logger.disabled = False
    logger.addHandler(handler)
    yield handler.sent
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.disabled = disabled


@pytest.mark.parametrize("response_mode", ["query", "form_post"])
def test_a_mail_about_a_callback_with_503_shows_no_secret(
    browser: SiteBrowser,
    network: Network,
    secrets: Secrets,
    mails: list[str],
    caplog: pytest.LogCaptureFixture,
    configure: Configure,
    response_mode: str,
) -> None:
    configure(RESPONSE_MODE=response_mode)
    callback = network.follow(browser.start())
    secrets.of_callback(callback)
    secrets.of_browser(browser)
    secrets.add(query_of(callback)["state"])
    network.down("/oauth2/token")
    path = callback.removeprefix("https://rp.example")

    if response_mode == "query":
        answer = browser.get(path, REQUEST_URI=path, RAW_URI=path)
    else:
        answer = browser.post_form("/auth/callback/", query_of(callback))

    assert answer.status_code == 503
    assert len(mails) == 3
    for mail in mails:
        assert "/auth/callback/" in mail
        assert secrets.found_in(mail) == []
    [record] = [record for record in caplog.records if record.name == "django.request"]
    request = vars(record)["request"]
    assert request.get_full_path() == "/auth/callback/"
    assert not request.GET
    assert secrets.found_in(str({name: value for name, value in request.META.items() if name != "HTTP_COOKIE"})) == []


def test_no_report_of_a_failed_start_shows_a_secret(
    faulty: SiteBrowser,
    network: Network,
    secrets: Secrets,
    reports: Reports,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faulty.start()
    pending = pending_sign_in(faulty)
    secrets.add(pending.nonce, pending.code_verifier)
    secrets.of_browser(faulty)
    monkeypatch.setattr(journey_of_login, "PendingSignIn", lambda *_args, **_kwargs: pending)
    monkeypatch.setattr(messages, "authorization_request", fail)

    assert faulty.get("/auth/login/").status_code == 500

    assert_secret(secrets, reports)


Act = Callable[[SiteBrowser], Any]


def post_logout(browser: SiteBrowser) -> Any:
    return browser.post("/auth/logout/")


def return_by_link(browser: SiteBrowser) -> Any:
    return browser.get("/auth/logout/callback/", {"state": browser.session[LOGIN_KEY]["logout_state"]})


def look(browser: SiteBrowser) -> Any:
    return browser.get("/tags/")


def look_asynchronously(browser: SiteBrowser) -> Any:
    return browser.get("/private-async/")


def rotate(browser: SiteBrowser) -> Any:
    session = browser.session
    session.cycle_key()
    browser.cookies["sessionid"] = str(session.session_key)
    return browser.get("/auth/whoami/")


def save(browser: SiteBrowser) -> Any:
    return browser.get("/auth/whoami/")


def end_others(browser: SiteBrowser) -> Any:
    SiteBrowser(browser.network).sign_in("amber")
    return browser.post("/auth/sessions/", {"end": "others"})


def delete_in_admin(browser: SiteBrowser) -> Any:
    User.objects.update(is_superuser=True, is_staff=True)
    SiteBrowser(browser.network).sign_in("amber")
    row = LoginSession.objects.exclude(session_key=browser.key).get()
    return browser.post(reverse("admin:ory_logout_loginsession_delete", args=[row.pk]), {"post": "yes"})


def front_channel(browser: SiteBrowser) -> Any:
    row = LoginSession.objects.get()
    return browser.get("/auth/logout/frontchannel/", {"iss": row.issuer, "sid": str(row.sid)})


@pytest.mark.parametrize(
    ("act", "where", "what"),
    [
        (post_logout, index, "mark_ended"),
        (post_logout, index, "delete_ended"),
        (post_logout, messages, "end_session_request"),
        (post_logout, logout_views, "HiddenRedirect"),
        (return_by_link, index, "mark_ended"),
        (look, index, "get_active"),
        (look, index, "confirm_alive"),
        (look, messages, "end_session_request"),
        (look_asynchronously, index, "get_active"),
        (rotate, index, "update_key"),
        (save, index, "extend_expiry"),
        (end_others, engines, "delete_stored"),
        (delete_in_admin, engines, "delete_stored"),
        (front_channel, engines, "delete_stored"),
        (front_channel, index, "rows"),
    ],
    ids=lambda part: part if isinstance(part, str) else part.__name__.rpartition(".")[2],
)
@pytest.mark.parametrize("engine", ["cached_db", "cache", "file"])
def test_no_report_of_a_fault_while_signed_in_shows_a_secret(
    faulty: SiteBrowser,
    sign_in: Callable[[SiteBrowser], Any],
    secrets: Secrets,
    reports: Reports,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
    act: Act,
    where: Any,
    what: str,
    engine: str,
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.SESSION_SAVE_EVERY_REQUEST = act is save
    sign_in(faulty)
    session, get, post = faulty.session, faulty.get, faulty.post
    index._seen.clear()

    def broken(method: Any) -> Any:
        def send(*args: Any, **kwargs: Any) -> Any:
            secrets.add(faulty.key, *LoginSession.objects.values_list("session_key", flat=True))
            monkeypatch.setattr(where, what, fail)
            return method(*args, **kwargs)

        return send

    monkeypatch.setattr(SiteBrowser, "session", session)
    monkeypatch.setattr(faulty, "get", broken(get))
    monkeypatch.setattr(faulty, "post", broken(post))

    answer = act(faulty)

    if answer.status_code == 500:
        assert_secret(secrets, reports)
    else:  # the logout continues, or its marker cookie is set: only the log shows the fault
        assert not reports
        assert "RuntimeError" in caplog.text
        assert secrets.found_in(caplog.text) == []
    assert answer.status_code == STATUSES.get((act, what), 500)


#: Requests without a report of a fault: the row had ended, or could not be ended.
STATUSES: dict[tuple[Act, str], int] = {
    (post_logout, "mark_ended"): 503,
    (post_logout, "delete_ended"): 302,
    (return_by_link, "mark_ended"): 503,
    (end_others, "delete_stored"): 302,
    (delete_in_admin, "delete_stored"): 302,
    (front_channel, "delete_stored"): 200,
}


def faulty_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Fails after the view has answered."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.method == "POST":
            fail()
        return response

    return middleware


def test_no_report_of_a_fault_after_the_logout_shows_a_secret(
    new_browser: NewBrowser,
    sign_in: Callable[[SiteBrowser], Any],
    secrets: Secrets,
    reports: Reports,
    settings: Any,
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.test_secrecy.faulty_middleware"]
    faulty = new_browser(raise_request_exception=False)
    sign_in(faulty)

    assert faulty.post("/auth/logout/").status_code == 500

    assert_secret(secrets, reports)
    assert "redirect to a hidden URL" in unescape(reports[1])


def test_a_report_of_a_failed_notice_shows_no_secret(
    browser: SiteBrowser,
    provider: Provider,
    sign_in: Callable[[SiteBrowser], Any],
    secrets: Secrets,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That fault is logged, not raised. A log handler may send a report of it."""
    sign_in(browser)
    deliveries = provider.end_subject("amber")
    secrets.add(*(delivery.logout_token for delivery in deliveries))
    monkeypatch.setattr(engines, "delete_stored", fail)

    assert browser.deliver(deliveries) == [503]

    [record] = [record for record in caplog.records if record.name == "django_ory_logout" and record.exc_info]
    assert record.exc_info
    assert record.exc_info[1]
    assert_secret(secrets, report_of(record.exc_info[1]))


def test_a_report_of_a_failed_purge_shows_no_secret(
    browser: SiteBrowser,
    sign_in: Callable[[SiteBrowser], Any],
    secrets: Secrets,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sign_in(browser)
    LoginSession.objects.update(expires_at="2001-01-01T00:00Z")
    monkeypatch.setattr(engines, "delete_stored", fail)

    with pytest.raises(RuntimeError) as caught:
        call_command("ory_purge")

    assert_secret(secrets, report_of(caught.value))


TOKENS = Tokens("header.an-id-token-with-a-signature.end", "an-access-token-for-userinfo", "a-refresh-token")
LOGOUT_TOKEN = "header.a-logout-token-with-a-signature.end"
NOW = time.time()
LOGIN_KEPT = StoredLogin(issuer="https://op.example", client_id="django-site", id_token=TOKENS.id_token)


@pytest.mark.parametrize(
    ("call", "where", "what"),
    [
        (
            lambda op: op.exchange("the-code-itself", redirect_uri="", code_verifier="the-verifier", now=NOW),
            http,
            "_read",
        ),
        (lambda op: op.userinfo(TOKENS.access_token, "amber", NOW), http, "_read"),
        (lambda op: op.verify_id_token(TOKENS, nonce="", now=NOW), jose, "_json_part"),
        (lambda op: op.verify_logout_token(LOGOUT_TOKEN, now=NOW, exp_required=False), jose, "_json_part"),
        (lambda op: tokens.unverified_recipient(LOGOUT_TOKEN, []), jose, "_json_part"),
        (lambda op: messages.authenticated(op.registration, "code=the-code-itself"), messages, "ClientAuth"),
        (lambda op: held_end_session_request(LOGIN_KEPT, ""), messages, "EndSessionRequest"),
        (lambda op: end_session_request(LOGIN_KEPT, ""), messages, "EndSessionRequest"),
    ],
)
def test_no_report_of_a_fault_below_the_views_shows_a_secret(
    network: Network, secrets: Secrets, monkeypatch: pytest.MonkeyPatch, call: Any, where: Any, what: str
) -> None:
    secrets.add("the-code-itself", "the-verifier", TOKENS.id_token, TOKENS.access_token, LOGOUT_TOKEN)
    op = conf.get().providers["default"].provider
    op.metadata(time.time())
    monkeypatch.setattr(where, what, fail)

    with pytest.raises(RuntimeError) as caught:
        call(op)

    assert_secret(secrets, report_of(caught.value))


def test_reports_omit_the_cookies_of_sign_ins(
    faulty: SiteBrowser, secrets: Secrets, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.start()
    secrets.of_browser(faulty)
    monkeypatch.setattr("tests.urls.HttpResponse", fail)

    assert faulty.get("/").status_code == 500

    assert_secret(secrets, reports)


def test_the_search_finds_secrets_that_are_stored_as_json(browser: SiteBrowser, sign_in: Any, secrets: Secrets) -> None:
    sign_in(browser)

    kept = json.dumps(browser.session[LOGIN_KEY])

    assert len(secrets.found_in(kept)) == 1
    done = next(cookie.value for name, cookie in browser.cookies.items() if DONE in name)
    assert set(secrets.found_in(str(browser.cookies))) == {browser.key, done}
