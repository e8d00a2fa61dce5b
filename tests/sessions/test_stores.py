"""When a stored session reads the index, tested through requests."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.db import connection, connections
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_ory_logout.models import EndReason, LoginSession
from django_ory_logout.sessions import engines, index
from django_ory_logout.sessions.engines import deleted_stay_deleted, has_keys, site_store
from django_ory_logout.sessions.store import LoginSessionStore, indexed
from django_ory_logout.signals import login_session_ended

from ..conftest import Clock, Logged
from .tested_site import SiteUnderTest, notice

pytestmark = pytest.mark.django_db(transaction=True)
on_db = pytest.mark.parametrize("engine", ["db"], indirect=True)


def end_row_alone() -> None:
    """End only the row, as a notice in another process does first. The row decides."""
    LoginSession.objects.update(ended_at=timezone.now(), end_reason=EndReason.BACK_CHANNEL)


def test_the_indexed_store_has_the_name_and_salt_of_the_sites_store() -> None:
    store = site_store()

    assert indexed(store) is indexed(store)
    assert issubclass(indexed(store), store)
    assert indexed(store)().key_salt == store().key_salt


def test_anonymous_sessions_are_not_indexed(site: SiteUnderTest, settings: Any, django_assert_num_queries: Any) -> None:
    store = indexed(site_store())()
    store["note"] = "anonymous"
    store.save()

    again = indexed(site_store())(store.session_key)

    assert again["note"] == "anonymous"
    assert not LoginSession.objects.exists()


def test_an_anonymous_session_is_flushed_without_reading_the_index(site: SiteUnderTest) -> None:
    store = indexed(site_store())()

    with CaptureQueriesContext(connection) as queries:
        store.flush()

    assert not [query for query in queries if "ory_logout" in query["sql"]]


# A session that has ended


def test_an_ended_session_is_anonymous_and_its_cookie_is_deleted(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")
    end_row_alone()
    index._seen.clear()

    assert site.visit("/who/", key) == ""
    assert site.answers[-1] == 401


def test_an_ended_session_is_deleted_when_it_is_read(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")
    end_row_alone()
    index._seen.clear()

    site.visit("/who/", key)

    if has_keys(site_store()):
        assert not site_store()(key).load()


@pytest.mark.parametrize("path", ["/public/", "/who/"])
def test_an_ended_session_causes_no_error_if_every_request_saves(site: SiteUnderTest, settings: Any, path: str) -> None:
    settings.SESSION_SAVE_EVERY_REQUEST = True
    key = site.visit("/sign-in/")
    notice()

    after = site.visit(path, key)

    assert site.answers[-1] in {200, 401}
    assert after != key
    assert not site.is_signed_in(after)


def test_a_late_save_does_not_restore_an_ended_session(site: SiteUnderTest) -> None:
    """It was loaded before the notice and is saved after it."""
    late = indexed(site_store())(site.visit("/sign-in/"))
    late["note"] = "late"
    notice()

    with pytest.raises(UpdateError) if has_keys(site_store()) else nullcontext():
        late.save()

    assert site.survivors() == []


def test_a_deleted_row_ends_its_session(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")
    assert site.is_signed_in(key)

    get_user_model().objects.all().delete()

    assert not LoginSession.objects.exists()
    assert not site.is_signed_in(key)


# How often the index is read


def asked(site: SiteUnderTest, key: str, path: str = "/who/") -> int:
    """Count the statements to the index in one request."""
    with CaptureQueriesContext(connection) as queries:
        site.visit(path, key)
    assert site.answers[-1] == 200
    return sum("ory_logout_loginsession" in query["sql"] for query in queries)


@pytest.fixture
def rechecked_after_ten_seconds(settings: Any, site: SiteUnderTest) -> None:
    settings.ORY_LOGOUT = settings.ORY_LOGOUT | {"SESSION_RECHECK_SECONDS": 10}


def test_a_confirmed_session_is_confirmed_again_later(
    rechecked_after_ten_seconds: None, site: SiteUnderTest, clock: Clock
) -> None:
    key = site.visit("/sign-in/")
    site.visit("/who/", key)
    asks_always = not has_keys(site_store())

    assert asked(site, key) == asks_always
    clock.advance(11)
    assert asked(site, key) == (not deleted_stay_deleted(site_store()))
    assert asked(site, key) == asks_always


def test_a_restored_session_lasts_no_longer_than_the_recheck(
    rechecked_after_ten_seconds: None, site: SiteUnderTest, clock: Clock
) -> None:
    if deleted_stay_deleted(site_store()):
        return
    key = site.visit("/sign-in/")
    assert site.is_signed_in(key)
    end_row_alone()

    clock.advance(11)

    assert not site.is_signed_in(key)


def test_the_process_that_ends_a_session_refuses_it_at_once(
    rechecked_after_ten_seconds: None, site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = site.visit("/sign-in/")
    assert site.is_signed_in(key)
    monkeypatch.setattr(engines, "delete_stored", lambda store, keys: None)

    assert notice() == 1

    assert not site.is_signed_in(key)


@on_db
def test_database_sessions_need_no_extra_statement(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")
    site.visit("/who/", key)

    assert asked(site, key) == 0


@on_db
def test_last_seen_is_updated_every_five_minutes(site: SiteUnderTest, clock: Clock) -> None:
    key = site.visit("/sign-in/")
    site.visit("/who/", key)
    long_ago = timezone.now() - timedelta(days=1)
    LoginSession.objects.update(last_seen_at=long_ago)

    assert asked(site, key) == 0
    clock.advance(5 * 60 + 1)
    assert asked(site, key) == 2
    assert asked(site, key) == 0
    assert LoginSession.objects.get().last_seen_at > long_ago


@on_db
def test_a_deleted_row_is_noticed_at_the_next_recheck(site: SiteUnderTest, clock: Clock) -> None:
    """An administrator deleted rows by hand."""
    key = site.visit("/sign-in/")
    site.visit("/who/", key)
    LoginSession.objects.all().delete()
    clock.advance(5 * 60 + 1)

    assert not site.is_signed_in(key)


def test_public_pages_read_nothing_and_do_not_vary(site: SiteUnderTest, django_assert_num_queries: Any) -> None:
    key = site.visit("/sign-in/")

    with django_assert_num_queries(0):
        response = site.response("/public/", key)

    assert "Vary" not in response.headers
    assert not response.cookies


@pytest.mark.parametrize("engine", ["db", "signed_cookies"], indirect=True)
def test_a_cookie_that_browsers_would_drop_is_logged(site: SiteUnderTest, logged: Logged) -> None:
    store = indexed(site_store())(site.visit("/sign-in/"))
    store["note"] = "".join(map(chr, range(1000, 6000)))
    store.save()

    too_large = [message for message in logged() if message.startswith("session_cookie_too_large")]
    assert len(too_large) == (not has_keys(site_store()))


# Rotation


def test_a_rotated_session_continues_and_its_row_follows(site: SiteUnderTest) -> None:
    key = site.visit("/rotate/", site.visit("/sign-in/"))

    assert site.is_signed_in(key)

    [row] = LoginSession.objects.all()
    assert row.session_key == (key if has_keys(site_store()) else None)
    assert asked(site, key) == (not deleted_stay_deleted(site_store()))


def test_two_concurrent_rotations_both_continue(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")
    first, other = (indexed(site_store())(key) for _ in range(2))
    for store in (first, other):
        assert store["_auth_user_id"]
    for store in (first, other):
        store.cycle_key()
        store.save()

    for _ in range(2):
        assert site.is_signed_in(str(first.session_key))
        assert site.is_signed_in(str(other.session_key))

    notice()

    assert not site.is_signed_in(str(first.session_key))
    assert not site.is_signed_in(str(other.session_key))


def test_a_new_key_that_was_not_saved_is_adopted_again(site: SiteUnderTest) -> None:
    """The row has the new key, and then the process dies."""
    key = site.visit("/rotate/", site.visit("/sign-in/"))
    assert indexed(site_store())(key)["_auth_user_id"]

    assert site.is_signed_in(key)
    assert asked(site, key) == (not deleted_stay_deleted(site_store()))


def test_a_secret_key_can_be_replaced(site: SiteUnderTest, settings: Any) -> None:
    key = site.visit("/sign-in/")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next one"

    # Django gives the session a new key, because it renews the hash in the session.
    renewed = site.visit("/who/", key)

    assert site.answers[-1] == 200
    assert renewed != key
    assert site.is_signed_in(renewed)
    assert notice() == 1
    assert site.survivors() == []


# Transactions around views


@pytest.fixture
def atomic_requests(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


def test_sign_in_rotation_and_notice_work_in_transactions(atomic_requests: None, site: SiteUnderTest) -> None:
    key = site.visit("/rotate/", site.visit("/sign-in/"))
    site.visit("/write/", key)
    assert site.is_signed_in(key)

    assert notice() == 1

    assert site.survivors() == []


def test_logout_works_in_a_transaction(atomic_requests: None, site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")

    assert site.visit("/log-out/", key) == ""

    assert not LoginSession.objects.exists()
    assert not site.is_signed_in(key)


def test_a_new_key_in_a_transaction_that_is_rolled_back_is_adopted_again(
    atomic_requests: None, site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row keeps the old key, so the session must not record the new one. Otherwise no notice would find it."""
    monkeypatch.setattr(index._seen, "delete_many", lambda keys: None)  # the notice arrives in another process
    key = site.visit("/rotate/", site.visit("/sign-in/"))
    site.visit("/missing/", key)
    assert site.answers[-1] == 404
    assert site.is_signed_in(key)

    assert notice() == 1

    assert not site.is_signed_in(key)


def test_no_view_locks_the_row_in_its_transaction(atomic_requests: None, site: SiteUnderTest) -> None:
    """Otherwise a notice would have to wait for the view."""
    key = site.visit("/sign-in/")
    long_ago = timezone.now() - timedelta(days=1)
    LoginSession.objects.update(last_seen_at=long_ago)
    held: list[str] = []

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and connection.in_atomic_block:
            held.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        assert site.is_signed_in(key)

    assert held == []
    assert LoginSession.objects.get().last_seen_at > long_ago


@on_db
def test_an_ended_session_whose_deletion_is_rolled_back_stays_refused(
    atomic_requests: None, site: SiteUnderTest
) -> None:
    key = site.visit("/sign-in/")
    LoginSession.objects.all().delete()
    site.visit("/missing/", key)

    assert not site.is_signed_in(key)


# Sliding expiry


def expiries(key: str) -> tuple[Any, Any]:
    """The expiry of the row and of the session."""
    return LoginSession.objects.get().expires_at, indexed(site_store())(key).get_expiry_date()


def test_a_row_never_expires_before_its_session(site: SiteUnderTest, clock: Clock) -> None:
    key = site.visit("/sign-in/")
    first, session_expires = expiries(key)
    assert first >= session_expires

    site.visit("/write/", key)
    assert expiries(key)[0] == first  # the row expires a tenth later

    age = timedelta(seconds=django_settings.SESSION_COOKIE_AGE)
    LoginSession.objects.update(expires_at=timezone.now() + age - timedelta(seconds=1))
    key = site.visit("/write/", key)
    row_expires, session_expires = expiries(key)
    assert row_expires >= session_expires
    assert row_expires - session_expires < age * 0.11


@pytest.mark.parametrize("expiry", [60, timedelta(days=1000), 10 * 365 * 86400, 0])
def test_a_row_follows_an_expiry_that_the_site_sets(site: SiteUnderTest, expiry: Any) -> None:
    store = indexed(site_store())(site.visit("/sign-in/"))
    store.set_expiry(expiry)
    store.save()

    row_expires, session_expires = expiries(str(store.session_key))
    assert row_expires >= session_expires


def test_a_save_after_the_end_does_not_change_the_row(site: SiteUnderTest) -> None:
    store = indexed(site_store())(site.visit("/sign-in/"))
    store["note"] = "read"
    end_row_alone()
    LoginSession.objects.update(expires_at=timezone.now())

    store.save()

    assert LoginSession.objects.get().expires_at <= timezone.now()


# Flush


@pytest.fixture
def reasons() -> Iterator[list[EndReason]]:
    told: list[EndReason] = []

    def receive(*, reason: EndReason, **_arguments: Any) -> None:
        told.append(reason)

    login_session_ended.connect(receive)
    yield told
    login_session_ended.disconnect(receive)


def test_djangos_own_logout_ends_row_and_session(site: SiteUnderTest, reasons: list[EndReason]) -> None:
    key = site.visit("/sign-in/")

    assert site.visit("/log-out/", key) == ""

    assert not LoginSession.objects.exists()
    assert not site.is_signed_in(key)
    assert reasons == [EndReason.USER]


def test_a_changed_password_ends_the_other_session(site: SiteUnderTest, reasons: list[EndReason]) -> None:
    key = site.visit("/sign-in/")
    user = get_user_model().objects.get()
    user.set_password("another")
    user.save()

    assert not site.is_signed_in(key)
    assert not LoginSession.objects.exists()
    assert reasons == [EndReason.USER]


def test_a_session_without_its_row_can_be_flushed(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")
    store = indexed(site_store())(key)
    assert store["_auth_user_id"]
    LoginSession.objects.all().delete()

    store.flush()

    assert store.is_empty()


# Async


def avisit(path: str, key: str) -> Any:
    client = AsyncClient()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = key
    return async_to_sync(client.get)(path)


def answered_key(response: Any, key: str) -> str:
    cookie = response.cookies.get(django_settings.SESSION_COOKIE_NAME)
    return cookie.value if cookie else key


def test_async_views_see_the_user(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")
    assert avisit("/awho/", key).status_code == 200

    notice()

    assert avisit("/awho/", key).status_code == 401


def test_async_rotation_works(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")

    rotated = answered_key(avisit("/arotate/", key), key)

    site.held.append(rotated)
    assert avisit("/awho/", rotated).status_code == 200
    notice()
    assert avisit("/awho/", rotated).status_code == 401
    assert site.survivors() == []


def test_async_save_works(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")

    written = answered_key(avisit("/awrite/", key), key)

    store: type[SessionBase] = site_store()
    assert store(written)["note"] == "by an async view"


def test_async_logout_works(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")

    assert answered_key(avisit("/alog-out/", key), key) == ""

    assert not LoginSession.objects.exists()
    assert not site.is_signed_in(key)


def test_async_methods_call_the_sync_methods(site: SiteUnderTest) -> None:
    store: LoginSessionStore = indexed(site_store())(site.visit("/sign-in/"))

    assert async_to_sync(store.aload)() == indexed(site_store())(store.session_key).load()
