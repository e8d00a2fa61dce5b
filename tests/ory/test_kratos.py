"""Kratos' public and admin APIs: our calls, and how we read the answers."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import ory_kratos_client as vendor
import pytest

from django_ory_logout.exceptions import (
    KratosError,
    OryLogoutError,
    ProviderUnavailable,
    SecondFactorRequired,
    SetupError,
)
from django_ory_logout.ory.kratos import Address, Credential, Device, Identity, KratosAdmin, KratosPublic, Session
from django_ory_logout.ory.kratos import api as api_module

from .conftest import KRATOS_ADMIN_URL, KRATOS_URL, FakeServer, without_query
from .kratos_vendor import (
    AAL2,
    COOKIE,
    COUNT,
    CURRENT,
    DATABASE_DOWN,
    FLOW,
    FOREIGN_TOKEN,
    GATEWAY_401,
    GATEWAY_403,
    IDENTITY,
    IDENTITY_ID,
    INACTIVE,
    LOGOUT_TOKEN,
    NEW_IDENTITY,
    NOT_FOUND,
    RETURN_TO,
    SESSION_ID,
    SESSION_TOKEN,
    SESSIONS_401,
    UNKNOWN_TOKEN,
    WHOAMI_401,
    admin_request_of,
    refusal,
    relevant,
    request_of,
    session,
)

BROWSER = Credential(COOKIE, "ory_kratos_session")
NATIVE = Credential(SESSION_TOKEN)
SENT = f"ory_kratos_session={COOKIE}"
OTHER_ID = "df5850a4-188e-46ac-8170-a74c000b7dd8"
NO_CONTENT = 204


def fault(status: int) -> tuple[type[ProviderUnavailable], str]:
    """What an answer with ``status`` is, if Kratos' words are not in it."""
    if status in {401, 408, 425, 429, 500, 503}:
        return ProviderUnavailable, "kratos_fault"
    return SetupError, "kratos_unusable"


class Case(NamedTuple):
    """Our call, the same call of Ory's client, and Kratos' answer."""

    ours: Callable[[Any], object]
    theirs: Callable[[Any], object]
    answer: object = None
    status: int = NO_CONTENT


PUBLIC = {
    "whoami by cookie": Case(
        lambda kratos: kratos.whoami(BROWSER), lambda api: api.to_session(cookie=SENT), session(), 200
    ),
    "whoami by session token": Case(
        lambda kratos: kratos.whoami(NATIVE), lambda api: api.to_session(x_session_token=SESSION_TOKEN), session(), 200
    ),
    "logout_flow": Case(
        lambda kratos: kratos.logout_flow(BROWSER),
        lambda api: api.create_browser_logout_flow(cookie=SENT),
        FLOW,
        200,
    ),
    "logout_flow and back": Case(
        lambda kratos: kratos.logout_flow(BROWSER, "https://rp.example/bye?a=1&b=2"),
        lambda api: api.create_browser_logout_flow(cookie=SENT, return_to="https://rp.example/bye?a=1&b=2"),
        FLOW,
        200,
    ),
    "log_out": Case(
        lambda kratos: kratos.log_out(BROWSER, LOGOUT_TOKEN),
        lambda api: api.update_logout_flow(token=LOGOUT_TOKEN, cookie=SENT),
    ),
    "log_out_natively": Case(
        lambda kratos: kratos.log_out_natively(SESSION_TOKEN),
        lambda api: api.perform_native_logout(vendor.PerformNativeLogoutBody(session_token=SESSION_TOKEN)),
    ),
    "sessions by cookie": Case(
        lambda kratos: kratos.sessions(BROWSER),
        lambda api: api.list_my_sessions(cookie=SENT, per_page=100, page=1),
        [session(OTHER_ID)],
        200,
    ),
    "sessions by session token": Case(
        lambda kratos: kratos.sessions(NATIVE),
        lambda api: api.list_my_sessions(x_session_token=SESSION_TOKEN, per_page=100, page=1),
        [],
        200,
    ),
    "end_session by cookie": Case(
        lambda kratos: kratos.end_session(BROWSER, OTHER_ID),
        lambda api: api.disable_my_session(id=OTHER_ID, cookie=SENT),
    ),
    "end_session by session token": Case(
        lambda kratos: kratos.end_session(NATIVE, OTHER_ID),
        lambda api: api.disable_my_session(id=OTHER_ID, x_session_token=SESSION_TOKEN),
    ),
    "end_other_sessions by cookie": Case(
        lambda kratos: kratos.end_other_sessions(BROWSER),
        lambda api: api.disable_my_other_sessions(cookie=SENT),
        COUNT,
        200,
    ),
    "end_other_sessions by session token": Case(
        lambda kratos: kratos.end_other_sessions(NATIVE),
        lambda api: api.disable_my_other_sessions(x_session_token=SESSION_TOKEN),
        COUNT,
        200,
    ),
}
ADMIN = {
    "sessions": Case(
        lambda kratos: list(kratos.sessions(IDENTITY_ID)),
        lambda api: api.list_identity_sessions(id=IDENTITY_ID, active=True, per_page=100, page=1),
        [session()],
        200,
    ),
    "end_session": Case(lambda kratos: kratos.end_session(SESSION_ID), lambda api: api.disable_session(id=SESSION_ID)),
    "end_sessions": Case(
        lambda kratos: kratos.end_sessions(IDENTITY_ID), lambda api: api.delete_identity_sessions(id=IDENTITY_ID)
    ),
    "create_identity": Case(
        lambda kratos: kratos.create_identity({"email": "amber@example.com"}, "a password of hers"),
        lambda api: api.create_identity(NEW_IDENTITY),
        IDENTITY,
        201,
    ),
    "identity_of": Case(
        lambda kratos: kratos.identity_of("amber+1@example.com"),
        lambda api: api.list_identities(credentials_identifier="amber+1@example.com"),
        [IDENTITY],
        200,
    ),
    "delete_identity": Case(
        lambda kratos: kratos.delete_identity(IDENTITY_ID), lambda api: api.delete_identity(id=IDENTITY_ID)
    ),
}
BELOW_SESSIONS = [name for name in PUBLIC if name.startswith(("whoami", "sessions", "end_"))]
WITH_COOKIE = ["logout_flow", "logout_flow and back", "log_out"]
ALL = [("public", name) for name in PUBLIC] + [("admin", name) for name in ADMIN]
CASES = {"public": PUBLIC, "admin": ADMIN}

each_call = pytest.mark.parametrize(("side", "name"), ALL)
each_of_public = pytest.mark.parametrize("name", PUBLIC)
each_of_admin = pytest.mark.parametrize("name", ADMIN)


def answer(kratos: FakeServer, case: Case) -> None:
    if case.status == NO_CONTENT:
        kratos.answers_bytes()
    else:
        kratos.answers(case.answer, case.status)


def ask(side: str, name: str) -> object:
    asked: KratosPublic | KratosAdmin = KratosPublic(KRATOS_URL) if side == "public" else KratosAdmin(KRATOS_ADMIN_URL)
    return CASES[side][name].ours(asked)


def refused(call: Callable[[], object]) -> OryLogoutError:
    with pytest.raises(OryLogoutError) as caught:
        call()
    return caught.value


def paths(kratos: FakeServer) -> list[str]:
    return [str(request.path_url).partition("?")[0] for request in kratos.requests]


# Requests


@each_of_public
def test_a_public_call_equals_that_of_orys_client(kratos: FakeServer, public: KratosPublic, name: str) -> None:
    answer(kratos, PUBLIC[name])

    PUBLIC[name].ours(public)

    assert (kratos.asked, relevant(kratos.requests[0].headers)) == request_of(PUBLIC[name].theirs)


@each_of_admin
@pytest.mark.parametrize("token", ["", "ory_pat_x"])
def test_an_admin_call_equals_that_of_orys_client(kratos: FakeServer, name: str, token: str) -> None:
    answer(kratos, ADMIN[name])

    ADMIN[name].ours(KratosAdmin(KRATOS_ADMIN_URL, token or None))

    assert (kratos.asked, relevant(kratos.requests[0].headers)) == admin_request_of(ADMIN[name].theirs, token)


def test_every_call_is_compared() -> None:
    def calls(kind: type) -> set[str]:
        return {name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}

    assert calls(KratosPublic) == {name.partition(" ")[0] for name in PUBLIC}
    assert calls(KratosAdmin) == set(ADMIN)


@each_of_public
def test_only_one_credential_is_sent(kratos: FakeServer, public: KratosPublic, name: str) -> None:
    answer(kratos, PUBLIC[name])

    PUBLIC[name].ours(public)

    shown = {"Authorization", "Cookie", "X-Session-Token"} & set(kratos.requests[0].headers)
    assert len(shown) == (0 if name == "log_out_natively" else 1)


@pytest.mark.parametrize("base_url", [KRATOS_URL + "/", KRATOS_URL])
def test_a_slash_after_the_public_url_does_not_matter(kratos: FakeServer, base_url: str) -> None:
    kratos.answers(session())

    KratosPublic(base_url).whoami(BROWSER)

    assert kratos.asked.url == f"{KRATOS_URL}/sessions/whoami"


def test_a_slash_after_the_admin_url_does_not_matter(kratos: FakeServer) -> None:
    kratos.answers_bytes()

    KratosAdmin(KRATOS_ADMIN_URL + "/").end_session(SESSION_ID)

    assert kratos.asked.url == f"{KRATOS_ADMIN_URL}/admin/sessions/{SESSION_ID}"


def test_an_id_is_sent_in_its_canonical_form(kratos: FakeServer, public: KratosPublic) -> None:
    kratos.answers_bytes()

    public.end_session(BROWSER, f"{{{OTHER_ID.upper()}}}")

    assert kratos.asked.url == f"{KRATOS_URL}/sessions/{OTHER_ID}"


NO_IDS = ["", "whoami", "../identities", f"{SESSION_ID}/extend", f"{SESSION_ID}?x=", "ä", "0" * 31]


@pytest.mark.parametrize("no_id", NO_IDS)
@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda public, admin, no_id: public.end_session(BROWSER, no_id), "session_unknown"),
        (lambda public, admin, no_id: admin.end_session(no_id), "session_unknown"),
        (lambda public, admin, no_id: admin.end_sessions(no_id), "identity_unknown"),
        (lambda public, admin, no_id: list(admin.sessions(no_id)), "identity_unknown"),
        (lambda public, admin, no_id: admin.delete_identity(no_id), "identity_unknown"),
    ],
)
def test_a_text_that_is_no_id_is_not_sent(
    kratos: FakeServer, public: KratosPublic, kratos_admin: KratosAdmin, call: Any, code: str, no_id: str
) -> None:
    error = refused(lambda: call(public, kratos_admin, no_id))

    assert (type(error), error.code) == (KratosError, code)
    assert kratos.requests == []


@pytest.mark.parametrize(
    "value",
    ["", "a b", "a;b", 'a"b', "a,b", "a\\b", "a\r\nX-Session-Token: b", "ä", "\x7f", "\ud800", "a\n", "a" * 8193],
)
@pytest.mark.parametrize("cookie_name", ["ory_kratos_session", ""])
def test_a_text_that_no_header_can_contain_is_no_session(
    kratos: FakeServer, public: KratosPublic, value: str, cookie_name: str
) -> None:
    error = refused(lambda: public.whoami(Credential(value, cookie_name)))

    assert (type(error), error.code) == (KratosError, "session_inactive")
    assert kratos.requests == []


def test_a_credential_may_contain_everything_that_a_cookie_may(kratos: FakeServer, public: KratosPublic) -> None:
    value = "".join(map(chr, range(0x21, 0x7F))).translate(dict.fromkeys(map(ord, '",;\\')))
    kratos.answers(session())

    public.whoami(Credential(value, "a_cookie"))

    assert kratos.requests[0].headers["Cookie"] == f"a_cookie={value}"


def test_a_session_token_does_not_log_a_browser_out(kratos: FakeServer, public: KratosPublic) -> None:
    """Kratos would answer 204, and the session would stay active."""
    with pytest.raises(ValueError, match="ends no session"):
        public.log_out(NATIVE, LOGOUT_TOKEN)

    assert kratos.requests == []


# Answers


def test_a_session_is_read(kratos: FakeServer, public: KratosPublic) -> None:
    kratos.answers(session())

    found = public.whoami(BROWSER)

    assert found == Session(
        raw={},
        id=SESSION_ID,
        active=True,
        authenticated_at=datetime(2026, 7, 1, 12, tzinfo=UTC),
        expires_at=datetime(2026, 7, 2, 12, tzinfo=UTC),
        issued_at=datetime(2026, 7, 1, 12, tzinfo=UTC),
        authenticator_assurance_level="aal1",
        identity=Identity(
            raw={},
            id=IDENTITY_ID,
            state="active",
            schema_id="default",
            traits={"email": "amber@example.com"},
            verifiable_addresses=(Address(raw={}, value="amber@example.com", verified=True, via="email"),),
            metadata_public={"p": 1},
        ),
        devices=(Device(raw={}, ip_address="127.0.0.1:36256", user_agent="a browser", location=""),),
    )
    assert vendor.Session.from_dict(dict(found.raw)) == session()


def test_a_session_as_kratos_writes_it_is_read(kratos: FakeServer, public: KratosPublic) -> None:
    """Times have nanoseconds, empty values are ``null``, and addresses are missing if the schema has none."""
    document = {
        "id": SESSION_ID,
        "active": True,
        "expires_at": "2026-11-22T13:47:20.143631883Z",
        "authenticated_at": "2026-11-21T13:47:36.92651Z",
        "authentication_methods": [{"method": "password", "aal": "aal1"}],
        "identity": {"id": IDENTITY_ID, "traits": {}, "metadata_public": None, "organization_id": None},
        "devices": None,
    }
    kratos.answers(document)

    found = public.whoami(NATIVE)

    assert found.expires_at == datetime(2026, 11, 22, 13, 47, 20, 143631, tzinfo=UTC)
    assert found.authenticated_at == datetime(2026, 11, 21, 13, 47, 36, 926510, tzinfo=UTC)
    assert (found.issued_at, found.devices, found.authenticator_assurance_level) == (None, (), "")
    assert (found.identity.verifiable_addresses, found.identity.metadata_public) == ((), None)
    assert found.raw == document


def test_a_logout_flow_is_read(kratos: FakeServer, public: KratosPublic) -> None:
    kratos.answers(FLOW)

    flow = public.logout_flow(BROWSER)

    assert (flow.logout_url, flow.logout_token) == (FLOW.logout_url, LOGOUT_TOKEN)


def test_a_logout_returns_the_cookies_to_relay(kratos: FakeServer, public: KratosPublic) -> None:
    cookies = (
        "ory_kratos_session=x; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; SameSite=Lax",
        "csrf_token_6318=y=; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax",
    )
    kratos.answers_bytes(cookies=cookies)

    assert public.log_out(BROWSER, LOGOUT_TOKEN) == cookies


@pytest.mark.parametrize("count", [0, 7])
def test_ended_sessions_are_counted(kratos: FakeServer, public: KratosPublic, count: int) -> None:
    kratos.answers(vendor.DeleteMySessionsCount(count=count))

    assert public.end_other_sessions(BROWSER) == count


def test_sessions_of_an_inactive_identity_are_listed(kratos: FakeServer, kratos_admin: KratosAdmin) -> None:
    kratos.answers([session(active=False)])

    assert [held.active for held in kratos_admin.sessions(IDENTITY_ID)] == [False]


# Lists


def page(size: int) -> list[vendor.Session]:
    return [session(str(uuid4())) for _ in range(size)]


LISTS = {
    "mine": lambda: iter(KratosPublic(KRATOS_URL).sessions(BROWSER)),
    "a person's": lambda: KratosAdmin(KRATOS_ADMIN_URL).sessions(IDENTITY_ID),
}
each_list = pytest.mark.parametrize("name", LISTS)


@pytest.fixture
def two_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "PAGE_SIZE", 2)


@each_list
def test_a_list_continues_until_a_page_is_short(kratos: FakeServer, two_a_page: None, name: str) -> None:
    """Kratos' ``Link`` header would lead to the first page again."""
    pages = [page(2), page(2), page(1)]
    for listed in pages:
        kratos.answers(listed, Link='</sessions?page=1&per_page=2>; rel="next"')

    found = [held.id for held in LISTS[name]()]

    assert found == [held.id for sessions in pages for held in sessions]
    assert [str(request.url).partition("per_page=")[2] for request in kratos.requests] == [
        "2&page=1",
        "2&page=2",
        "2&page=3",
    ]


@each_list
def test_a_list_may_end_with_an_empty_page(kratos: FakeServer, two_a_page: None, name: str) -> None:
    kratos.answers(page(2))
    kratos.answers([])

    assert len(list(LISTS[name]())) == 2


@each_list
def test_a_session_that_moved_to_the_next_page_is_listed_once(kratos: FakeServer, two_a_page: None, name: str) -> None:
    first = page(2)
    kratos.answers(first)
    kratos.answers([first[1], *page(1)])
    kratos.answers([])

    assert len(list(LISTS[name]())) == 3


@each_list
def test_a_list_that_repeats_itself_ends(kratos: FakeServer, two_a_page: None, name: str) -> None:
    same = page(2)
    kratos.answers(same)
    kratos.answers(same)

    error = refused(lambda: list(LISTS[name]()))

    assert (type(error), error.code, len(kratos.requests)) == (SetupError, "kratos_pagination", 2)


@each_list
def test_an_endless_list_is_stopped(
    kratos: FakeServer, two_a_page: None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_module, "MAX_PAGES", 3)
    for _ in range(4):
        kratos.answers(page(2))

    error = refused(lambda: list(LISTS[name]()))

    assert (type(error), error.code, len(kratos.requests)) == (SetupError, "kratos_pagination", 3)


def test_a_page_is_fetched_when_it_is_needed(kratos: FakeServer, two_a_page: None, kratos_admin: KratosAdmin) -> None:
    kratos.answers(page(2))

    next(kratos_admin.sessions(IDENTITY_ID))

    assert len(kratos.requests) == 1


# A 401 below /sessions


@pytest.mark.parametrize("name", BELOW_SESSIONS)
@pytest.mark.parametrize("said", [WHOAMI_401, SESSIONS_401, INACTIVE, GATEWAY_401])
def test_a_session_has_ended_if_the_logout_flow_says_so(
    kratos: FakeServer, public: KratosPublic, name: str, said: object
) -> None:
    kratos.answers(said, 401)
    kratos.answers(INACTIVE, 401)

    error = refused(lambda: PUBLIC[name].ours(public))

    assert (type(error), error.code) == (KratosError, "session_inactive")
    assert paths(kratos)[1:] == ["/self-service/logout/browser"]
    first, second = (relevant(request.headers) for request in kratos.requests)
    assert first == second


@pytest.mark.parametrize("name", BELOW_SESSIONS)
@pytest.mark.parametrize("said", [WHOAMI_401, SESSIONS_401, GATEWAY_401])
@pytest.mark.parametrize(
    ("then", "status"),
    [(DATABASE_DOWN, 500), (GATEWAY_401, 401), (GATEWAY_403, 403), ({}, 503), (refusal(429), 429), (NOT_FOUND, 404)],
)
def test_a_fault_of_kratos_database_or_a_gateway_logs_nobody_out(
    kratos: FakeServer, public: KratosPublic, name: str, said: object, then: object, status: int
) -> None:
    """Below /sessions, Kratos answers the same 401 for an ended session and for a database that does not answer."""
    kratos.answers(said, 401)
    kratos.answers(then, status)

    error = refused(lambda: PUBLIC[name].ours(public))

    assert (type(error), error.code) == fault(status)
    assert len(kratos.requests) == 2


@pytest.mark.parametrize("name", BELOW_SESSIONS)
def test_a_fault_that_has_passed_does_not_count(kratos: FakeServer, public: KratosPublic, name: str) -> None:
    case = PUBLIC[name]
    kratos.answers(WHOAMI_401, 401)
    kratos.answers(FLOW)
    answer(kratos, case)

    case.ours(public)

    assert paths(kratos)[::2] == [paths(kratos)[0]] * 2


@pytest.mark.parametrize("name", BELOW_SESSIONS)
@pytest.mark.parametrize("said", [WHOAMI_401, SESSIONS_401])
def test_an_inactive_identity_is_logged_out(kratos: FakeServer, public: KratosPublic, name: str, said: object) -> None:
    """In versions after v26.2, the logout flow of an inactive identity works, and whoami does not."""
    kratos.answers(said, 401)
    kratos.answers(FLOW)
    kratos.answers(said, 401)

    error = refused(lambda: PUBLIC[name].ours(public))

    assert (type(error), error.code) == (KratosError, "session_inactive")


@pytest.mark.parametrize("name", BELOW_SESSIONS)
@pytest.mark.parametrize("said", [GATEWAY_401, refusal(401, reason="Unable to determine AAL."), "<html>"])
def test_another_401_does_not_end_an_active_session(
    kratos: FakeServer, public: KratosPublic, name: str, said: object
) -> None:
    kratos.answers(said, 401)
    kratos.answers(FLOW)
    kratos.answers(said, 401)

    error = refused(lambda: PUBLIC[name].ours(public))

    assert (type(error), error.code) == (ProviderUnavailable, "kratos_fault")


def test_an_inactive_session_has_ended(kratos: FakeServer, public: KratosPublic) -> None:
    kratos.answers(session(active=False))

    error = refused(lambda: public.whoami(BROWSER))

    assert (type(error), error.code) == (KratosError, "session_inactive")


# Refusals


@pytest.mark.parametrize("name", [*BELOW_SESSIONS, *WITH_COOKIE])
def test_a_missing_second_factor_is_reported(kratos: FakeServer, public: KratosPublic, name: str) -> None:
    kratos.answers(AAL2, 403)

    error = refused(lambda: PUBLIC[name].ours(public))

    assert isinstance(error, SecondFactorRequired)
    assert isinstance(error, KratosError)
    assert error.code == str(error) == "session_aal2_required"
    assert error.redirect_browser_to == AAL2["redirect_browser_to"]


def test_a_missing_second_factor_without_a_url_is_a_fault(kratos: FakeServer, public: KratosPublic) -> None:
    kratos.answers({"error": AAL2["error"]}, 403)

    error = refused(lambda: public.whoami(BROWSER))

    assert (type(error), error.code) == (SetupError, "kratos_answer_invalid")


@pytest.mark.parametrize(
    ("name", "said", "status", "code"),
    [
        ("logout_flow", INACTIVE, 401, "session_inactive"),
        ("logout_flow and back", INACTIVE, 401, "session_inactive"),
        ("logout_flow and back", RETURN_TO, 400, "return_to_refused"),
        ("logout_flow and back", refusal(400, reason="Unable to parse the return_to"), 400, "return_to_refused"),
        ("log_out", INACTIVE, 401, "session_inactive"),
        ("log_out", FOREIGN_TOKEN, 403, "logout_token_foreign"),
        ("log_out", refusal(400, reason="Please include a token in the URL query."), 400, "kratos_refused"),
        ("log_out_natively", UNKNOWN_TOKEN, 403, "session_unknown"),
        ("log_out_natively", refusal(400, reason="Unable to decode JSON payload"), 400, "kratos_refused"),
        ("end_session by cookie", CURRENT, 400, "session_is_current"),
        ("end_session by session token", CURRENT, 400, "session_is_current"),
    ],
)
def test_refusals_of_kratos_are_errors(
    kratos: FakeServer, public: KratosPublic, name: str, said: object, status: int, code: str
) -> None:
    kratos.answers(said, status)

    error = refused(lambda: PUBLIC[name].ours(public))

    assert (type(error), error.code) == (KratosError, code)
    assert f"answers {status}" in str(error)
    assert len(kratos.requests) == 1


@pytest.mark.parametrize(
    ("name", "said", "status", "code"),
    [
        ("end_session", NOT_FOUND, 404, "session_unknown"),
        ("end_session", refusal(404, message="no such project"), 404, "kratos_not_found"),
        ("end_sessions", refusal(404, message="no such project"), 404, "kratos_not_found"),
        ("sessions", refusal(400, message="could not parse parameter active"), 400, "kratos_refused"),
        ("end_sessions", refusal(400), 400, "kratos_refused"),
        ("create_identity", refusal(400, message="traits do not match"), 400, "kratos_refused"),
        ("delete_identity", refusal(404, message="no such project"), 404, "kratos_not_found"),
    ],
)
def test_refusals_of_the_admin_api_are_errors(
    kratos: FakeServer, kratos_admin: KratosAdmin, name: str, said: object, status: int, code: str
) -> None:
    kratos.answers(said, status)

    error = refused(lambda: ADMIN[name].ours(kratos_admin))

    assert (type(error), error.code) == (KratosError, code)


def test_no_session_to_end_is_a_success(kratos: FakeServer, kratos_admin: KratosAdmin) -> None:
    kratos.answers(NOT_FOUND, 404)

    kratos_admin.end_sessions(IDENTITY_ID)


def test_no_identity_to_delete_is_a_success(kratos: FakeServer, kratos_admin: KratosAdmin) -> None:
    kratos.answers(NOT_FOUND, 404)

    kratos_admin.delete_identity(IDENTITY_ID)


def test_the_identity_of_an_address_is_read(kratos: FakeServer, kratos_admin: KratosAdmin) -> None:
    kratos.answers([IDENTITY])
    kratos.answers([])

    found = kratos_admin.identity_of("amber@example.com")

    assert found is not None
    assert (found.id, found.traits) == (IDENTITY_ID, {"email": "amber@example.com"})
    assert kratos_admin.identity_of("birch@example.com") is None


def test_an_empty_address_is_not_sent(kratos: FakeServer, kratos_admin: KratosAdmin) -> None:
    """Kratos would answer with all identities."""
    with pytest.raises(ValueError, match="all identities"):
        kratos_admin.identity_of("")

    assert kratos.requests == []


@each_of_admin
@pytest.mark.parametrize(
    ("status", "code"), [(401, "kratos_unauthorized"), (403, "kratos_unauthorized"), (404, "kratos_not_found")]
)
@pytest.mark.parametrize("body", [b"404 page not found", b"[]", b'{"error": "no"}', b'{"error": {"code": 1}}'])
def test_another_server_refuses_the_admin_call_in_other_words(
    kratos: FakeServer, kratos_admin: KratosAdmin, name: str, status: int, code: str, body: bytes
) -> None:
    kratos.answers_bytes(body, status)

    error = refused(lambda: ADMIN[name].ours(kratos_admin))

    assert (type(error), error.code) == (KratosError, code)


@each_of_public
@pytest.mark.parametrize("status", [400, 403, 404, 405])
@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": "session_inactive"}', b'{"error": {"id": "x"}}'])
def test_another_server_refuses_no_session(
    kratos: FakeServer, public: KratosPublic, name: str, status: int, body: bytes
) -> None:
    kratos.answers_bytes(body, status)

    error = refused(lambda: PUBLIC[name].ours(public))

    assert (type(error), error.code) == (SetupError, "kratos_unusable")


@pytest.mark.parametrize("name", [*WITH_COOKIE, "log_out_natively"])
@pytest.mark.parametrize("said", [GATEWAY_401, GATEWAY_403, WHOAMI_401])
def test_a_gateway_with_kratos_error_format_logs_nobody_out(
    kratos: FakeServer, public: KratosPublic, name: str, said: dict[str, Any]
) -> None:
    status = 403 if said is GATEWAY_403 else 401
    kratos.answers(said, status)

    error = refused(lambda: PUBLIC[name].ours(public))

    assert (type(error), error.code) == fault(status)


def test_an_error_id_with_another_status_does_not_count(kratos: FakeServer, public: KratosPublic) -> None:
    kratos.answers(INACTIVE, 403)

    assert refused(lambda: public.logout_flow(BROWSER)).code == "kratos_unusable"


@each_call
@pytest.mark.parametrize("status", [200, 202, 204, 301, 303, 307, 408, 410, 422, 425, 429, 500, 501, 503, 505, 511])
def test_an_unexpected_answer_is_a_fault(kratos: FakeServer, side: str, name: str, status: int) -> None:
    """204 instead of a document, a proxy's page with 200 instead of an end, a redirect, and too many requests."""
    if status == CASES[side][name].status:
        status = 206
    kratos.answers_bytes(b"" if status == NO_CONTENT else b"<html>", status, Location="https://elsewhere.example/")

    error = refused(lambda: ask(side, name))

    assert (type(error), error.code) == fault(status)
    assert fault(status)[0] is ProviderUnavailable or error.detail.endswith(f" at {without_query(kratos)}")
    assert len(kratos.requests) == 1


@pytest.mark.parametrize(("side", "name"), [(s, n) for s, n in ALL if CASES[s][n].status == 200])
@pytest.mark.parametrize("body", [b"<html>", b'"text"', b"[1]", b"[{}]", b"{}", b"null", b""])
def test_an_unreadable_answer_is_a_fault(kratos: FakeServer, side: str, name: str, body: bytes) -> None:
    kratos.answers_bytes(body, 200)

    error = refused(lambda: ask(side, name))

    assert isinstance(error, ProviderUnavailable)
    assert error.code in {"kratos_answer_invalid", "not_json"}


WITHOUT = {"id": SESSION_ID, "active": True, "identity": {"id": IDENTITY_ID}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": None}, "id is missing"),
        ({"id": ""}, "id is missing"),
        ({"id": 1}, "id is not of type str"),
        ({"active": None}, "active is missing"),
        ({"active": "true"}, "active is not of type bool"),
        ({"identity": None}, "id is missing"),
        ({"identity": []}, "identity is not of type dict"),
        ({"identity": {"id": ""}}, "id is missing"),
        ({"identity": {"id": IDENTITY_ID, "traits": []}}, "traits is not of type dict"),
        ({"identity": {"id": IDENTITY_ID, "verifiable_addresses": {}}}, "verifiable_addresses is not of type list"),
        ({"identity": {"id": IDENTITY_ID, "verifiable_addresses": [1]}}, "verifiable_addresses is not of type dict"),
        ({"expires_at": "soon"}, "expires_at is not a time"),
        ({"expires_at": "2026-07-01T12:00:00"}, "expires_at is a time without a time zone"),
        ({"expires_at": 1}, "expires_at is not of type str"),
        ({"expires_at": "9999-12-31T23:59:59-01:00"}, "expires_at is not a time"),
        ({"expires_at": "0001-01-01T00:00:00+01:00"}, "expires_at is not a time"),
        ({"id": "\ud800"}, "id has characters that cannot be stored"),
        ({"id": f"{SESSION_ID}\udfff"}, "id has characters that cannot be stored"),
        ({"identity": {"id": "\udc00"}}, "id has characters that cannot be stored"),
        ({"identity": {"id": "a\0b"}}, "id has characters that cannot be stored"),
        ({"devices": [{"user_agent": "\ud800"}]}, "user_agent has characters that cannot be stored"),
        ({"devices": [{"user_agent": []}]}, "user_agent is not of type str"),
    ],
)
def test_a_field_with_another_type_is_a_fault(
    kratos: FakeServer, public: KratosPublic, change: dict[str, Any], words: str
) -> None:
    kratos.answers(WITHOUT | change)

    error = refused(lambda: public.whoami(BROWSER))

    assert (type(error), error.code) == (SetupError, "kratos_answer_invalid")
    assert words in error.detail


@pytest.mark.parametrize(
    "change",
    [
        {"logout_url": ""},
        {"logout_url": "http://["},
        {"logout_token": None},
        {"logout_token": 1},
        {"logout_token": "\ud800"},
    ],
)
def test_an_incomplete_logout_flow_is_a_fault(kratos: FakeServer, public: KratosPublic, change: dict[str, Any]) -> None:
    kratos.answers(FLOW.to_dict() | change)

    assert refused(lambda: public.logout_flow(BROWSER)).code == "kratos_answer_invalid"
