"""The endpoints for machines, called with ``requests`` and with the app's own HTTP client."""

import base64
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote_plus

import pytest
import requests

from django_ory_logout import http
from django_ory_logout.exceptions import ProviderUnavailable
from django_ory_logout.ory.hydra import ClientMetadata, HydraAdmin
from django_ory_logout.testing import Client, LoginSession, Network, Provider, connect
from django_ory_logout.testing.hydra import token_endpoint
from django_ory_logout.testing.hydra.tokens import verified_claims

from .conftest import CALLBACK

ISSUER = "http://127.0.0.1:4444"
SECRET = "s+ %é"


def basic(client_id: str = "site", secret: str = SECRET) -> dict[str, str]:
    credentials = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
    return {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}


def redeem(provider: Provider, headers: dict[str, str] | None = None, **change: str | None) -> requests.Response:
    """Send a valid token request, except for ``headers`` and ``change``."""
    code = provider.authorize(provider.sign_in("amber"), "site", redirect_uri=CALLBACK)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, **change}
    return requests.post(ISSUER + "/oauth2/token", data=form, headers=headers, timeout=5)


def test_discovery_and_jwks_are_served(provider: Provider, network: Network) -> None:
    assert http.get(ISSUER + "/.well-known/openid-configuration").json() == provider.discovery()
    assert http.get(ISSUER + "/.well-known/jwks.json").json() == provider.jwks()


def test_calls_are_recorded_with_their_form(provider: Provider, network: Network) -> None:
    http.post(ISSUER + "/oauth2/token", "a=1&b=", {"Content-Type": "application/x-www-form-urlencoded"})

    (call,) = network.calls
    assert (call.method, call.url, call.form) == ("POST", ISSUER + "/oauth2/token", {"a": "1", "b": ""})
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"


def test_other_addresses_are_still_reached(provider: Provider, network: Network) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:44441/", timeout=5)

    assert network.calls == []


def test_the_admin_api_has_its_own_address(provider: Provider, amber: LoginSession) -> None:
    admin_url = "http://127.0.0.1:4445"
    admin = HydraAdmin(admin_url)
    with connect(provider, admin_url) as network:
        sids = [consent.consent_request.login_session_id for consent in admin.consent_sessions("amber")]
        admin.revoke_login_session(amber.sid)
        changed = admin.update_client("site", ClientMetadata(skip_logout_consent=True))
        elsewhere = http.get(ISSUER + "/admin/clients/site").status
        network.down("/admin/clients/site")
        with pytest.raises(ProviderUnavailable):
            admin.client("site")

    assert sids == [amber.sid]
    assert [delivery.client_id for delivery in network.deliveries] == ["site"]
    assert (changed.skip_logout_consent, elsewhere) == (True, 404)
    assert [call.form for call in network.calls if call.method == "PATCH"] == [{}]


def test_two_providers_can_be_connected_at_once(provider: Provider, network: Network) -> None:
    other = Provider("https://op.example/realm", keys=[])
    with connect(other) as inner:
        assert http.get("https://op.example/realm/.well-known/jwks.json").json() == {"keys": []}
        assert http.get(ISSUER + "/.well-known/jwks.json").json() == provider.jwks()

    assert (len(inner.calls), len(network.calls)) == (1, 1)
    with pytest.raises(ProviderUnavailable):
        http.get("https://op.example.invalid/realm/.well-known/jwks.json")


@pytest.mark.parametrize(("path", "status"), [("/oauth2/token", 405), ("/nothing", 404)])
def test_a_wrong_method_and_a_wrong_path_are_errors(
    provider: Provider, network: Network, path: str, status: int
) -> None:
    assert http.get(ISSUER + path).status == status


@pytest.mark.parametrize("path", ["", "/.well-known/jwks.json"])
def test_the_network_can_fail_and_recover(provider: Provider, network: Network, path: str) -> None:
    network.down(path)
    with pytest.raises(ProviderUnavailable, match="ConnectionError"):
        http.get(ISSUER + "/.well-known/jwks.json")

    network.mend()

    assert http.get(ISSUER + "/.well-known/jwks.json").ok


def test_the_network_can_be_slow_at_one_path(provider: Provider, network: Network) -> None:
    network.slow("/userinfo")

    assert http.get(ISSUER + "/.well-known/jwks.json").ok
    with pytest.raises(ProviderUnavailable, match="ReadTimeout"):
        http.get(ISSUER + "/userinfo")


def test_an_answer_can_be_replaced(provider: Provider, network: Network) -> None:
    network.replace("/userinfo", b"<html>", status=502, headers={"Retry-After": "1"})

    answer = http.get(ISSUER + "/userinfo")

    assert (answer.status, answer.body, answer.headers["retry-after"]) == (502, b"<html>", "1")


def test_an_answer_has_its_own_date_or_the_current_one(provider: Provider, network: Network) -> None:
    sent = parsedate_to_datetime(http.get(ISSUER + "/.well-known/jwks.json").headers["Date"]).timestamp()
    assert sent == pytest.approx(time.time(), abs=5)

    network.replace("/userinfo", headers={"Date": "Tue, 14 Nov 2023 22:13:20 GMT"})
    assert http.get(ISSUER + "/userinfo").headers["Date"] == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_one_part_of_an_answer_can_be_changed(provider: Provider, network: Network) -> None:
    network.change("/.well-known/openid-configuration", lambda document: document | {"issuer": "other"})

    document = http.get(ISSUER + "/.well-known/openid-configuration").json()

    assert document == provider.discovery() | {"issuer": "other"}


def test_closing_the_adapter_leaves_it_usable(provider: Provider, network: Network) -> None:
    network.close()

    assert http.get(ISSUER + "/.well-known/jwks.json").ok


def test_a_client_that_authenticates_by_basic_gets_tokens(provider: Provider, network: Network) -> None:
    response = redeem(provider, basic())

    assert response.status_code == 200
    assert set(response.json()) == {"access_token", "expires_in", "id_token", "scope", "token_type"}
    assert response.headers["cache-control"] == "no-store"


def test_basic_credentials_are_form_decoded(provider: Provider, network: Network) -> None:
    raw = {"Authorization": f"Basic {base64.b64encode(f'site:{SECRET}'.encode()).decode()}"}

    assert redeem(provider, raw).status_code == 401


def test_a_client_authenticates_by_post_if_it_registered_that(provider: Provider, network: Network) -> None:
    provider.register(Client("site", SECRET, token_endpoint_auth_method="client_secret_post"))

    assert redeem(provider, client_id="site", client_secret=SECRET).status_code == 200


def test_a_public_client_names_itself(provider: Provider, network: Network) -> None:
    provider.register(Client("site", token_endpoint_auth_method="none"))

    assert redeem(provider, client_id="site").status_code == 200


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        pytest.param({}, {}, id="none at all"),
        pytest.param(basic(secret="wrong"), {}, id="wrong secret"),
        pytest.param(basic("other"), {}, id="unknown client"),
        pytest.param({"Authorization": "Basic %"}, {}, id="no base64"),
        pytest.param({"Authorization": "Basic /w=="}, {}, id="no UTF-8"),
        pytest.param({}, {"client_id": "site", "client_secret": SECRET}, id="a method that is not registered"),
        pytest.param({"Authorization": "Bearer x"}, {"client_id": "site"}, id="no secret"),
    ],
)
def test_a_client_that_fails_to_authenticate_gets_401(
    provider: Provider, network: Network, headers: dict[str, str], form: dict[str, str]
) -> None:
    response = redeem(provider, headers, **form)

    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": "refresh_token"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "ory_rt_other"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"code": None}, "invalid_request"),
        ({"code": "ory_ac_other"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"code_verifier": "v" * 43}, "invalid_grant"),
    ],
)
def test_a_token_request_with_one_error_gets_400(
    provider: Provider, network: Network, change: dict[str, Any], error: str
) -> None:
    response = redeem(provider, basic(), **change)

    assert (response.status_code, response.json()["error"]) == (400, error)


@pytest.fixture
def tokens(provider: Provider, network: Network, amber: LoginSession) -> dict[str, Any]:
    code = provider.authorize(amber, "site", redirect_uri=CALLBACK, scope="openid offline_access", nonce="n")
    return token_endpoint.exchange(provider, code, "site", redirect_uri=CALLBACK)


def refresh(tokens: dict[str, Any], headers: dict[str, str] | None = None) -> requests.Response:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    return requests.post(ISSUER + "/oauth2/token", data=form, headers=headers or basic(), timeout=5)


def revoke(token: str, headers: dict[str, str] | None = None) -> int:
    return requests.post(ISSUER + "/oauth2/revoke", data={"token": token}, headers=headers, timeout=5).status_code


def test_a_refresh_token_works_after_logout_with_the_ended_sid(
    provider: Provider, tokens: dict[str, Any], amber: LoginSession
) -> None:
    provider.end(amber.sid)

    response = refresh(tokens).json()

    assert claims_of(provider, response)["sid"] == amber.sid
    assert claims_of(provider, response)["nonce"] == "n"
    assert provider.grants.grant_of(tokens["access_token"]) is None
    assert provider.grants.grant_of(response["refresh_token"])


def test_a_reused_refresh_token_revokes_its_later_tokens(provider: Provider, tokens: dict[str, Any]) -> None:
    new = refresh(tokens).json()

    assert refresh(tokens).json()["error"] == "invalid_grant"

    assert provider.grants.grant_of(new["access_token"]) is provider.grants.grant_of(new["refresh_token"]) is None


def test_another_client_cannot_refresh(provider: Provider, tokens: dict[str, Any]) -> None:
    provider.register(Client("other", "secret"))

    assert refresh(tokens, basic("other", "secret")).json()["error"] == "invalid_grant"
    assert provider.grants.grant_of(tokens["refresh_token"])


def test_a_client_without_the_grant_cannot_refresh_and_gets_no_refresh_token(
    provider: Provider, network: Network, tokens: dict[str, Any], amber: LoginSession
) -> None:
    provider.register(Client("site", SECRET, grant_types=["authorization_code"]))
    code = provider.authorize(amber, "site", redirect_uri=CALLBACK, scope="openid offline_access")

    assert "refresh_token" not in token_endpoint.exchange(provider, code, "site", redirect_uri=CALLBACK)
    assert refresh(tokens).json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_revoking_one_token_revokes_the_other(provider: Provider, tokens: dict[str, Any], which: str) -> None:
    assert revoke(tokens[which], basic()) == 200

    assert provider.grants.grant_of(tokens["access_token"]) is provider.grants.grant_of(tokens["refresh_token"]) is None


def test_revoking_another_clients_token_answers_200_and_changes_nothing(
    provider: Provider, tokens: dict[str, Any]
) -> None:
    provider.register(Client("other", "secret"))

    assert revoke(tokens["refresh_token"], basic("other", "secret")) == 200
    assert revoke("unknown", basic()) == 200

    assert provider.grants.grant_of(tokens["refresh_token"])


def test_revocation_needs_a_client(provider: Provider, tokens: dict[str, Any]) -> None:
    assert revoke(tokens["access_token"]) == 400
    assert revoke(tokens["access_token"], basic(secret="wrong")) == 401

    assert provider.grants.grant_of(tokens["access_token"])


def claims_of(provider: Provider, response: dict[str, Any]) -> dict[str, Any]:
    return verified_claims(response["id_token"], provider.keys[0])


def test_userinfo_refuses_a_refresh_token(provider: Provider, tokens: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {tokens['refresh_token']}"}

    assert http.get(ISSUER + "/userinfo", headers).status == 401


def test_userinfo_accepts_an_access_token(provider: Provider, network: Network, amber: LoginSession) -> None:
    token = redeem(provider, basic()).json()["access_token"]

    assert http.get(ISSUER + "/userinfo", {"Authorization": f"Bearer {token}"}).json() == {"sub": "amber"}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer ory_at_x"}, {"Authorization": "Basic x"}])
def test_userinfo_without_a_known_access_token_gets_401(
    provider: Provider, network: Network, headers: dict[str, str]
) -> None:
    answer = http.get(ISSUER + "/userinfo", headers)

    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
