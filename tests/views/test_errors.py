"""The error pages for users: grouped by what a user can do, with the details that operators need."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import (
    BadRequest,
    ImproperlyConfigured,
    PermissionDenied,
    SuspiciousOperation,
    ValidationError,
)
from django.db import DataError, IntegrityError, OperationalError
from django.db.models.signals import post_save
from django.http import Http404
from django.urls import reverse_lazy

from django_ory_logout import exceptions
from django_ory_logout.backends import ProviderBackend
from django_ory_logout.flows import login as journey
from django_ory_logout.models import LoginSession
from django_ory_logout.testing import Network
from django_ory_logout.views import errors
from django_ory_logout.views.errors import Group

from ..conftest import Configure, Connect, Logged, SiteBrowser
from ..test_architecture import raised_codes
from .pages import REFUSED, SET_UP_WRONGLY, WAIT, assert_page

METADATA = "/.well-known/openid-configuration"

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("kind", ["sign-in", "logout", "sessions"])
def test_every_error_has_a_text(kind: str) -> None:
    for code, classes in raised_codes().items():
        for error_class in classes - {exceptions.ChallengeHandled, exceptions.SecondFactorRequired}:
            title, message = errors.title_and_message(error_class(code), kind)
            assert str(title)
            assert str(message).endswith(".")


def test_only_existing_codes_have_their_own_text() -> None:
    of_classes = {"challenge_handled", "session_aal2_required"}

    assert (errors._GROUP_OF_CODE.keys() | errors._TEXTS_OF_CODE.keys()) - raised_codes().keys() == of_classes


@pytest.mark.parametrize(
    ("error", "group"),
    [
        (exceptions.InvalidMessage("state_expired"), Group.AGAIN),
        (exceptions.SignInRefused("provider_refused"), Group.AGAIN),
        (exceptions.InvalidToken("nonce_mismatch"), Group.AGAIN),
        (exceptions.ProviderUnavailable("cooling_down"), Group.WAIT),
        (exceptions.TemporaryError("database_fault"), Group.WAIT),
        (exceptions.LoggedOutMeanwhile("subject_logged_out"), Group.WAIT),
        (exceptions.SetupError("issuer_mismatch"), Group.SET_UP_WRONGLY),
        (exceptions.InvalidMessage("client_refused"), Group.SET_UP_WRONGLY),
        (exceptions.SignInRefused("authorization_request_refused"), Group.SET_UP_WRONGLY),
        (exceptions.InvalidToken("aud_mismatch"), Group.SET_UP_WRONGLY),
        (exceptions.KratosError("kratos_unauthorized"), Group.SET_UP_WRONGLY),
        (exceptions.SignInRefused("user_refused"), Group.NOT_ALLOWED),
        (exceptions.InvalidToken("acr_mismatch"), Group.NOT_ALLOWED),
    ],
)
def test_codes_are_grouped(error: exceptions.OryLogoutError, group: Group) -> None:
    assert errors.group_of(error) is group


def state_of(browser: SiteBrowser) -> str:
    return re.search("state=([^&]+)", browser.start())[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("error", "title"),
    [
        ("access_denied", REFUSED[403]),
        ("unmet_authentication_requirements", REFUSED[403]),
        ("request_unauthorized", REFUSED[400]),
        ("invalid_scope", SET_UP_WRONGLY),
        ("unsupported_response_type", SET_UP_WRONGLY),
    ],
)
def test_an_error_of_the_provider_is_explained(browser: SiteBrowser, network: Network, error: str, title: str) -> None:
    answer = browser.get("/auth/callback/", {"state": state_of(browser), "error": error})

    assert_page(answer, 403, title)
    assert ("was cancelled" in answer.text) == (error == "access_denied")
    assert ("a second factor" in answer.text) == (error == "unmet_authentication_requirements")


@pytest.mark.parametrize("path", [METADATA, "/.well-known/jwks.json", "/oauth2/token"])
@pytest.mark.parametrize(("status", "group"), [(200, SET_UP_WRONGLY), (502, WAIT)])
def test_a_page_in_place_of_json_is_explained(
    browser: SiteBrowser, network: Network, settings: Any, path: str, status: int, group: str
) -> None:
    settings.DEBUG = True
    callback = "" if path == METADATA else network.follow(browser.start())
    network.replace(path, b"<html>", status=status, headers={"Content-Type": "text/html"})

    answer = browser.visit(callback) if callback else browser.get("/auth/login/")

    assert_page(answer, 503 if group == WAIT else 500, group)
    where = f"https://op.example{path} answers 200, Content-Type: 'text/html'"
    assert (where in unescape(answer.text)) == (group == SET_UP_WRONGLY)


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise error

    return fail


def test_a_site_without_the_backend_is_explained(browser: SiteBrowser, settings: Any, logged: Logged) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]

    assert_page(browser.sign_in("amber"), 500, SET_UP_WRONGLY)

    missing = "AUTHENTICATION_BACKENDS has no django_ory_logout.backends.ProviderBackend"
    assert logged() == [f"sign-in failed: backend_missing: {missing}. Add it, or a subclass of it."]


@pytest.mark.parametrize(
    ("backends", "said"),
    [
        (
            "django_ory_logout.backends.ProviderBackend",
            "is a text, 'django_ory_logout.backends.ProviderBackend'. "
            "Write: AUTHENTICATION_BACKENDS = ['django_ory_logout.backends.ProviderBackend']",
        ),
        (
            ["django_ory_logout.backends.ProvderBackend"],
            "has 'django_ory_logout.backends.ProvderBackend', which cannot be imported (ImportError). "
            "Correct or remove it.",
        ),
    ],
)
def test_site_whose_backends_cannot_be_imported(
    backends: Any, said: str, browser: SiteBrowser, settings: Any, logged: Logged
) -> None:
    settings.AUTHENTICATION_BACKENDS = backends

    assert_page(browser.sign_in("amber"), 500, SET_UP_WRONGLY)

    assert logged() == [f"sign-in failed: backend_missing: AUTHENTICATION_BACKENDS {said}"]


class AnotherBackend(ProviderBackend):
    def authenticate(self, *_args: Any, **_credentials: Any) -> None:
        return None


def test_a_backend_of_the_site_that_gives_no_reason_is_explained(
    browser: SiteBrowser, settings: Any, logged: Logged
) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.AnotherBackend"]

    assert_page(browser.sign_in("amber"), 403, REFUSED[403])

    assert logged() == ["sign-in failed: user_refused: no authentication backend accepts this subject"]


@pytest.mark.parametrize("debug", [False, True])
def test_the_log_line_of_the_reference_has_the_reason(
    browser: SiteBrowser, settings: Any, connect_receiver: Connect, caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    connect_receiver(post_save, broken_receiver)
    settings.DEBUG = debug

    answer = browser.sign_in("amber")

    assert_page(answer, 500, SET_UP_WRONGLY)
    reason = f"{__name__}.broken_receiver, a receiver of a signal, fails: a required field has no value (profile.city)"
    reference = re.search("Reference: ([0-9A-Z]{8})<", answer.text)
    assert reference
    assert f"sign-in failed: user_invalid: {reason} (reference {reference[1]})" in caplog.messages
    assert (reason in unescape(answer.text)) == debug


def broken_receiver(sender: type, **_arguments: Any) -> None:
    if sender is get_user_model():
        raise IntegrityError("NOT NULL constraint failed: profile.city")


def test_a_failing_receiver_of_a_sign_in_is_explained(
    browser: SiteBrowser, connect_receiver: Connect, logged: Logged
) -> None:
    connect_receiver(user_logged_in, broken_receiver)

    assert_page(browser.sign_in("amber"), 500, SET_UP_WRONGLY)

    reason = f"{__name__}.broken_receiver, a receiver of a signal, fails: a required field has no value (profile.city)"
    assert logged() == [f"sign-in failed: user_invalid: {reason}"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("signal", [post_save, user_logged_in], ids=["post_save", "user_logged_in"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Http404("a secret"), "fails: Http404"),
        (SuspiciousOperation("a secret"), "fails: SuspiciousOperation"),
        (BadRequest("a secret"), "fails: BadRequest"),
        (KeyError("a secret"), "fails: KeyError"),
        (ValidationError("a secret", code="no"), "fails: __all__: no"),
        (DataError("a secret"), "fails: DataError"),
        (ImproperlyConfigured("PROFILES is missing"), "fails: PROFILES is missing"),
        (PermissionDenied("a secret"), "raises PermissionDenied"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_receiver_that_raises_anything(
    signal: Any, error: Exception, reason: str, browser: SiteBrowser, connect_receiver: Connect, logged: Logged
) -> None:
    def receiver(*, sender: type, **_arguments: Any) -> None:
        if sender is get_user_model():
            raise error

    connect_receiver(signal, receiver)

    refused = isinstance(error, PermissionDenied)
    assert_page(browser.sign_in("amber"), 403 if refused else 500, REFUSED[403] if refused else SET_UP_WRONGLY)

    name = f"{__name__}.{receiver.__qualname__}, a receiver of a signal,"
    assert logged()[-1] == f"sign-in failed: {'user_refused' if refused else 'user_invalid'}: {name} {reason}"
    assert get_user_model().objects.count() == 0


@pytest.mark.parametrize("error", [IntegrityError("x"), KeyError("x")])
def test_receiver_of_the_login_session_that_fails(
    error: Exception, browser: SiteBrowser, connect_receiver: Connect, logged: Logged
) -> None:
    def receiver(*, sender: type, **_arguments: Any) -> None:
        if sender is LoginSession:
            raise error

    connect_receiver(post_save, receiver)

    assert_page(browser.sign_in("amber"), 500, SET_UP_WRONGLY)

    assert logged()[-1].startswith(f"sign-in failed: user_invalid: {__name__}.{receiver.__qualname__}, a receiver of")


class BrokenBackend(ProviderBackend):
    error: Exception

    def user_fields(self, claims: Any) -> dict[str, Any]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Http404(), "user_invalid: code of this site raises Http404"),
        (KeyError("a secret"), "internal_error: KeyError"),  # with its traceback, which Django reports
    ],
)
def test_hook_of_the_site_that_fails(
    error: Exception,
    said: str,
    browser: SiteBrowser,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.BrokenBackend"]
    monkeypatch.setattr(BrokenBackend, "error", error, raising=False)
    browser.raise_request_exception = False

    assert browser.sign_in("amber").status_code == 500

    assert any(message.startswith(f"sign-in failed: {said} (reference") for message in caplog.messages)


@pytest.mark.parametrize("error", [IntegrityError("x"), KeyError("x")])
def test_receiver_that_fails_at_an_update(
    error: Exception, browser: SiteBrowser, connect_receiver: Connect, logged: Logged
) -> None:
    browser.sign_in("amber")

    def receiver(*, instance: Any, created: bool, **_arguments: Any) -> None:
        if isinstance(instance, get_user_model()) and not created:
            raise error

    connect_receiver(post_save, receiver)

    assert_page(browser.sign_in("amber"), 500, SET_UP_WRONGLY)

    assert logged()[-1].startswith(f"sign-in failed: user_invalid: {__name__}.{receiver.__qualname__}, a receiver of")


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_an_unexpected_fault_is_explained(
    browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, accept: str
) -> None:
    monkeypatch.setattr(journey, "provider_of", failing(KeyError("a secret")))
    browser.raise_request_exception = False

    answer = browser.get("/auth/login/", headers={"accept": accept})

    assert answer.status_code == 500
    assert "Retry-After" not in answer.headers
    [line] = [record for record in caplog.records if record.exc_info and record.name == "django.request"]
    reference = re.search(r"Internal Server Error: /auth/login/ \(reference ([0-9A-Z]{8})\)$", line.getMessage())
    assert reference
    assert f"sign-in failed: internal_error: KeyError (reference {reference[1]})" in caplog.messages
    if accept == "text/html":
        assert "This page has failed" in answer.text
        assert f"Reference: {reference[1]}<" in answer.text
        assert "again" not in answer.text


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/auth/login/?provider=nope", 400, "provider_unknown"),
        ("/auth/login/?iss=https://nope.example", 400, "issuer_unknown"),
        ("/auth/callback/", 400, "state_unknown"),
        ("/auth/kratos/logout/", 400, "link_token_missing"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "application/problem+json"])
def test_the_error_is_json_if_the_client_asks_for_it(
    browser: SiteBrowser, path: str, status: int, code: str, accept: str
) -> None:
    answer = browser.get(path, headers={"accept": accept})

    assert (answer.status_code, answer.json()) == (status, {"error": code})


@pytest.mark.parametrize(("debug", "host"), [(True, "127.0.0.1:8000"), (True, "rp.example"), (False, "127.0.0.1")])
def test_a_sign_in_that_started_at_another_host_is_explained(
    browser: SiteBrowser, settings: Any, logged: Logged, debug: bool, host: str
) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = debug, ["*"]
    url = browser.get("/auth/login/", headers={"host": host})["Location"]
    browser.cookies.clear()

    browser.get("/auth/callback/", {"state": re.search("state=([^&]+)", url)[1], "code": "a"})  # type: ignore[index]

    began = f": it began at {host!r}, and SITE_URL is 'https://rp.example'. Open the site at SITE_URL"
    hint = began if debug and host != "rp.example" else ""
    assert logged() == [f"sign-in failed: state_unknown: this browser has no sign-in under way with that state{hint}"]


def test_a_host_that_cannot_be_kept_is_explained(
    browser: SiteBrowser, settings: Any, cache_down: Callable[[], None]
) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["*"]
    browser.get("/auth/login/")
    cache_down()

    assert browser.get("/auth/login/", headers={"host": "127.0.0.1"}).status_code in {302, 503}
    assert browser.get("/auth/callback/", {"state": "a", "code": "a"}).status_code == 400


@pytest.mark.parametrize("code", ["user_exists", "username_unusable"])
def test_a_user_without_an_account_here_gets_an_explanation(code: str) -> None:
    assert errors.group_of(exceptions.SignInRefused(code)) is Group.NOT_ALLOWED
    assert "No account could be made for you" in str(
        errors.title_and_message(exceptions.SignInRefused(code), "sign-in")[1]
    )


def test_a_missing_migration_is_explained(
    browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    monkeypatch.setattr(journey, "begin", failing(OperationalError("no such table: t")))

    assert_page(browser.get("/auth/login/"), 500, SET_UP_WRONGLY)
    assert logged() == ["sign-in failed: not_migrated: no such table: t. Run: python manage.py migrate"]


def test_unusable_settings_are_explained(browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    monkeypatch.setattr(journey, "begin", failing(ImproperlyConfigured("it lacks a line")))

    assert_page(browser.get("/auth/login/"), 500, SET_UP_WRONGLY)
    assert logged() == ["sign-in failed: settings_invalid: it lacks a line"]


@pytest.mark.parametrize("debug", [False, True])
def test_the_page_has_the_code_and_the_reference_of_the_log(
    browser: SiteBrowser, network: Network, settings: Any, caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    settings.DEBUG = debug
    network.change(METADATA, lambda document: {**document, "issuer": "https://elsewhere.example"})

    text = unescape(browser.get("/auth/login/").text)

    reference = re.search("Reference: ([0-9A-Z]{8})<", text)
    assert reference
    assert [line for line in caplog.messages if line.endswith(f" (reference {reference[1]})")]
    assert "Code: issuer_mismatch<" in text
    assert re.search(r"Time: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC<", text)
    assert (
        "discovery names the issuer 'https://elsewhere.example', and ISSUER is 'https://op.example'" in text
    ) == debug


def test_each_page_has_its_own_reference(browser: SiteBrowser, caplog: pytest.LogCaptureFixture) -> None:
    browser.get("/auth/callback/")
    browser.get("/auth/callback/")

    assert len({line for line in caplog.messages if "(reference" in line}) == 2


def test_the_page_waits_after_a_provider_that_does_not_answer(browser: SiteBrowser, network: Network) -> None:
    network.down(METADATA)
    browser.get("/auth/login/")

    answer = browser.get("/auth/login/")

    assert_page(answer, 503, WAIT)
    assert "Code: cooling_down<" in answer.text


def test_a_failed_logout_link_is_explained_as_a_logout(browser: SiteBrowser, logged: Logged) -> None:
    answer = browser.get("/auth/kratos/logout/")

    assert_page(answer, 400, "This logout cannot be completed")
    assert "Log out</a>" in answer.text
    assert logged() == ["logout failed: link_token_missing: a logout link carries its token"]


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_an_unreadable_logout_is_explained_as_a_logout(browser: SiteBrowser, logged: Logged, accept: str) -> None:
    headers = {"Content-Type": "text/plain; charset=unicode_escape", "Accept": accept}

    browser.get("/auth/logout/", headers=headers)

    assert logged() == ["logout failed: charset_unsupported: the charset of Content-Type is not UTF-8"]


def test_a_wrong_client_secret_is_explained(browser: SiteBrowser, network: Network, configure: Configure) -> None:
    callback = network.follow(browser.start())
    configure(CLIENT_SECRET="an old one")

    answer = browser.visit(callback)

    assert_page(answer, 400, SET_UP_WRONGLY)
    assert "Code: client_refused<" in answer.text


@pytest.mark.parametrize("debug", [False, True])
def test_a_login_url_without_a_page_is_explained(
    browser: SiteBrowser, settings: Any, logged: Logged, debug: bool
) -> None:
    settings.DEBUG, settings.LOGIN_URL = debug, "/accounts/login/"

    answer = browser.get("/accounts/login/")

    assert answer.status_code == (500 if debug else 404)
    assert ('Write: LOGIN_URL = "ory_logout:login"' in unescape(answer.text)) == debug
    assert browser.get("/no-such-page/").status_code == 404
    settings.LOGIN_URL = reverse_lazy("no_such_name")
    assert browser.get("/no-such-page/").status_code == 404
