"""No repr, error, log line or fault report shows a secret with which someone could log in or log out a user."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.views.debug import ExceptionReporter

from django_ory_logout import http
from django_ory_logout.exceptions import OryLogoutError, SecondFactorRequired
from django_ory_logout.ory.kratos import Credential, KratosAdmin, KratosPublic, LogoutFlow

from .conftest import KRATOS_ADMIN_URL, KRATOS_URL, FakeServer
from .kratos_vendor import (
    COOKIE,
    COUNT,
    FLOW,
    IDENTITY_ID,
    INACTIVE,
    LOGOUT_TOKEN,
    RETURN_TO,
    SESSION_TOKEN,
    refusal,
    session,
)

API_KEY = "ory_pat_a-key-of-kratos"
PASSWORD = "a-password-of-a-test-user"
SECRETS = (COOKIE, SESSION_TOKEN, LOGOUT_TOKEN, API_KEY, PASSWORD)
NEW_COOKIE = "ory_kratos_session=MTc5NTI2ODg0MHxXNGFSLXVJZjZtWEJnQ3VnS2FlWWo2; Path=/; HttpOnly"
OTHER_ID = "df5850a4-188e-46ac-8170-a74c000b7dd8"
BROWSER = Credential(COOKIE, "ory_kratos_session")
NATIVE = Credential(SESSION_TOKEN)
RETURN_URL = "https://elsewhere.example/?state=" + LOGOUT_TOKEN

Call = Callable[[KratosPublic, KratosAdmin], Any]
CALLS: dict[str, Call] = {
    "whoami by cookie": lambda public, admin: public.whoami(BROWSER),
    "whoami by session token": lambda public, admin: public.whoami(NATIVE),
    "logout_flow": lambda public, admin: public.logout_flow(BROWSER, RETURN_URL),
    "log_out": lambda public, admin: public.log_out(BROWSER, LOGOUT_TOKEN),
    "log_out_natively": lambda public, admin: public.log_out_natively(SESSION_TOKEN),
    "sessions": lambda public, admin: public.sessions(NATIVE),
    "end_session": lambda public, admin: public.end_session(BROWSER, OTHER_ID),
    "end_other_sessions": lambda public, admin: public.end_other_sessions(NATIVE),
    "sessions of a person": lambda public, admin: list(admin.sessions(IDENTITY_ID)),
    "end_session of a person": lambda public, admin: admin.end_session(OTHER_ID),
    "end_sessions of a person": lambda public, admin: admin.end_sessions(IDENTITY_ID),
    "create_identity": lambda public, admin: admin.create_identity({}, PASSWORD),
    "delete_identity": lambda public, admin: admin.delete_identity(IDENTITY_ID),
}
each_call = pytest.mark.parametrize("name", CALLS)


def call(name: str) -> Any:
    return CALLS[name](KratosPublic(KRATOS_URL), KratosAdmin(KRATOS_ADMIN_URL, API_KEY))


def found_in(text: str) -> list[str]:
    """The secrets in ``text``. The first half of a secret counts too."""
    return [secret for secret in SECRETS if secret[: len(secret) // 2 + 8] in text]


def report_of(error: BaseException) -> str:
    """The mail that Django would send, with the variables of all frames below this file."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    error = error.with_traceback(traceback)
    reporter = ExceptionReporter(None, type(error), error, traceback, is_email=True)
    return reporter.get_traceback_text() + reporter.get_traceback_html()


@pytest.mark.parametrize(
    "shown",
    [
        BROWSER,
        NATIVE,
        KratosAdmin(KRATOS_ADMIN_URL, API_KEY),
        LogoutFlow.parse(FLOW.to_dict()),
        http.Response(204, {"Set-Cookie": f"a={COOKIE}"}, COOKIE.encode(), (f"a={COOKIE}",)),
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_no_repr_shows_a_secret(shown: object) -> None:
    assert found_in(repr(shown) + str(shown)) == []


def test_no_repr_shows_personal_data(kratos: FakeServer) -> None:
    kratos.answers(session())

    assert "amber" not in repr(call("whoami by cookie"))


@each_call
@pytest.mark.parametrize(
    ("said", "status"),
    [
        (INACTIVE, 401),
        (RETURN_TO, 400),
        (refusal(400, reason=f"Unable to parse {RETURN_URL}", message=f"{COOKIE} {SESSION_TOKEN} {API_KEY}"), 400),
        (refusal(500, reason=f"{RETURN_URL} {COOKIE} {SESSION_TOKEN} {API_KEY}"), 500),
        ({"logout_url": 1, "id": COOKIE, "active": LOGOUT_TOKEN}, 200),
        ([{"id": COOKIE, "active": LOGOUT_TOKEN}], 200),
        ([{"id": "x", "active": True, "identity": {"id": "y", "verifiable_addresses": [{"value": [COOKIE]}]}}], 200),
    ],
)
def test_no_error_and_no_log_line_shows_a_secret(
    kratos: FakeServer, caplog: pytest.LogCaptureFixture, name: str, said: object, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    kratos.answers(said, status)
    kratos.answers(said, status)

    with pytest.raises(OryLogoutError) as caught:
        call(name)

    assert found_in(f"{caught.value!s} {caught.value!r} {caught.value.args}") == []
    assert found_in(report_of(caught.value)) == []
    assert found_in(caplog.text) == []


def test_an_unreachable_kratos_is_named_without_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")

    with pytest.raises(OryLogoutError) as caught:
        KratosPublic("http://127.0.0.1:1").log_out(BROWSER, LOGOUT_TOKEN)

    assert str(caught.value) == "unreachable: GET http://127.0.0.1:1/self-service/logout: ConnectionError"


def test_the_url_of_the_second_factor_is_not_shown() -> None:
    assert found_in(repr(SecondFactorRequired(RETURN_URL)) + str(SecondFactorRequired(RETURN_URL))) == []


def fail(*_args: Any, **_kwargs: Any) -> Any:
    raise RuntimeError("a fault that nobody thought of")


READING = {
    "whoami by cookie": session(),
    "whoami by session token": session(),
    "logout_flow": FLOW,
    "sessions": [session()],
    "end_other_sessions": COUNT,
    "sessions of a person": [session()],
}
WITH_QUERY = ["logout_flow", "log_out", "sessions", "sessions of a person"]


@pytest.mark.parametrize(
    ("what", "name"),
    [("django_ory_logout.http._read", name) for name in CALLS]
    + [("django_ory_logout.http.Response", name) for name in CALLS]
    + [("django_ory_logout.ory.kratos.api._refusal", name) for name in CALLS]
    + [("django_ory_logout.ory.kratos.api._error_texts", name) for name in CALLS]
    + [("django_ory_logout.ory.documents._of_type", name) for name in READING]
    + [("django_ory_logout.ory.documents.fields", name) for name in READING]
    + [("django_ory_logout.ory.api.urlencode", name) for name in WITH_QUERY],
)
def test_no_report_of_a_fault_shows_a_secret(
    kratos: FakeServer, monkeypatch: pytest.MonkeyPatch, what: str, name: str
) -> None:
    refusing = what.startswith("django_ory_logout.ory.kratos.api")
    kratos.answers(READING.get(name, FLOW), 403 if refusing else 200)
    monkeypatch.setattr(what, fail)

    with pytest.raises(RuntimeError) as caught:
        call(name)

    report = report_of(caught.value)
    assert "a fault that nobody thought of" in report
    assert found_in(report) == []


def test_a_cookie_to_relay_is_hidden(kratos: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    kratos.answers_bytes(cookies=[NEW_COOKIE])
    monkeypatch.setattr("django_ory_logout.ory.kratos.public.checked", fail)

    with pytest.raises(RuntimeError) as caught:
        call("log_out")

    assert NEW_COOKIE.partition(";")[0] not in report_of(caught.value)
