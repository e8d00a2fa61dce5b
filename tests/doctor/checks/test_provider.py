"""The section ``provider``: each row turns red for each fault of the provider or the network."""

import json
import time
from dataclasses import asdict
from email.utils import formatdate
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from django_ory_logout import conf
from django_ory_logout.doctor.checks import provider as checks
from django_ory_logout.doctor.findings import NotKnown
from django_ory_logout.doctor.targets import FetchResult, ProviderTarget
from django_ory_logout.http import Response
from django_ory_logout.testing import Network, Provider

from ...conftest import Clock, Configure
from ..conftest import DISCOVERY, looked, red, row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("healthy")]

JWKS = "/.well-known/jwks.json"
REST = ("issuer", "endpoints", "algorithm", "keys", "clock", "logout")
#: Rows that follow when there is no discovery document.
UNREAD: dict[str, list[str]] = {f"provider.{name}": ["unknown"] for name in REST if name != "clock"}


def test_a_healthy_set_up_is_green() -> None:
    assert red() == {}


def test_each_document_is_fetched_once(network: Network) -> None:
    looked("provider")

    assert [call.url.removeprefix("https://op.example") for call in network.calls] == [DISCOVERY, JWKS]


def test_two_registrations_at_one_issuer_share_its_documents(network: Network, settings: Any) -> None:
    entry = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    providers = {"default": entry, "other": {**entry, "CLIENT_ID": "other-site"}}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": providers}

    assert [finding.about for finding in looked("provider.keys")["provider.keys"]] == ["default", "other"]
    assert len(network.calls) == 2
    assert [finding.about for finding in looked("provider.keys", alias="other")["provider.keys"]] == ["other"]


# provider.discovery


@pytest.mark.parametrize("fault", ["down", "slow"])
def test_a_missing_discovery_answer_turns_red(network: Network, fault: str) -> None:
    getattr(network, fault)()

    assert red() == {"provider.discovery": ["fail"], **UNREAD, "provider.clock": ["unknown"]}
    assert {finding.found for name in REST for finding in looked("provider")[f"provider.{name}"]} == {
        "See provider.discovery."
    }
    found = {"down": "ConnectionError", "slow": "ReadTimeout"}[fault]
    assert row("provider.discovery").found == f"https://op.example{DISCOVERY} does not answer: unreachable ({found})."


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 404}, "answers 404"),
        ({"status": 200, "body": b"<html>"}, "is not a JSON object"),
        ({"status": 200, "body": b"[]"}, "is not a JSON object"),
        (
            {"status": 301, "headers": {"Location": "https://name:secret@sso.example/x?code=secret"}},
            "redirects (301) to https://***@sso.example/x.",
        ),
    ],
)
def test_a_wrong_discovery_answer_turns_red(network: Network, answer: dict[str, Any], words: str) -> None:
    network.replace(DISCOVERY, **answer)

    assert red() == {"provider.discovery": ["fail"], **UNREAD}
    assert words in row("provider.discovery").found
    assert "secret" not in row("provider.discovery").found


def test_the_password_of_an_issuer_is_not_shown(network: Network, configure: Configure) -> None:
    configure(ISSUER="https://name:secret@op.example")

    assert not any(
        "secret" in text for rows in looked().values() for finding in rows for text in asdict(finding).values()
    )


# provider.issuer


@pytest.mark.parametrize("named", ["https://op.example/", "https://OP.example", None, 7, "x" * 1000])
def test_another_issuer_turns_red(provider: Provider, named: Any) -> None:
    provider.metadata["issuer"] = named

    assert red() == {"provider.issuer": ["fail"]}
    assert len(row("provider.issuer").found) < 250


def test_code_that_needs_the_whole_document_names_the_row(provider: Provider) -> None:
    target = ProviderTarget(conf.get().providers["default"])
    assert target.metadata.issuer == "https://op.example"

    provider.metadata["issuer"] = "https://op.example/"
    with pytest.raises(NotKnown, match=r"See provider\.issuer\."):
        _ = ProviderTarget(conf.get().providers["default"]).metadata
    with pytest.raises(NotKnown, match="No HYDRA"):
        _ = target.hydra


# provider.endpoints


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"token_endpoint": None}, "token_endpoint is not an http(s) URL"),
        ({"authorization_endpoint": "/oauth2/auth"}, "authorization_endpoint is not an http(s) URL"),
        ({"end_session_endpoint": 7}, "end_session_endpoint is not an http(s) URL"),
        ({"userinfo_endpoint": "http://op.example/userinfo"}, "userinfo_endpoint is not https, yet the issuer is"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri is not an http(s) URL"),
    ],
)
def test_endpoints_that_cannot_be_used_turn_red(provider: Provider, changed: dict[str, Any], words: str) -> None:
    provider.metadata |= changed

    assert red() == {"provider.endpoints": ["fail"], "provider.keys": ["unknown"]}
    assert row("provider.endpoints").found == words
    assert row("provider.keys").found == "See provider.endpoints."


@pytest.mark.parametrize(
    "changed",
    [
        {"end_session_endpoint": None},
        {"end_session_endpoint": "https://hydra.internal/logout"},
        {"authorization_endpoint": "https://op.example:4444/oauth2/auth"},
    ],
)
def test_endpoints_that_browsers_may_not_reach_warn(provider: Provider, changed: dict[str, Any]) -> None:
    provider.metadata |= changed

    assert red() == {"provider.endpoints": ["warn"]}


def test_two_endpoint_faults_are_two_rows(provider: Provider) -> None:
    provider.metadata |= {"end_session_endpoint": "", "authorization_endpoint": "https://other.example/"}

    assert red() == {"provider.endpoints": ["warn", "warn"]}


def test_endpoints_that_only_the_site_calls_may_have_another_host(provider: Provider) -> None:
    provider.metadata |= {"token_endpoint": "https://api.example/token", "revocation_endpoint": None}

    assert red() == {}
    assert row("provider.endpoints").found == "Pages for browsers are on op.example. On other hosts: token_endpoint."


def test_a_standard_port_is_the_same_host(provider: Provider) -> None:
    provider.metadata["end_session_endpoint"] = "https://OP.example:443/logout"

    assert red() == {}
    assert row("provider.endpoints").found == "All are on op.example."


# provider.algorithm


@pytest.mark.parametrize(
    ("offered", "verdict"), [(["ES256", "none"], "fail"), ([], "fail"), (None, "unknown"), ("RS256", "unknown")]
)
def test_an_algorithm_that_is_not_offered_is_reported(provider: Provider, offered: Any, verdict: str) -> None:
    provider.metadata["id_token_signing_alg_values_supported"] = offered

    assert red() == {"provider.algorithm": [verdict]}


@pytest.mark.usefixtures("encrypted")
def test_encryption_algorithms_are_compared(provider: Provider) -> None:
    field = "id_token_encryption_alg_values_supported"
    provider.metadata |= {field: ["RSA-OAEP-256"], "id_token_encryption_enc_values_supported": ["A128CBC-HS256"]}
    assert red() == {}
    assert len(looked("provider.algorithm")["provider.algorithm"]) == 3

    provider.metadata[field] = ["ECDH-ES"]
    assert red() == {"provider.algorithm": ["pass", "fail", "pass"]}


# provider.keys


def test_keys_that_cannot_be_fetched_turn_red(network: Network) -> None:
    network.down(JWKS)

    assert red() == {"provider.keys": ["fail"]}
    assert row("provider.keys").found == f"https://op.example{JWKS} cannot be read: unreachable (ConnectionError)."


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, b"{}", "status 404"),
        (200, b"<html>", "not_json (NotJSON)"),
        (200, b"{}", "jwks_invalid"),
    ],
)
def test_keys_that_cannot_be_read_turn_red(network: Network, status: int, body: bytes, reason: str) -> None:
    network.replace(JWKS, body, status=status)

    assert red() == {"provider.keys": ["fail"]}
    assert row("provider.keys").found == f"https://op.example{JWKS} cannot be read: {reason}."


def jwk(key: Any, **changes: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **changes}


RSA, EC = RSAKey.generate_key(2048), ECKey.generate_key("P-256")


@pytest.mark.parametrize(
    "published",
    [
        [],
        [jwk(EC)],
        [jwk(RSA, use="enc")],
        [jwk(RSA, alg="PS256")],
        [jwk(RSA, key_ops=["encrypt"])],
        [{"kty": "oct", "k": "c2VjcmV0"}],
    ],
    ids=["none", "kty", "use", "alg", "key_ops", "a secret"],
)
def test_a_key_set_without_a_usable_key_turns_red(network: Network, published: list[Any]) -> None:
    network.replace(JWKS, json.dumps({"keys": published}).encode())

    assert red() == {"provider.keys": ["fail"]}


def test_usable_keys_are_counted(network: Network) -> None:
    network.replace(JWKS, json.dumps({"keys": [jwk(RSA), jwk(RSA, kid="2"), jwk(EC), "?"]}).encode())

    assert row("provider.keys").found == "2 keys fit RS256."


def test_a_symmetric_algorithm_needs_no_published_key(
    provider: Provider, configure: Configure, network: Network
) -> None:
    configure(ID_TOKEN_SIGNED_RESPONSE_ALG="HS256", CLIENT_SECRET="x" * 32)
    provider.metadata["id_token_signing_alg_values_supported"] = ["HS256"]
    network.down(JWKS)

    assert red() == {}


# provider.clock


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [(-70, "fail", "ahead of"), (-20, "warn", "ahead of"), (20, "warn", "behind"), (70, "fail", "behind")],
)
def test_clocks_that_differ_are_reported(
    network: Network, provider: Provider, ahead: float, verdict: str, words: str
) -> None:
    date = formatdate(time.time() + ahead, usegmt=True)
    network.replace(DISCOVERY, json.dumps(provider.discovery()).encode(), headers={"Date": date})

    assert red() == {"provider.clock": [verdict]}
    assert words in row("provider.clock").found
    assert "-" not in row("provider.clock").found


@pytest.mark.parametrize(
    "headers", [{"Date": ""}, {"Date": "yesterday"}, {"Date": "Mon, 99 Foo 2026"}, {"Age": "young"}]
)
def test_a_date_that_cannot_be_read_is_unknown(network: Network, provider: Provider, headers: dict[str, str]) -> None:
    network.replace(DISCOVERY, json.dumps(provider.discovery()).encode(), headers=headers)

    assert red() == {"provider.clock": ["unknown"]}


DATE = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "asked_at", "came_at", "ahead"),
    [
        ({}, DATE, DATE, 0),
        ({}, DATE - 3, DATE + 14, 0),  # a slow answer does not count as a clock difference
        ({}, DATE + 0.9, DATE + 0.9, 0),  # Date has whole seconds
        ({}, DATE + 31, DATE + 32, 30),
        ({}, DATE - 32, DATE - 30, -30),
        ({"Age": "600"}, DATE + 600, DATE + 600, 0),  # a copy from a cache
        ({"Date": "Tue, 14 Nov 2023 22:13:20 -0000"}, DATE, DATE, 0),
    ],
)
def test_the_clock_difference_is_computed(
    headers: dict[str, str], asked_at: float, came_at: float, ahead: float
) -> None:
    answer = {"Date": "Tue, 14 Nov 2023 22:13:20 GMT", **headers}
    fetched = FetchResult(Response(200, answer, b""), asked_at, came_at)

    assert checks._ahead(fetched, checks._date(answer)) == ahead


def test_the_time_of_other_rows_does_not_count_as_clock_difference(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_arguments: Any) -> list[int]:
        clock.advance(100)
        return [1]

    monkeypatch.setattr(checks, "matching_keys", slow)

    assert red("provider") == {}


# provider.logout


@pytest.mark.parametrize(
    ("missing", "verdict"),
    [
        ({"backchannel_logout_session_supported", "frontchannel_logout_supported"}, "pass"),
        ({"backchannel_logout_supported"}, "warn"),
        ({"backchannel_logout_supported", "frontchannel_logout_session_supported"}, "warn"),
        (set(checks.LOGOUT), "warn"),
    ],
)
def test_missing_logout_metadata_is_reported(provider: Provider, missing: set[str], verdict: str) -> None:
    provider.metadata |= dict.fromkeys(missing, False)

    assert row("provider.logout").verdict == verdict
    assert set(red()) == ({"provider.logout"} if verdict == "warn" else set())


def test_hydra_always_announces_logout(configure: Configure) -> None:
    assert row("provider.logout").found == "Back channel and front channel, with sid."

    configure(HYDRA={"ADMIN_URL": "http://hydra:4445"})
    assert row("provider.logout").found.startswith("All of them. Hydra always announces all")
