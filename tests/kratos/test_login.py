"""A session at Kratos signs in here, through Django's own login and the session index. Nothing else does."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models.signals import post_save
from django.http import Http404

from django_ory_logout import conf
from django_ory_logout.kratos import login, whoami
from django_ory_logout.models import EndReason, LoginSession, LogoutReceipt, LogoutReceiptQuerySet, Subject, moment
from django_ory_logout.ory.kratos import Credential
from django_ory_logout.sessions import index, opening, receipts
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.signals import login_session_ended, login_session_opened
from django_ory_logout.testing import Kratos, KratosNetwork, Provider, connect
from django_ory_logout.testing.kratos import Address, Identity, Session

from ..conftest import Clock, Connect, Listen, Logged, SiteBrowser, query_of
from ..views.pages import assert_page
from .conftest import COOKIE, PUBLIC_URL, KratosBrowser

pytestmark = pytest.mark.django_db(transaction=True)

Calls = Callable[[], int]
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def browser(browser_of: KratosBrowser, session: Session) -> SiteBrowser:
    return browser_of(session)


@pytest.fixture
def ended(listen: Listen) -> list[dict[str, Any]]:
    return listen(login_session_ended)


def entry(settings: Any, **changes: Any) -> None:
    """Change settings of the only entry, next to ``KRATOS``."""
    default = {**settings.ORY_LOGOUT["PROVIDERS"]["default"], **changes}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": default}}


# By a cookie


def test_a_cookie_signs_in(browser: SiteBrowser, session: Session, listen: Listen) -> None:
    logged_in, opened = listen(user_logged_in), listen(login_session_opened)

    answer = browser.get("/private/")

    assert answer.status_code == 200
    row = LoginSession.objects.get()
    assert (row.issuer, row.client_id, row.subject, row.sid) == (PUBLIC_URL, "", session.identity.id, session.id)
    assert row.iat == moment(session.authenticated_at)
    assert row.session_key == browser.key
    assert answer.text == row.user.username
    assert [event["user"] for event in logged_in] == [row.user]
    assert [event["login_session"] for event in opened] == [row]


def test_whoami_names_the_user(browser: SiteBrowser, session: Session) -> None:
    assert browser.user == {
        "authenticated": True,
        "username": browser.user["username"],
        "provider": "default",
        "issuer": PUBLIC_URL,
        "subject": session.identity.id,
        "sid": session.id,
    }


def test_many_requests_use_one_session(browser: SiteBrowser, clock: Clock, whoami_calls: Calls) -> None:
    keys = set()
    for _ in range(3):
        browser.get("/private/")
        keys.add(browser.key)

    assert len(keys) == 1
    assert LoginSession.objects.count() == 1
    assert whoami_calls() == 1
    clock.advance(11)
    assert browser.user
    assert whoami_calls() == 1
    assert LoginSession.objects.count() == 1


def test_every_request_asks_kratos_if_answers_are_not_kept(
    browser: SiteBrowser, configure_kratos: Callable[..., None], whoami_calls: Calls
) -> None:
    configure_kratos(WHOAMI_SECONDS=0)

    for _ in range(3):
        assert browser.user

    assert whoami_calls() == 3
    assert LoginSession.objects.count() == 1


def test_every_engine_signs_in_and_ends(
    engine: str, browser: SiteBrowser, kratos: Kratos, session: Session, clock: Clock, ended: list[dict[str, Any]]
) -> None:
    assert browser.user
    assert browser.user["sid"] == session.id
    [row] = LoginSession.objects.all()
    assert (row.session_key is None) == (engine == "signed_cookies")

    kratos.end(session.id)
    clock.advance(11)

    assert browser.user is None
    assert not LoginSession.objects.exists()
    assert [event["reason"] for event in ended] == [EndReason.KRATOS]


def test_the_same_identity_is_the_same_user(
    browser_of: KratosBrowser, kratos: Kratos, amber: Identity, session: Session
) -> None:
    names = [browser_of(opened).user["username"] for opened in (session, kratos.sign_in(amber))]
    birch = browser_of(kratos.sign_in(kratos.identity("birch@example.org"))).user

    assert names[0] == names[1] != birch["username"]
    assert LoginSession.objects.count() == 3


def test_the_subject_is_the_identity_with_kratos_as_issuer(browser: SiteBrowser, amber: Identity) -> None:
    """Hydra names an identity by its id too. The site decides whether both are the same user."""
    cedar = User.objects.create_user("cedar")
    Subject.objects.create(user=cedar, issuer="https://op.example", subject=amber.id)

    assert browser.user["username"] != "cedar"


def test_user_fields_come_from_the_traits(browser_of: KratosBrowser, kratos: Kratos) -> None:
    amber = kratos.identity("amber@example.org", verified=True, name={"first": "Amber", "last": "Stone"})

    browser_of(kratos.sign_in(amber)).get("/private/")

    user = User.objects.get()
    assert (user.first_name, user.last_name, user.email) == ("Amber", "Stone", "amber@example.org")
    assert not user.has_usable_password()


def test_an_anonymous_session_gets_a_new_key(browser: SiteBrowser) -> None:
    stored = browser.session
    stored["cart"] = ["a book"]
    stored.save()
    before = browser.key

    assert browser.user

    assert browser.session["cart"] == ["a book"]
    assert browser.key != before


# Another user, or another session, in the same browser


@pytest.mark.parametrize("who", ["the same", "another"])
def test_another_session_at_kratos_replaces_the_first(
    browser: SiteBrowser,
    kratos: Kratos,
    amber: Identity,
    session: Session,
    ended: list[dict[str, Any]],
    who: str,
) -> None:
    first = browser.user
    before, row = browser.key, LoginSession.objects.get()
    another = kratos.sign_in(amber if who == "the same" else kratos.identity("birch@example.org"))
    browser.cookies[COOKIE] = another.cookie

    now = browser.user

    assert (now["sid"], now["subject"]) == (another.id, another.identity.id)
    assert (now["username"] == first["username"]) == (who == "the same")
    assert browser.key != before
    assert LoginSession.objects.get().sid == another.id
    assert [(event["login_session"].pk, event["reason"]) for event in ended] == [(row.pk, EndReason.KRATOS)]
    held = SiteBrowser()
    held.cookies["sessionid"], held.cookies[COOKIE] = str(before), session.cookie
    assert held.user["sid"] == session.id, "Kratos signed in again"
    assert held.key != before


def test_data_of_the_former_user_is_deleted(browser: SiteBrowser, kratos: Kratos) -> None:
    browser.get("/private/")
    stored = browser.session
    stored["cart"] = ["amber's book"]
    stored.save()
    browser.cookies[COOKIE] = kratos.sign_in(kratos.identity("birch@example.org")).cookie

    assert browser.user

    assert "cart" not in browser.session


def test_the_same_session_of_another_identity_replaces_the_first(
    browser: SiteBrowser, kratos_network: KratosNetwork, clock: Clock
) -> None:
    """Kratos never uses an id twice, but the app does not rely on it."""
    before = browser.user
    clock.advance(11)
    kratos_network.change(
        "/sessions/whoami", lambda document: {**document, "identity": {**document["identity"], "id": "another"}}
    )

    assert browser.user["subject"] == "another" != before["subject"]


def test_a_new_cookie_value_is_the_same_session(browser: SiteBrowser, kratos: Kratos, session: Session) -> None:
    assert browser.user
    before = browser.key

    kratos.reauthenticate(session, "password")
    browser.cookies[COOKIE] = session.cookie

    assert browser.user["sid"] == session.id
    assert browser.key == before
    assert LoginSession.objects.count() == 1


# The session at Kratos ends


def test_a_session_without_the_kratos_cookie_ends(
    engine: str, browser: SiteBrowser, session: Session, whoami_calls: Calls, ended: list[dict[str, Any]]
) -> None:
    """After a logout at Kratos, the browser has no cookie any more."""
    assert browser.user
    assert whoami_calls() == 1
    del browser.cookies[COOKIE]

    assert browser.user is None

    assert whoami_calls() == 0
    assert not LoginSession.objects.exists()
    assert [event["reason"] for event in ended] == [EndReason.KRATOS]
    assert not LogoutReceipt.objects.exists(), "no user logged out here"
    browser.cookies[COOKIE] = session.cookie
    assert browser.user, "a session that is active at Kratos signs in again"


def disabled(kratos: Kratos, session: Session) -> None:
    kratos.end(session.id)


def deactivated(kratos: Kratos, session: Session) -> None:
    session.identity.state = "inactive"


def deleted(kratos: Kratos, session: Session) -> None:
    kratos.delete_sessions(session.identity.id)


@pytest.mark.parametrize("end", [disabled, deactivated, deleted], ids=lambda end: end.__name__)
def test_a_session_that_ended_at_kratos_ends_with_its_kept_answer(
    browser: SiteBrowser,
    kratos: Kratos,
    session: Session,
    clock: Clock,
    ended: list[dict[str, Any]],
    end: Callable[[Kratos, Session], None],
) -> None:
    assert browser.user
    end(kratos, session)
    assert browser.user, "the answer is still kept"
    clock.advance(11)

    answer = browser.get("/private/")

    assert answer.status_code == 302
    assert browser.key is None
    assert not LoginSession.objects.exists()
    assert [event["reason"] for event in ended] == [EndReason.KRATOS]
    assert not LogoutReceipt.objects.exists()


def test_an_identity_that_is_active_again_signs_in_again(browser: SiteBrowser, session: Session, clock: Clock) -> None:
    assert browser.user
    session.identity.state = "inactive"
    clock.advance(11)
    assert not browser.user
    session.identity.state = "active"
    clock.advance(11)

    assert browser.user["sid"] == session.id


def test_the_receipt_of_a_prolonged_session_lasts_as_long_as_the_session(
    browser: SiteBrowser, kratos: Kratos, session: Session, clock: Clock
) -> None:
    """If Kratos does not learn of the logout, the session must not sign in again after the receipt has expired."""
    assert browser.user
    assert (before := browser.session[LOGIN_KEY]["expires_at"]) == pytest.approx(session.expires_at)
    kratos.lifespan = 30 * 24 * 60 * 60
    kratos.reauthenticate(session, "password")
    clock.advance(11)
    assert browser.user
    assert browser.session[LOGIN_KEY]["expires_at"] == pytest.approx(session.expires_at)
    assert before < session.expires_at

    browser.post("/auth/logout/")

    assert LogoutReceipt.objects.get().expires_at > moment(session.expires_at)


def test_an_unchanged_session_is_not_saved(browser: SiteBrowser, clock: Clock) -> None:
    assert browser.user
    clock.advance(11)

    assert "sessionid" not in browser.get("/auth/whoami/").cookies


# A second factor


@pytest.fixture
def second_factor(kratos: Kratos, amber: Identity) -> None:
    """Amber has a second factor and must use it."""
    kratos.required_aal, amber.totp_secret = "highest_available", "JBSWY3DPEHPK3PXP"


@pytest.mark.parametrize(("return_to", "next_url"), [("/private/", "/private/"), ("//evil.example", ""), (None, "")])
def test_without_the_second_factor_nobody_is_signed_in(
    browser: SiteBrowser, second_factor: None, return_to: str | None, next_url: str
) -> None:
    answer = browser.get("/auth/whoami/", {"return_to": return_to} if return_to else {})

    assert answer.status_code == 403
    step_up = answer.json()["redirect_browser_to"]
    assert answer.json() == {
        "authenticated": False,
        "error": "session_aal2_required",
        "redirect_browser_to": step_up,
    }
    assert step_up.startswith(f"{PUBLIC_URL}/self-service/login/browser?aal=aal2&return_to=")
    back = query_of(query_of(step_up)["return_to"])
    assert (back.get("next", ""), back["returned"]) == (next_url, "1")
    assert browser.get("/private/").status_code == 302
    assert not LoginSession.objects.exists()
    assert not User.objects.exists()


def test_the_login_page_redirects_to_the_second_factor(browser: SiteBrowser, second_factor: None) -> None:
    answer = browser.get("/auth/login/", {"next": "/private/"})

    assert_page(answer, 403, "One more step")
    assert f'href="{PUBLIC_URL}/self-service/login/browser?aal=aal2&amp;return_to=' in answer.text


def test_the_second_factor_signs_in(
    browser: SiteBrowser, second_factor: None, kratos: Kratos, session: Session
) -> None:
    assert browser.get("/auth/whoami/").status_code == 403

    kratos.reauthenticate(session, "totp")
    browser.cookies[COOKIE] = session.cookie

    assert browser.user["sid"] == session.id


def test_a_session_ends_when_a_second_factor_is_required(
    browser: SiteBrowser, kratos: Kratos, session: Session, clock: Clock, ended: list[dict[str, Any]]
) -> None:
    assert browser.user
    kratos.required_aal, session.identity.totp_secret = "highest_available", "JBSWY3DPEHPK3PXP"
    clock.advance(11)

    assert browser.get("/auth/whoami/").status_code == 403

    assert [event["reason"] for event in ended] == [EndReason.KRATOS]
    kratos.reauthenticate(session, "totp")
    browser.cookies[COOKIE] = session.cookie
    assert browser.user["sid"] == session.id


# Users who may not sign in


@pytest.mark.parametrize("reason", ["inactive", "unknown"])
def test_a_refused_user_stays_refused(
    browser: SiteBrowser,
    settings: Any,
    amber: Identity,
    clock: Clock,
    whoami_calls: Calls,
    listen: Listen,
    logged: Logged,
    reason: str,
) -> None:
    failed = listen(user_login_failed)
    if reason == "unknown":
        entry(settings, CREATE_USERS=False)
    else:
        user = User.objects.create_user("amber", is_active=False)
        Subject.objects.create(user=user, issuer=PUBLIC_URL, subject=amber.id)

    for _ in range(3):
        assert browser.user is None
        assert browser.get("/private/").status_code == 302

    assert whoami_calls() == 1
    assert len(failed) == 1
    assert logged() == [
        f"sign-in refused: user_{reason}",
        f"sign-in by Kratos refused: user_refused: user_{reason}",
    ]
    assert not LoginSession.objects.exists()
    clock.advance(11)
    assert browser.user is None
    assert len(failed) == 2


@pytest.mark.parametrize("path", ["/auth/login/", "/auth/login/?returned=1"])
def test_a_refused_user_gets_an_explanation_and_no_redirect(browser: SiteBrowser, settings: Any, path: str) -> None:
    entry(settings, CREATE_USERS=False)

    for _ in range(2):
        answer = browser.get(path)

        assert_page(answer, 403, "You were not signed in")
        assert 'href="/auth/logout/"' in answer.text


def test_a_user_who_is_allowed_again_signs_in_after_the_kept_answer(
    browser: SiteBrowser, settings: Any, clock: Clock
) -> None:
    entry(settings, CREATE_USERS=False)
    assert browser.user is None
    entry(settings, CREATE_USERS=True)
    clock.advance(11)

    assert browser.user


def test_an_inactive_user_is_not_signed_in(browser: SiteBrowser) -> None:
    assert browser.user
    User.objects.update(is_active=False)

    assert browser.user is None
    assert browser.get("/private/").status_code == 302


@pytest.mark.parametrize(
    ("address", "linked"),
    [
        (Address("cedar@example.org", verified=True), True),
        (Address("cedar@example.org"), False),
        (Address("cedar@example.org", verified=True, via="sms"), False),
        (Address("other@example.org", verified=True), False),
    ],
)
@pytest.mark.parametrize("allowed", [True, False])
def test_only_a_verified_address_links_a_user_and_only_if_a_setting_allows_it(
    browser_of: KratosBrowser, kratos: Kratos, settings: Any, address: Address, linked: bool, allowed: bool
) -> None:
    entry(settings, ASSOCIATE_BY_EMAIL=allowed)
    User.objects.create_user("cedar", "Cedar@example.org")
    identity = kratos.identity("cedar@example.org")
    identity.verifiable_addresses = [address]

    name = browser_of(kratos.sign_in(identity)).user["username"]

    assert (name == "cedar") == (linked and allowed)


# Users who signed in here in another way


def test_a_user_who_signed_in_by_password_stays_signed_in(
    browser: SiteBrowser, browser_of: KratosBrowser, whoami_calls: Calls
) -> None:
    cedar = User.objects.create_user("cedar")
    browser.force_login(cedar, MODEL_BACKEND)
    before = browser.key

    assert browser.user["username"] == "cedar"

    assert whoami_calls() == 0
    assert browser.key == before
    del browser.cookies[COOKIE]
    assert browser.user["username"] == "cedar"


def test_a_user_who_signed_in_by_another_provider_stays_signed_in(
    browser: SiteBrowser, settings: Any, provider: Provider, whoami_calls: Calls
) -> None:
    registration = {"ISSUER": settings.ISSUER, "CLIENT_ID": settings.CLIENT_ID, "CLIENT_SECRET": settings.CLIENT_SECRET}
    at_kratos = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": at_kratos, "op": registration}}
    with connect(provider) as network:
        del browser.cookies[COOKIE]
        browser.network = network
        browser.sign_in("birch", provider="op")
        browser.cookies[COOKIE] = "of somebody else"
        assert browser.user["provider"] == "op"

    assert whoami_calls() == 0
    del browser.cookies[COOKIE]
    assert browser.user["subject"] == "birch"


def test_kratos_signs_in_after_a_logout_of_another_sign_in(browser: SiteBrowser, session: Session) -> None:
    browser.force_login(User.objects.create_user("cedar"), MODEL_BACKEND)

    browser.logout()
    browser.cookies[COOKIE] = session.cookie

    assert browser.user["sid"] == session.id


# Logouts here


def config() -> conf.KratosConfig:
    return conf.get().kratos[0]


@pytest.mark.parametrize("name", ["session", "credential"])
def test_a_receipt_refuses_its_session(browser: SiteBrowser, session: Session, name: str, logged: Logged) -> None:
    cookie = Credential(session.cookie, COOKIE)
    named = session.id if name == "session" else whoami.credential_digest(config(), cookie)
    receipts.record_logout(PUBLIC_URL, named)

    assert browser.user is None

    assert not LoginSession.objects.exists()
    assert not User.objects.exists()
    assert browser.get("/private/").status_code == 302


def test_a_receipt_refuses_its_session_while_the_kept_answer_is_active(
    browser: SiteBrowser, browser_of: KratosBrowser, session: Session, whoami_calls: Calls
) -> None:
    assert browser.user
    assert whoami_calls() == 1
    receipts.record_logout(PUBLIC_URL, session.id)

    assert browser_of(session).user is None

    assert whoami_calls() == 0


def test_a_receipt_of_another_session_or_another_kratos_refuses_nobody(
    browser: SiteBrowser, kratos: Kratos, amber: Identity, session: Session
) -> None:
    receipts.record_logout(PUBLIC_URL, kratos.sign_in(amber).id)
    receipts.record_logout("https://other.example", session.id)
    receipts.record_logout(PUBLIC_URL, whoami.credential_digest(config(), Credential(session.token)))

    assert browser.user


def test_a_receipt_written_during_a_sign_in_refuses_its_session(
    browser: SiteBrowser, session: Session, monkeypatch: pytest.MonkeyPatch, listen: Listen
) -> None:
    """The receipt arrives after the app has read the receipts, and before there is a row that the logout could end."""
    opened = listen(login_session_opened)
    save = LoginSession.save

    def save_late(row: LoginSession, *args: Any, **kwargs: Any) -> None:
        receipt = receipts.record_logout(PUBLIC_URL, session.id)
        assert index.process(receipt, EndReason.RP_INITIATED) == 0
        save(row, *args, **kwargs)

    monkeypatch.setattr(LoginSession, "save", save_late)

    assert browser.user is None

    assert opened == []
    assert not LoginSession.objects.exists()
    assert browser.key is None
    assert LogoutReceipt.objects.count() == 1, "it was no second logout"
    monkeypatch.undo()
    assert browser.user is None


def test_a_logout_here_stays_in_force_whatever_kratos_answers(
    browser: SiteBrowser, session: Session, kratos_network: KratosNetwork, clock: Clock
) -> None:
    assert browser.user
    kratos_network.down("/self-service/logout/browser")
    browser.post("/auth/logout/")
    browser.cookies[COOKIE] = session.cookie
    kratos_network.mend()

    assert browser.user is None
    clock.advance(11)
    assert browser.user is None


@pytest.mark.parametrize("name", ["session", "credential"])
def test_a_session_named_by_a_receipt_ends_at_the_next_answer(
    browser: SiteBrowser, session: Session, clock: Clock, ended: list[dict[str, Any]], name: str
) -> None:
    """The logout did not find the session."""
    assert browser.user
    cookie = Credential(session.cookie, COOKIE)
    receipts.record_logout(PUBLIC_URL, session.id if name == "session" else whoami.credential_digest(config(), cookie))
    assert browser.user, "no request reads receipts"
    clock.advance(11)

    assert browser.user is None

    assert len(ended) == 1
    assert not LoginSession.objects.exists()
    clock.advance(11)
    assert browser.user is None


# No redirect loops


def follow(browser: SiteBrowser, path: str, steps: int = 5) -> Any:
    """Follow the site's redirects as a browser does, and return the last answer."""
    for _ in range(steps):
        answer = browser.get(path)
        if answer.status_code != 302:
            return answer
        path = answer["Location"]
    raise AssertionError(f"sent around, to {path}")


def test_a_user_who_is_inactive_here_gets_an_explanation(browser: SiteBrowser) -> None:
    assert browser.user
    User.objects.update(is_active=False)

    answer = follow(browser, "/private/")

    assert_page(answer, 403, "You were not signed in")
    assert 'href="/auth/logout/"' in answer.text


@pytest.mark.parametrize("signed_in", [True, False])
def test_a_user_without_a_permission_gets_an_explanation(browser: SiteBrowser, settings: Any, signed_in: bool) -> None:
    settings.ROOT_URLCONF = "tests.kratos.urls"
    if signed_in:
        assert browser.user

    answer = follow(browser, "/staff/")

    assert_page(answer, 403, "You are signed in already")
    assert 'href="/staff/"' in answer.text
    assert 'href="/auth/logout/"' in answer.text
    assert browser.user


@pytest.mark.parametrize(
    ("signed_in", "query", "location"),
    [
        (True, "?next=/private/&returned=1", "/private/"),
        (False, "?next=/private/&returned=1", "/private/"),
        (False, "?next=/private/", "/private/"),
        (False, "", "/accounts/profile/"),
    ],
)
def test_the_login_page_continues_after_kratos_or_a_recent_sign_in(
    browser: SiteBrowser, settings: Any, signed_in: bool, query: str, location: str
) -> None:
    settings.LOGIN_REDIRECT_URL = "/accounts/profile/"
    if signed_in:
        assert browser.user

    assert browser.get(f"/auth/login/{query}")["Location"] == location


def test_a_page_that_drops_next_causes_no_redirect_loop(browser: SiteBrowser, settings: Any) -> None:
    settings.LOGIN_REDIRECT_URL = "/accounts/profile/"
    assert browser.user

    answer = browser.get("/auth/login/")

    assert_page(answer, 403, "You are signed in already")
    assert '<a class="button" href="/accounts/profile/">Continue</a>' in answer.text
    assert "Sign in again" not in answer.text


# Failed sign-ins


def assert_nothing_left(browser: SiteBrowser) -> None:
    assert not LoginSession.objects.exists()
    assert not LogoutReceipt.objects.exists()
    assert browser.key is None


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    return fail


FAULT = OperationalError("the database is away; key=very-secret")


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (LoginSession, "save"),
        (receipts, "is_logged_out"),
        (opening, "open_login_session"),
        (LogoutReceiptQuerySet, "naming"),
    ],
    ids=["row", "receipts", "before", "after"],
)
def test_a_database_fault_decides_nothing_and_leaves_nothing(
    browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch, logged: Logged, where: Any, what: str
) -> None:
    monkeypatch.setattr(where, what, failing(FAULT))

    answer = browser.get("/private/")

    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert logged() == ["sign-in failed: database_fault: OperationalError"]
    assert_nothing_left(browser)
    monkeypatch.undo()
    assert browser.user, "it was no logout"


def test_a_fault_while_the_session_is_stored_leaves_no_receipt(
    browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row exists already."""
    open_login_session = opening.open_login_session

    def stored_badly(*args: Any, **kwargs: Any) -> None:
        open_login_session(*args, **kwargs)
        raise FAULT

    monkeypatch.setattr(opening, "open_login_session", stored_badly)

    assert browser.get("/private/").status_code == 503

    assert_nothing_left(browser)
    monkeypatch.undo()
    assert browser.user


@pytest.mark.parametrize("signal", [post_save, user_logged_in], ids=["post_save", "user_logged_in"])
@pytest.mark.parametrize("error", [RuntimeError, Http404, PermissionDenied], ids=lambda error: error.__name__)
def test_receiver_that_fails_leaves_nothing_and_the_site_works(
    browser: SiteBrowser, clock: Clock, connect_receiver: Connect, logged: Logged, signal: Any, error: type[Exception]
) -> None:
    calls = []

    def receiver(*, sender: type, **_arguments: Any) -> None:
        if sender is User:
            calls.append(sender)
            raise error("a secret")

    connect_receiver(signal, receiver)

    for _ in range(2):
        assert browser.get("/private/").status_code == 302

    assert_nothing_left(browser)
    assert len(calls) == 1, "it is not tried with each request"
    said = "user_refused" if error is PermissionDenied else "user_invalid"
    assert logged()[-1].startswith(f"sign-in by Kratos refused: {said}: {__name__}.{receiver.__qualname__}, a receiver")
    signal.disconnect(receiver)
    clock.advance(11)
    assert browser.user


def test_a_logout_after_a_sign_in_in_the_same_request_logs_out(
    browser: SiteBrowser, session: Session, settings: Any
) -> None:
    """A view of the site logs out every user who requests it."""
    settings.ROOT_URLCONF = "tests.kratos.urls"

    browser.get("/log-out/")

    assert receipts.is_logged_out(PUBLIC_URL, session.id)
    assert browser.user is None


# Which Kratos the login page uses


@pytest.fixture
def several(settings: Any, provider: Provider) -> None:
    """Two Kratos, a Hydra with a third, and a provider."""
    at_kratos = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    registration = {"ISSUER": settings.ISSUER, "CLIENT_ID": settings.CLIENT_ID, "CLIENT_SECRET": settings.CLIENT_SECRET}
    settings.ORY_LOGOUT = {
        **settings.ORY_LOGOUT,
        "PROVIDERS": {
            "people": at_kratos,
            "partners": {"KRATOS": {"PUBLIC_URL": "https://partners.example"}},
            "hydra": {**registration, "CLIENT_ID": "hydra", "KRATOS": {"PUBLIC_URL": "https://third.example"}},
            "op": registration,
        },
    }


@pytest.mark.parametrize(
    ("parameters", "alias"),
    [
        ({}, None),
        ({"provider": "people"}, "people"),
        ({"provider": "partners"}, "partners"),
        ({"provider": "hydra"}, None),
        ({"provider": "op"}, None),
        ({"provider": "unknown"}, None),
        ({"iss": PUBLIC_URL}, None),
        ({"iss": "https://op.example", "provider": "people"}, None),
    ],
)
def test_the_login_page_of_several_providers_chooses_one(
    several: None, parameters: dict[str, str], alias: str | None
) -> None:
    found = login.requested_kratos(parameters)

    assert (found.alias if found else None) == alias


@pytest.mark.parametrize(
    ("parameters", "found"),
    [({}, True), ({"provider": "people"}, True), ({"provider": "default"}, False), ({"iss": PUBLIC_URL}, False)],
)
def test_the_login_page_of_kratos_alone_ignores_its_alias(
    settings: Any, parameters: dict[str, str], found: bool
) -> None:
    at_kratos = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"people": at_kratos}}

    assert (login.requested_kratos(parameters) is not None) == found


def test_the_login_page_uses_kratos_as_default_next_to_a_provider(settings: Any, several: None) -> None:
    given = settings.ORY_LOGOUT["PROVIDERS"]
    providers = {"op": given["op"], "default": given["people"]}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": providers}

    found = login.requested_kratos({})

    assert found
    assert found.alias == "default"


def test_users_sign_in_at_the_first_kratos(several: None) -> None:
    first = login.default_kratos()

    assert first
    assert first.alias == "people"


def test_without_kratos_nothing_is_asked(settings: Any) -> None:
    registration = {"ISSUER": settings.ISSUER, "CLIENT_ID": settings.CLIENT_ID, "CLIENT_SECRET": settings.CLIENT_SECRET}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": registration}}

    assert login.default_kratos() is None
    assert login.requested_kratos({}) is None
