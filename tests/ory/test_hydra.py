"""Hydra's admin API: our calls, and how we read the answers."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import ory_hydra_client as vendor
import pytest

from django_ory_logout.exceptions import ChallengeHandled, HydraError, OryLogoutError, ProviderUnavailable, SetupError
from django_ory_logout.ory.hydra import ClientMetadata, ConsentSession, HydraAdmin, OAuth2Client
from django_ory_logout.ory.hydra import admin as admin_module

from .conftest import ADMIN_URL, FakeServer, without_query
from .vendor import CLIENT, CONSENT_REQUEST, LOGIN_REQUEST, REDIRECT, request_of, session

METADATA = ClientMetadata(
    client_name="the site",
    token_endpoint_auth_method="client_secret_post",
    redirect_uris=("https://rp.example/callback",),
    backchannel_logout_uri="",
    backchannel_logout_session_required=False,
    skip_logout_consent=True,
)


class Case(NamedTuple):
    """Our call, the same call of Ory's client, and Hydra's answer."""

    ours: Callable[[HydraAdmin], object]
    theirs: Callable[[vendor.OAuth2Api], object]
    answer: object = REDIRECT
    status: int = 200


NO_CONTENT = 204
CALLS = {
    "id_token_key_ids": Case(
        lambda admin: admin.id_token_key_ids(),
        lambda api: vendor.JwkApi(api.api_client).get_json_web_key_set("hydra.openid.id-token"),
        {"keys": []},
    ),
    "revoke_login_session": Case(
        lambda admin: admin.revoke_login_session("a sid"),
        lambda api: api.revoke_o_auth2_login_sessions(sid="a sid"),
        status=NO_CONTENT,
    ),
    "revoke_login_sessions": Case(
        lambda admin: admin.revoke_login_sessions("amber & birch"),
        lambda api: api.revoke_o_auth2_login_sessions(subject="amber & birch"),
        status=NO_CONTENT,
    ),
    "consent_sessions": Case(
        lambda admin: list(admin.consent_sessions("amber", sid="a sid")),
        lambda api: api.list_o_auth2_consent_sessions(subject="amber", login_session_id="a sid", page_size=50),
        [],
    ),
    "revoke_consents": Case(
        lambda admin: admin.revoke_consents("amber", "rp"),
        lambda api: api.revoke_o_auth2_consent_sessions(subject="amber", client="rp"),
        status=NO_CONTENT,
    ),
    "revoke_all_consents": Case(
        lambda admin: admin.revoke_all_consents("amber"),
        lambda api: api.revoke_o_auth2_consent_sessions(subject="amber", all=True),
        status=NO_CONTENT,
    ),
    "revoke_consent": Case(
        lambda admin: admin.revoke_consent("an id"),
        lambda api: api.revoke_o_auth2_consent_sessions(consent_request_id="an id"),
        status=NO_CONTENT,
    ),
    "delete_access_tokens": Case(
        lambda admin: admin.delete_access_tokens("rp"),
        lambda api: api.delete_o_auth2_token(client_id="rp"),
        status=NO_CONTENT,
    ),
    "introspect": Case(
        lambda admin: admin.introspect("a token"),
        lambda api: api.introspect_o_auth2_token(token="a token"),
        vendor.IntrospectedOAuth2Token(active=True),
    ),
    "client": Case(lambda admin: admin.client("a/b c"), lambda api: api.get_o_auth2_client(id="a/b c"), answer=CLIENT),
    "create_client": Case(
        lambda admin: admin.create_client("rp", METADATA),
        lambda api: api.create_o_auth2_client(vendor.OAuth2Client(client_id="rp", **METADATA.given())),
        CLIENT,
        201,
    ),
    "update_client": Case(
        lambda admin: admin.update_client("rp", ClientMetadata(backchannel_logout_uri="", skip_logout_consent=False)),
        lambda api: api.patch_o_auth2_client(
            id="rp",
            json_patch=[
                vendor.JsonPatch(op="add", path="/backchannel_logout_uri", value=""),
                vendor.JsonPatch(op="add", path="/skip_logout_consent", value=False),
            ],
        ),
        CLIENT,
    ),
    "login_request": Case(
        lambda admin: admin.login_request("a challenge"),
        lambda api: api.get_o_auth2_login_request("a challenge"),
        LOGIN_REQUEST,
    ),
    "accept_login_request": Case(
        lambda admin: admin.accept_login_request(
            "a challenge",
            subject="amber",
            remember_for=60,
            acr="2",
            amr=("pwd",),
            identity_provider_session_id="a session",
            context={"a": 1},
        ),
        lambda api: api.accept_o_auth2_login_request(
            "a challenge",
            vendor.AcceptOAuth2LoginRequest(
                subject="amber",
                remember=True,
                remember_for=60,
                acr="2",
                amr=["pwd"],
                identity_provider_session_id="a session",
                context={"a": 1},
            ),
        ),
    ),
    "reject_login_request": Case(
        lambda admin: admin.reject_login_request("a challenge", "access_denied", "not today"),
        lambda api: api.reject_o_auth2_login_request(
            "a challenge", vendor.RejectOAuth2Request(error="access_denied", error_description="not today")
        ),
    ),
    "consent_request": Case(
        lambda admin: admin.consent_request("a challenge"),
        lambda api: api.get_o_auth2_consent_request("a challenge"),
        CONSENT_REQUEST,
    ),
    "accept_consent_request": Case(
        lambda admin: admin.accept_consent_request(
            "a challenge",
            grant_scope=("openid",),
            grant_access_token_audience=("api",),
            remember=True,
            remember_for=60,
            id_token={"email": "amber@example.com"},
            access_token={"role": "x"},
            context={"a": 1},
        ),
        lambda api: api.accept_o_auth2_consent_request(
            "a challenge",
            vendor.AcceptOAuth2ConsentRequest(
                grant_scope=["openid"],
                grant_access_token_audience=["api"],
                remember=True,
                remember_for=60,
                session=vendor.AcceptOAuth2ConsentRequestSession(
                    id_token={"email": "amber@example.com"}, access_token={"role": "x"}
                ),
                context={"a": 1},
            ),
        ),
    ),
    "reject_consent_request": Case(
        lambda admin: admin.reject_consent_request("a challenge", "access_denied"),
        lambda api: api.reject_o_auth2_consent_request(
            "a challenge", vendor.RejectOAuth2Request(error="access_denied", error_description="")
        ),
    ),
    "logout_request": Case(
        lambda admin: admin.logout_request("a challenge"),
        lambda api: api.get_o_auth2_logout_request("a challenge"),
        vendor.OAuth2LogoutRequest(challenge="a challenge"),
    ),
    "accept_logout_request": Case(
        lambda admin: admin.accept_logout_request("a challenge"),
        lambda api: api.accept_o_auth2_logout_request("a challenge"),
    ),
    "reject_logout_request": Case(
        lambda admin: admin.reject_logout_request("a challenge"),
        lambda api: api.reject_o_auth2_logout_request("a challenge"),
        status=NO_CONTENT,
    ),
}
OF_CHALLENGES = [name for name in CALLS if name.endswith("_request")]
OF_CLIENTS = ["client", "create_client", "update_client"]
REDIRECTING = [name for name, case in CALLS.items() if case.answer is REDIRECT and case.status != NO_CONTENT]


def answer(hydra: FakeServer, case: Case) -> None:
    if case.status == NO_CONTENT:
        hydra.answers_bytes()
    else:
        hydra.answers(case.answer, case.status)


def refusal(call: Callable[[], object]) -> OryLogoutError:
    with pytest.raises(OryLogoutError) as caught:
        call()
    return caught.value


# Requests


@pytest.mark.parametrize("name", CALLS)
def test_a_call_equals_that_of_orys_client(hydra: FakeServer, admin: HydraAdmin, name: str) -> None:
    answer(hydra, CALLS[name])

    CALLS[name].ours(admin)

    assert hydra.asked == request_of(CALLS[name].theirs)


def test_every_call_is_compared() -> None:
    public = {name for name in vars(HydraAdmin) if not name.startswith("_")}

    assert public == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_every_call_sends_the_token(hydra: FakeServer, name: str) -> None:
    answer(hydra, CALLS[name])

    CALLS[name].ours(HydraAdmin(ADMIN_URL, "ory_pat_x"))

    assert hydra.requests[0].headers["Authorization"] == "Bearer ory_pat_x"


def test_without_a_token_no_authorization_is_sent(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers_bytes()

    admin.revoke_login_session("a sid")

    assert "Authorization" not in hydra.requests[0].headers


def test_a_slash_after_the_base_url_does_not_matter(hydra: FakeServer) -> None:
    hydra.answers_bytes()

    HydraAdmin(ADMIN_URL + "/").revoke_login_session("a sid")

    assert hydra.asked.url == f"{ADMIN_URL}/admin/oauth2/auth/sessions/login"


@pytest.mark.parametrize("metadata", [ClientMetadata(), METADATA, ClientMetadata(client_secret="s", scope="openid")])
def test_orys_client_knows_all_fields_that_we_write(metadata: ClientMetadata) -> None:
    model = vendor.OAuth2Client.from_dict(metadata.given())

    assert model is not None
    assert model.additional_properties == {}
    assert all(getattr(model, name) is not None for name in metadata.given())


def test_a_login_is_remembered_by_default(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers(REDIRECT)

    admin.accept_login_request("a challenge", subject="amber")

    assert isinstance(hydra.asked.body, dict)
    assert hydra.asked.body["remember"] is True


# Answers


@pytest.mark.parametrize("name", REDIRECTING)
def test_an_answer_contains_the_redirect_url(hydra: FakeServer, admin: HydraAdmin, name: str) -> None:
    hydra.answers(REDIRECT)

    assert CALLS[name].ours(admin) == "https://op.example/next"


def test_a_client_is_read(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers(CLIENT)

    client = admin.client("rp")

    assert client == OAuth2Client(
        raw={},
        client_id="rp",
        client_name="the site",
        client_secret="",
        token_endpoint_auth_method="client_secret_basic",
        subject_type="public",
        redirect_uris=("https://rp.example/callback",),
        post_logout_redirect_uris=("https://rp.example/bye",),
        backchannel_logout_uri="https://rp.example/backchannel",
        backchannel_logout_session_required=True,
        frontchannel_logout_uri="",
        frontchannel_logout_session_required=False,
        skip_consent=False,
        skip_logout_consent=True,
    )
    assert client.raw == CLIENT.to_dict()


def test_null_is_read_like_a_missing_field(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers({"client_id": "rp", "skip_logout_consent": None, "redirect_uris": None, "client_name": None})

    client = admin.client("rp")

    assert (client.skip_logout_consent, client.redirect_uris, client.client_name) == (False, (), "")


def test_the_secret_of_a_new_client_is_read_and_not_shown(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers(CLIENT.model_copy(update={"client_secret": "a secret"}), 201)

    client = admin.create_client("rp", METADATA)

    assert client.client_secret == "a secret"
    assert "a secret" not in repr(client)


def test_a_login_request_is_read(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers(LOGIN_REQUEST)

    request = admin.login_request("a challenge")

    assert (request.challenge, request.subject, request.skip, request.session_id) == (
        "a challenge",
        "amber",
        True,
        "a sid",
    )
    assert (request.requested_scope, request.requested_access_token_audience) == (("openid",), ("api",))
    assert request.request_url == "https://op.example/oauth2/auth?prompt=login"
    assert request.client.client_id == "rp"
    context = request.oidc_context
    assert (context.login_hint, context.ui_locales, context.acr_values, context.display) == (
        "amber",
        ("de",),
        ("2",),
        "page",
    )
    assert context.id_token_hint_claims == {"sub": "amber"}


def test_a_consent_request_is_read(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers(CONSENT_REQUEST)

    request = admin.consent_request("a challenge")

    assert (request.challenge, request.consent_request_id, request.subject) == ("a challenge", "an id", "amber")
    assert (request.login_session_id, request.acr, request.amr, request.skip) == ("a sid", "2", ("pwd",), False)
    assert (request.context, request.client.client_name) == ({"from": "login"}, "the site")
    assert request.oidc_context.login_hint == ""


@pytest.mark.parametrize(("client", "client_id"), [(CLIENT, "rp"), (None, None)])
def test_a_logout_request_is_read(hydra: FakeServer, admin: HydraAdmin, client: Any, client_id: str | None) -> None:
    hydra.answers(
        vendor.OAuth2LogoutRequest(
            challenge="a challenge",
            client=client,
            expires_at=datetime(2026, 7, 1, 12, 30, tzinfo=UTC),
            requested_at=datetime(2026, 7, 1, 12, tzinfo=UTC),
            request_url="/oauth2/sessions/logout",
            rp_initiated=client is not None,
            sid="a sid",
            subject="amber",
        )
    )

    request = admin.logout_request("a challenge")

    assert (request.challenge, request.subject, request.sid) == ("a challenge", "amber", "a sid")
    assert (request.client.client_id if request.client else None) == client_id
    assert request.rp_initiated is (client is not None)
    assert request.requested_at == datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert request.expires_at == datetime(2026, 7, 1, 12, 30, tzinfo=UTC)


def test_a_logout_request_without_times_is_read(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers({"challenge": "a challenge", "expires_at": None, "requested_at": ""})

    request = admin.logout_request("a challenge")

    assert (request.expires_at, request.requested_at) == (None, None)


@pytest.mark.parametrize("name", ["login_request", "consent_request", "logout_request"])
def test_secrets_of_a_sign_in_are_not_shown(hydra: FakeServer, admin: HydraAdmin, name: str) -> None:
    hydra.answers({"challenge": "a challenge", "request_url": "/?id_token_hint=a-token", "client": {"client_id": "rp"}})

    shown = repr(CALLS[name].ours(admin))

    assert "challenge" not in shown
    assert "a-token" not in shown


def test_an_active_token_is_described(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers(
        vendor.IntrospectedOAuth2Token(
            active=True, client_id="rp", sub="amber", scope="openid", token_use="refresh_token", exp=1_800_000_000
        )
    )

    token = admin.introspect("a token")

    assert (token.active, token.client_id, token.sub, token.scope) == (True, "rp", "amber", "openid")
    assert (token.token_use, token.exp) == ("refresh_token", 1_800_000_000)


def test_an_inactive_token_is_inactive(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers({"active": False})

    assert admin.introspect("a token").active is False


# The list of consents


def following(token: str, host: str = "") -> str:
    """A ``Link`` header in Hydra's format."""
    url = f"{host}/admin/oauth2/auth/sessions/consent?page_size=50&page_token={{}}&subject=amber"
    return f'<{url.format("first")}>; rel="first",<{url.format(token)}>; rel="next"'


def test_a_consent_is_read(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers([session(1)])

    (found,) = admin.consent_sessions("amber")

    assert (found.consent_request_id, found.grant_scope) == ("id 1", ("openid",))
    assert (found.remember, found.remember_for) == (True, 3600)
    assert found.consent_request.login_session_id == "a sid"
    assert found.consent_request.client.client_id == "rp"
    assert found.handled_at == datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_the_list_continues_over_its_pages(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers([session(1), session(2)], Link=following("page%2F2"))
    hydra.answers([session(3)], Link=following("x").partition(",")[0])

    found = [consent.consent_request_id for consent in admin.consent_sessions("amber", sid="a sid")]

    assert found == ["id 1", "id 2", "id 3"]
    assert str(hydra.requests[1].url).partition("?")[2] == (
        "subject=amber&page_size=50&login_session_id=a+sid&page_token=page%2F2"
    )


def test_a_page_is_fetched_when_it_is_needed(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers([session(1)], Link=following("2"))

    next(admin.consent_sessions("amber"))

    assert len(hydra.requests) == 1


def test_a_link_does_not_change_the_server(hydra: FakeServer) -> None:
    hydra.answers([session(1)], Link=following("2", "https://elsewhere.example"))
    hydra.answers([])

    list(HydraAdmin(ADMIN_URL, "a token").consent_sessions("amber"))

    assert str(hydra.requests[1].url).startswith(ADMIN_URL)


def test_older_hydras_name_a_consent_by_its_challenge(hydra: FakeServer, admin: HydraAdmin) -> None:
    requests = [CONSENT_REQUEST.model_copy(update={"challenge": challenge}) for challenge in ("a", "b")]
    hydra.answers(
        [session(1, consent_request_id=None, consent_request=consent_request) for consent_request in requests]
    )

    assert [consent.consent_request.challenge for consent in admin.consent_sessions("amber")] == ["a", "b"]


@pytest.mark.parametrize("page", [[], [session(1)]], ids=["empty", "repeated"])
def test_a_list_that_repeats_itself_ends(hydra: FakeServer, admin: HydraAdmin, page: list[Any]) -> None:
    hydra.answers([session(1)], Link=following("2"))
    hydra.answers(page, Link=following("3"))
    found: list[ConsentSession] = []

    error = refusal(lambda: found.extend(admin.consent_sessions("amber")))

    assert (error.code, len(found), len(hydra.requests)) == ("hydra_pagination", 1, 2)


@pytest.mark.parametrize("host", ["http://[", "https://[op.example"])
def test_a_next_page_that_is_no_url_is_a_fault(hydra: FakeServer, admin: HydraAdmin, host: str) -> None:
    hydra.answers([session(1)], Link=following("2", host))
    found: list[ConsentSession] = []

    error = refusal(lambda: found.extend(admin.consent_sessions("amber")))

    assert (error.code, len(found), len(hydra.requests)) == ("hydra_answer_invalid", 1, 1)


def test_an_endless_list_is_stopped(hydra: FakeServer, admin: HydraAdmin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_module, "MAX_PAGES", 3)
    for number in range(4):
        hydra.answers([session(number)], Link=following(str(number)))
    found: list[ConsentSession] = []

    error = refusal(lambda: found.extend(admin.consent_sessions("amber")))

    assert (error.code, len(found), len(hydra.requests)) == ("hydra_pagination", 3, 3)


# Keys


def test_key_ids_are_read_without_the_keys(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers({"keys": [{"kid": "one", "d": "a private key"}, {"kid": "two"}, {}, "no key"]})

    assert admin.id_token_key_ids() == {"one", "two"}
    assert hydra.asked[:2] == ("GET", f"{ADMIN_URL}/admin/keys/hydra.openid.id-token")


def test_keys_that_are_no_list_are_a_fault(hydra: FakeServer, admin: HydraAdmin) -> None:
    hydra.answers({"keys": None})

    assert refusal(admin.id_token_key_ids).code == "hydra_answer_invalid"


# Refusals


@pytest.mark.parametrize("name", OF_CHALLENGES)
@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (404, "Not Found", "challenge_unknown"),
        (404, "Unable to locate the resource", "challenge_unknown"),
        (401, "request_unauthorized", "challenge_expired"),
        (400, "invalid_request", "hydra_refused"),
        (403, "invalid_request", "hydra_unauthorized"),
    ],
)
def test_a_challenge_is_refused(
    hydra: FakeServer, admin: HydraAdmin, name: str, status: int, error: str, code: str
) -> None:
    hydra.answers(vendor.ErrorOAuth2(error=error, error_description="words of amber"), status)

    refused = refusal(lambda: CALLS[name].ours(admin))

    assert isinstance(refused, HydraError)
    assert refused.code == code
    assert f"{status} {error!r}" in str(refused)
    assert "a challenge" not in str(refused)
    assert "amber" not in str(refused)


ANSWERS_OF_CHALLENGES = [name for name in OF_CHALLENGES if name.startswith(("accept", "reject"))]


@pytest.mark.parametrize("name", ANSWERS_OF_CHALLENGES)
def test_a_challenge_that_was_just_answered_is_read_again(hydra: FakeServer, admin: HydraAdmin, name: str) -> None:
    hydra.answers(vendor.ErrorOAuth2(error="Conflict"), 409)
    hydra.answers(vendor.OAuth2RedirectTo(redirect_to="https://op.example/oauth2/auth?x=1"), 410)

    handled = refusal(lambda: CALLS[name].ours(admin))

    assert isinstance(handled, ChallengeHandled)
    assert handled.redirect_to == "https://op.example/oauth2/auth?x=1"
    asked = hydra.requests[1]
    assert asked.method == "GET"
    assert str(asked.url).endswith("_challenge=a+challenge")


@pytest.mark.parametrize("name", ANSWERS_OF_CHALLENGES)
@pytest.mark.parametrize("url", ["https://op.example/oauth2/auth?client_id=rp", ""])
def test_a_challenge_that_was_just_answered_without_a_record_is_reported(
    hydra: FakeServer, admin: HydraAdmin, name: str, url: str
) -> None:
    hydra.answers(vendor.ErrorOAuth2(error="Conflict"), 409)
    hydra.answers({"request_url": url})

    handled = refusal(lambda: CALLS[name].ours(admin))

    assert isinstance(handled, ChallengeHandled)
    assert handled.redirect_to == url


@pytest.mark.parametrize("name", OF_CHALLENGES)
def test_a_handled_challenge_names_the_new_start(hydra: FakeServer, admin: HydraAdmin, name: str) -> None:
    hydra.answers(vendor.OAuth2RedirectTo(redirect_to="/oauth2/sessions/logout?id_token_hint=a-token"), 410)

    refused = refusal(lambda: CALLS[name].ours(admin))

    assert isinstance(refused, ChallengeHandled)
    assert refused.code == "challenge_handled"
    assert refused.redirect_to == "/oauth2/sessions/logout?id_token_hint=a-token"
    assert "a-token" not in repr(refused) + str(refused)


@pytest.mark.parametrize("name", OF_CLIENTS)
@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (404, "Unable to locate the resource", "client_unknown"),
        (409, "Unable to insert or update resource because a resource with that value exists", "client_exists"),
        (400, "invalid_client_metadata", "client_metadata_invalid"),
    ],
)
def test_a_client_is_refused(
    hydra: FakeServer, admin: HydraAdmin, name: str, status: int, error: str, code: str
) -> None:
    hydra.answers(vendor.ErrorOAuth2(error=error, error_description=""), status)

    refused = refusal(lambda: CALLS[name].ours(admin))

    assert isinstance(refused, HydraError)
    assert refused.code == code


def test_errors_of_a_client_are_reported(hydra: FakeServer, admin: HydraAdmin) -> None:
    reason = "post_logout_redirect_uri 'https://elsewhere.example' must match the domain"
    hydra.answers(vendor.ErrorOAuth2(error="invalid_client_metadata", error_description="x" * 400 + reason + "\n"), 400)

    refused = refusal(lambda: admin.update_client("rp", METADATA))

    assert refused.code == "client_metadata_invalid"
    assert reason in refused.detail
    assert len(refused.detail) < 310
    assert "\n" not in refused.detail


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "hydra_not_found"), (401, "hydra_unauthorized"), (403, "hydra_unauthorized"), (400, "hydra_refused")],
)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"404 page not found", id="text"),
        pytest.param(b'{"error": {"code": 401, "message": "Access credentials are invalid"}}', id="gateway"),
        pytest.param(b"[]", id="no object"),
    ],
)
def test_another_server_refuses_in_other_words(
    hydra: FakeServer, admin: HydraAdmin, name: str, status: int, code: str, body: bytes
) -> None:
    """A wrong address or a missing API key is different from an unknown client or an expired challenge."""
    hydra.answers_bytes(body, status)

    refused = refusal(lambda: CALLS[name].ours(admin))

    assert isinstance(refused, HydraError)
    assert refused.code == code


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [200, 202, 204, 301, 302, 408, 425, 429, 500, 501, 503, 505, 511])
def test_an_unexpected_answer_is_a_fault(hydra: FakeServer, admin: HydraAdmin, name: str, status: int) -> None:
    """204 instead of a document, a proxy's page with 200 instead of a deletion, a redirect, and a fault."""
    if status == CALLS[name].status:
        status = 206
    hydra.answers_bytes(b"" if status == NO_CONTENT else b"<html>", status, Location="https://elsewhere.example/")

    refused = refusal(lambda: CALLS[name].ours(admin))

    is_temporary = status in {408, 425, 429, 500, 503}
    assert (type(refused), refused.code) == (
        (ProviderUnavailable, "hydra_fault") if is_temporary else (SetupError, "hydra_unusable")
    )
    assert is_temporary or refused.detail.endswith(f" at {without_query(hydra)}")
    assert len(hydra.requests) == 1


@pytest.mark.parametrize("name", [name for name, case in CALLS.items() if case.status != NO_CONTENT])
@pytest.mark.parametrize(
    ("body", "code"),
    [(b"<html>", "not_json"), (b'"text"', "not_json"), (b"[1]", "not_json"), (b"[{}]", None), (b"{}", None)],
)
def test_an_unreadable_answer_is_a_fault(
    hydra: FakeServer, admin: HydraAdmin, name: str, body: bytes, code: str | None
) -> None:
    hydra.answers_bytes(body, CALLS[name].status)

    refused = refusal(lambda: CALLS[name].ours(admin))

    assert isinstance(refused, SetupError)
    assert refused.code in ({code} if code else {"hydra_answer_invalid", "not_json"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"challenge": ""}, "challenge is missing"),
        ({"subject": 1}, "subject is not of type str"),
        ({"rp_initiated": "true"}, "rp_initiated is not of type bool"),
        ({"expires_at": "soon"}, "expires_at is not a time"),
        ({"subject": "\ud800"}, "subject has characters that cannot be stored"),
        ({"sid": "a\0b"}, "sid has characters that cannot be stored"),
        ({"request_url": "https://op.example/?a=\udfff"}, "request_url has characters that cannot be stored"),
        ({"request_url": "http://[::1"}, "request_url is not a URL"),
        ({"request_url": "https://op.example/\r\nSet-Cookie: a=b"}, "request_url is not a URL"),
        ({"client": []}, None),
        ({"client": [1]}, "client is not of type dict"),
        ({"client": {"client_id": "rp", "redirect_uris": "https://rp.example"}}, "redirect_uris is not of type list"),
        ({"client": {"client_id": "rp", "redirect_uris": [1]}}, "redirect_uris is not of type str"),
        ({"client": {"client_name": "the site"}}, "client_id is missing"),
    ],
)
def test_a_field_with_another_type_is_a_fault(
    hydra: FakeServer, admin: HydraAdmin, change: dict[str, Any], words: str | None
) -> None:
    hydra.answers({"challenge": "a challenge"} | change)
    if words is None:
        assert admin.logout_request("a challenge").client is None
        return

    refused = refusal(lambda: admin.logout_request("a challenge"))

    assert refused.code == "hydra_answer_invalid"
    assert words in refused.detail


@pytest.mark.parametrize(
    "document",
    [{}, *({"redirect_to": to} for to in ("", 1, "\ud800", "https://[op.example/", "https://op.example/\n"))],
)
@pytest.mark.parametrize("status", [200, 410])
def test_a_redirect_without_a_url_is_a_fault(
    hydra: FakeServer, admin: HydraAdmin, document: dict[str, Any], status: int
) -> None:
    hydra.answers(document, status)

    assert refusal(lambda: admin.accept_logout_request("a challenge")).code == "hydra_answer_invalid"


def test_the_api_key_is_not_shown() -> None:
    assert "ory_pat_x" not in repr(HydraAdmin(ADMIN_URL, "ory_pat_x"))
