"""The metadata of a provider is read into values or refused."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key

from django_ory_logout.exceptions import SetupError
from django_ory_logout.oidc.metadata import ProviderMetadata, Registration, is_web_url, origin, parse_jwks
from django_ory_logout.testing.hydra.keys import public_jwk

from .samples import ABSENT, CLIENT_ID, CLIENT_SECRET, ISSUER, anything, changed, objects, refused

DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/oauth2/auth",
    "token_endpoint": f"{ISSUER}/oauth2/token",
    "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "end_session_endpoint": f"{ISSUER}/oauth2/sessions/logout",
    "authorization_response_iss_parameter_supported": True,
}
REQUIRED = ["authorization_endpoint", "token_endpoint", "jwks_uri"]
OPTIONAL = ["userinfo_endpoint", "end_session_endpoint"]


# Registration


@pytest.mark.parametrize("issuer", ["https://op.example", "https://op.example/"])
def test_discovery_url_has_one_slash(issuer: str) -> None:
    assert Registration(issuer, CLIENT_ID).discovery_url == "https://op.example/.well-known/openid-configuration"


def test_discovery_url_of_an_issuer_with_a_path() -> None:
    registration = Registration("https://op.example/realms/one", CLIENT_ID)

    assert registration.discovery_url == "https://op.example/realms/one/.well-known/openid-configuration"


def test_registration_hides_its_secrets_from_its_repr() -> None:
    key = ECKey.generate_key("P-256")

    shown = repr(Registration(ISSUER, CLIENT_ID, CLIENT_SECRET, decryption_key=key))

    assert CLIENT_SECRET not in shown
    assert "decryption_key" not in shown


# Discovery


def test_document_yields_its_values() -> None:
    assert ProviderMetadata.parse(DOCUMENT, ISSUER) == ProviderMetadata(**DOCUMENT)


def test_unknown_members_are_ignored() -> None:
    assert ProviderMetadata.parse({**DOCUMENT, "a member": {"deep": []}}, ISSUER) == ProviderMetadata(**DOCUMENT)


@pytest.mark.parametrize("issuer", [ABSENT, None, "", f"{ISSUER}/", ISSUER.upper(), [ISSUER], f" {ISSUER}"])
def test_the_issuer_must_be_identical_byte_for_byte(issuer: Any) -> None:
    with refused(SetupError, "issuer_mismatch"):
        ProviderMetadata.parse(changed(DOCUMENT, {"issuer": issuer}), ISSUER)


@pytest.mark.parametrize("name", REQUIRED + OPTIONAL)
@pytest.mark.parametrize(
    "value",
    ["/oauth2", "op.example", "javascript:alert(1)", "https://", "http://op.example/", 7, ["https://op.example"]],
)
def test_an_unusable_endpoint_is_refused(name: str, value: Any) -> None:
    with refused(SetupError, "metadata_invalid"):
        ProviderMetadata.parse({**DOCUMENT, name: value}, ISSUER)


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [ABSENT, None, ""])
def test_a_missing_endpoint_is_refused(name: str, value: Any) -> None:
    with refused(SetupError, "metadata_invalid"):
        ProviderMetadata.parse(changed(DOCUMENT, {name: value}), ISSUER)


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("value", [ABSENT, None, ""])
def test_optional_endpoints_may_be_missing(name: str, value: Any) -> None:
    assert getattr(ProviderMetadata.parse(changed(DOCUMENT, {name: value}), ISSUER), name) is None


def test_an_http_endpoint_needs_an_http_issuer() -> None:
    document = {**DOCUMENT, "token_endpoint": "http://127.0.0.1:4444/oauth2/token"}

    with refused(SetupError, "metadata_invalid"):
        ProviderMetadata.parse({**document, "issuer": "HTTPS://op.example"}, "HTTPS://op.example")
    parsed = ProviderMetadata.parse({**document, "issuer": "http://127.0.0.1:4444"}, "http://127.0.0.1:4444")
    assert parsed.token_endpoint == "http://127.0.0.1:4444/oauth2/token"


@pytest.mark.parametrize("value", [ABSENT, None, False, "true", 1])
def test_only_true_announces_iss_in_responses(value: Any) -> None:
    name = "authorization_response_iss_parameter_supported"

    assert ProviderMetadata.parse(changed(DOCUMENT, {name: value}), ISSUER) == ProviderMetadata(
        **{**DOCUMENT, name: False}
    )


@settings(max_examples=150)
@given(objects, st.dictionaries(st.sampled_from(list(DOCUMENT)), anything, max_size=3))
def test_any_document_is_a_value_or_refused(others: dict[str, Any], change: dict[str, Any]) -> None:
    try:
        parsed = ProviderMetadata.parse({**others, **DOCUMENT, **change}, ISSUER)
    except SetupError:
        return
    assert parsed.issuer == ISSUER
    assert all(is_web_url(getattr(parsed, name)) for name in REQUIRED)


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "https://op.example",
        "http://127.0.0.1:4444/path?query#fragment",
        "http://[::1]:4444",
        "HTTPS://OP.example",
        "https://öp.example/ä",
    ],
)
def test_web_urls_are_accepted(url: str) -> None:
    assert is_web_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "op.example",
        "//op.example",
        "/path",
        "https:op.example",
        "https:/op.example",
        "https://",
        "https:///path",
        "https://:443",
        "https://somebody@",
        "ftp://op.example",
        "javascript://op.example/%0aalert(1)",
        "https://op.example:0",
        "https://op.example:65536",
        "https://op.example:port",
        "https://[::1",
        "https://[op.example]",
        "https://op.example /",
        " https://op.example",
        "https://op.example\n",
        "https://op\t.example",
        "https:\\\\op.example",
        "https://op.example\\@another.example",
        "https://op.example\uff0fpath",
        "https://op.example\0",
        "https://\ud800",
        "https://op.example/\u200b",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    assert not is_web_url(url)


@settings(max_examples=200)
@given(
    st.text()
    | st.builds("{}://{}{}".format, st.sampled_from(["http", "https", "HTTP", "ftp"]), st.text(), st.text())
    | st.text("htps:/@.[]#?%\\0 \t").map("https://".__add__)
)
def test_any_text_is_a_web_url_or_not(text: str) -> None:
    assert not is_web_url(text) or text.lower().startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://op.example", "https://op.example"),
        ("https://op.example:8443/path?query#fragment", "https://op.example:8443"),
        ("http://[::1]:4444/", "http://[::1]:4444"),
    ],
)
def test_the_origin_of_a_url_is_found(url: str, expected: str) -> None:
    assert origin(url) == expected


# JWK Sets


def test_keys_are_read(signing_key: Key) -> None:
    assert [key.kid for key in parse_jwks({"keys": [public_jwk(signing_key)]})] == [signing_key.kid]


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "[]"}])
def test_other_documents_are_no_key_set(document: dict[str, Any]) -> None:
    with refused(SetupError, "jwks_invalid"):
        parse_jwks(document)


@pytest.mark.parametrize(
    "member",
    [
        None,
        "key",
        [],
        {},
        {"kty": "unknown"},
        {"kty": ["RSA"]},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "oct", "k": "YSBzZWNyZXQgdGhhdCBpcyBwdWJsaXNoZWQgaXMgbm9uZQ"},
    ],
)
def test_an_unusable_key_is_ignored(member: Any, signing_key: Key) -> None:
    good = public_jwk(signing_key)

    assert [key.kid for key in parse_jwks({"keys": [member, good, member]})] == [signing_key.kid]


@settings(max_examples=150, deadline=None)
@given(
    objects
    | st.fixed_dictionaries({"keys": anything})
    | st.fixed_dictionaries(
        {
            "keys": st.lists(
                st.dictionaries(st.sampled_from(["kty", "kid", "use", "alg", "n", "e", "x", "y", "crv", "k"]), anything)
                | st.fixed_dictionaries(
                    {"kty": st.sampled_from(["RSA", "EC", "OKP", "oct"])},
                    optional={
                        name: st.text("AQgwe30_-") | anything for name in ("n", "e", "d", "x", "y", "key_ops", "use")
                    }
                    | {"crv": st.sampled_from(["P-256", "Ed25519", "X25519", "?"])},
                ),
                max_size=3,
            )
        }
    )
)
def test_any_key_set_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        keys = parse_jwks(document)
    except SetupError:
        keys = []
    assert all(key.key_type != "oct" for key in keys)
