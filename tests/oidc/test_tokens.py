"""Each rejection: a valid token with one change, and the code of that change."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey, Key, OctKey, RSAKey
from joserfc.util import json_b64decode, json_b64encode, urlsafe_b64encode

from django_ory_logout.doctor.checks.history_refusals import SIGNED
from django_ory_logout.exceptions import InvalidToken, ProviderUnavailable
from django_ory_logout.oidc.jose import MAX_TOKEN_LENGTH
from django_ory_logout.oidc.metadata import Registration
from django_ory_logout.oidc.tokens import (
    BACKCHANNEL_LOGOUT_EVENT,
    IDToken,
    LogoutToken,
    unverified_recipient,
    verify_id_token,
    verify_logout_token,
)
from django_ory_logout.testing import LoginSession, Provider
from django_ory_logout.testing.hydra import keys as new_keys
from django_ory_logout.testing.hydra.tokens import compact, encrypt, sign

from .samples import (
    ABSENT,
    CLIENT_ID,
    CLIENT_SECRET,
    ISSUER,
    NOW,
    anything,
    changed,
    objects,
    public,
    refused,
    sign_bytes,
)

NONCE = "the nonce of this sign-in"
ACCESS_TOKEN = "ory_at_of_this_sign-in"
SESSION = LoginSession("session-1", "amber", auth_time=NOW)
REGISTRATION = Registration(ISSUER, CLIENT_ID, CLIENT_SECRET)
DAY = 24 * 60 * 60

Verify = Callable[..., Any]

ES_KEY = ECKey.generate_key("P-256", {"kid": "es", "alg": "ES256"})
ES_REGISTRATION = replace(REGISTRATION, id_token_signed_response_alg="ES256")
SEALED_KEY = ECKey.generate_key("P-256")
SEALED_REGISTRATION = replace(
    ES_REGISTRATION, id_token_encrypted_response_alg="ECDH-ES+A128KW", decryption_key=SEALED_KEY
)
VALID_CLAIMS = {
    "iss": ISSUER,
    "aud": CLIENT_ID,
    "exp": NOW + 60,
    "iat": NOW,
    "jti": "one",
    "sub": "amber",
    "events": {BACKCHANNEL_LOGOUT_EVENT: {}},
}
VALID_TOKEN = sign(VALID_CLAIMS, ES_KEY)
VALID_SEALED = encrypt(VALID_TOKEN, SEALED_KEY, alg="ECDH-ES+A128KW", enc="A128CBC-HS256")


@pytest.fixture
def id_claims(issuer: Provider) -> dict[str, Any]:
    """The claims of a valid ID token."""
    return issuer.id_token_claims(SESSION, CLIENT_ID, nonce=NONCE, access_token=ACCESS_TOKEN)


@pytest.fixture
def logout_claims(issuer: Provider) -> dict[str, Any]:
    """The claims of a valid logout token with ``sub`` and ``sid``."""
    return issuer.logout_token_claims(CLIENT_ID, sid="session-1", sub="amber")


def id_token(
    token: str,
    *keys: Key,
    registration: Registration = REGISTRATION,
    access_token: str | None = ACCESS_TOKEN,
    now: float = NOW,
) -> IDToken:
    """Verify like the answer of the token endpoint, with the public parts of ``keys``."""
    published = [public(key) for key in keys]
    return verify_id_token(token, registration, lambda kid: published, nonce=NONCE, access_token=access_token, now=now)


def logout_token(
    token: str, *keys: Key, registration: Registration = REGISTRATION, exp_required: bool = False, now: float = NOW
) -> LogoutToken:
    """Verify like a back-channel notice, with the public parts of ``keys``."""
    published = [public(key) for key in keys]
    return verify_logout_token(token, registration, lambda kid: published, now=now, exp_required=exp_required)


# Values of valid tokens


def test_an_id_token_gives_its_values(issuer: Provider, id_claims: dict[str, Any], signing_key: Key) -> None:
    token = issuer.sign(id_claims)

    assert id_token(token, signing_key) == IDToken(ISSUER, "amber", "session-1", NOW, id_claims, token)


def test_a_logout_token_gives_its_values(issuer: Provider, logout_claims: dict[str, Any], signing_key: Key) -> None:
    verified = logout_token(issuer.sign(logout_claims), signing_key)

    assert verified == LogoutToken(ISSUER, "amber", "session-1", NOW, logout_claims["jti"])


@pytest.mark.parametrize(("left_out", "subject", "sid"), [("sub", None, "session-1"), ("sid", "amber", None)])
def test_a_logout_token_may_name_only_sub_or_sid(
    left_out: str,
    subject: str | None,
    sid: str | None,
    issuer: Provider,
    logout_claims: dict[str, Any],
    signing_key: Key,
) -> None:
    verified = logout_token(issuer.sign(changed(logout_claims, {left_out: ABSENT})), signing_key)

    assert (verified.subject, verified.sid) == (subject, sid)


def test_values_hide_the_token_from_their_repr(issuer: Provider, id_claims: dict[str, Any], signing_key: Key) -> None:
    token = issuer.sign(id_claims)

    shown = repr(id_token(token, signing_key))

    assert token not in shown
    assert NONCE not in shown


# Claims in both kinds of tokens, with the same rejections


NOT_NUMBERS: list[Any] = [
    "1",
    None,
    True,
    False,
    [],
    {},
    10**400,
    -(10**400),
    1e300,
]
SHARED_REJECTIONS: list[tuple[str, dict[str, Any]]] = [
    ("iss_mismatch", {"iss": ABSENT}),
    ("iss_mismatch", {"iss": f"{ISSUER}/"}),
    ("iss_mismatch", {"iss": ISSUER.upper()}),
    ("iss_mismatch", {"iss": [ISSUER]}),
    ("aud_mismatch", {"aud": ABSENT}),
    ("aud_mismatch", {"aud": []}),
    ("aud_mismatch", {"aud": ["another-site"]}),
    ("aud_mismatch", {"aud": f"{CLIENT_ID}-2"}),
    ("aud_invalid", {"aud": None}),
    ("aud_invalid", {"aud": 7}),
    ("aud_invalid", {"aud": [CLIENT_ID, None]}),
    ("aud_invalid", {"aud": [CLIENT_ID, 7]}),
    ("aud_invalid", {"aud": [None, CLIENT_ID]}),
    ("aud_invalid", {"aud": [[CLIENT_ID]]}),
    ("aud_invalid", {"aud": {CLIENT_ID: True}}),
    ("expired", {"exp": NOW - 60}),
    ("expired", {"exp": 0}),
    *[("exp_invalid", {"exp": value}) for value in NOT_NUMBERS],
    ("iat_missing", {"iat": ABSENT}),
    ("iat_too_old", {"iat": NOW - DAY - 1}),
    ("iat_too_old", {"iat": -1}),
    *[("iat_invalid", {"iat": value}) for value in NOT_NUMBERS],
    ("sub_invalid", {"sub": ""}),
    ("sub_invalid", {"sub": 7}),
    ("sub_invalid", {"sub": ["amber"]}),
    ("sub_invalid", {"sub": "a" * 256}),
    ("sub_invalid", {"sub": "ämber"}),
    ("sub_invalid", {"sub": "amber\0"}),
    ("sub_invalid", {"sub": "amber\n"}),
    ("sub_invalid", {"sub": "\ud800"}),
    ("sid_invalid", {"sid": ""}),
    ("sid_invalid", {"sid": 7}),
    ("sid_invalid", {"sid": ["session-1"]}),
    ("sid_invalid", {"sid": "session\0"}),
    ("sid_invalid", {"sid": "\udfff"}),
]


@pytest.mark.parametrize(("code", "change"), SHARED_REJECTIONS)
@pytest.mark.parametrize(("kind", "verify"), [("id", id_token), ("logout", logout_token)])
def test_both_kinds_are_refused(
    kind: str,
    verify: Verify,
    code: str,
    change: dict[str, Any],
    issuer: Provider,
    id_claims: dict[str, Any],
    logout_claims: dict[str, Any],
    signing_key: Key,
) -> None:
    claims = id_claims if kind == "id" else logout_claims

    with refused(InvalidToken, code):
        verify(issuer.sign(changed(claims, change)), signing_key)


# ID tokens (Core 3.1.3.7)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("azp_missing", {"aud": [CLIENT_ID, "another-site"]}),
        ("azp_mismatch", {"azp": "another-site"}),
        ("azp_mismatch", {"azp": [CLIENT_ID]}),
        ("azp_mismatch", {"aud": [CLIENT_ID, "another-site"], "azp": "another-site"}),
        ("exp_missing", {"exp": ABSENT}),
        ("not_yet_valid", {"nbf": NOW + 61}),
        *[("nbf_invalid", {"nbf": value}) for value in NOT_NUMBERS],
        ("iat_ahead", {"iat": NOW + 61}),
        ("nonce_mismatch", {"nonce": ABSENT}),
        ("nonce_mismatch", {"nonce": None}),
        ("nonce_mismatch", {"nonce": ""}),
        ("nonce_mismatch", {"nonce": f"{NONCE} "}),
        ("nonce_mismatch", {"nonce": [NONCE]}),
        ("at_hash_mismatch", {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
        ("at_hash_mismatch", {"at_hash": ""}),
        ("at_hash_mismatch", {"at_hash": 7}),
        ("sub_invalid", {"sub": ABSENT}),
        ("sub_invalid", {"sub": None}),
    ],
)
def test_an_id_token_is_refused(
    code: str, change: dict[str, Any], issuer: Provider, id_claims: dict[str, Any], signing_key: Key
) -> None:
    with refused(InvalidToken, code):
        id_token(issuer.sign(changed(id_claims, change)), signing_key)


@pytest.mark.parametrize(
    "change",
    [
        {"aud": CLIENT_ID},
        {"aud": [CLIENT_ID], "azp": CLIENT_ID},
        {"aud": [CLIENT_ID, "another-site"], "azp": CLIENT_ID},
        {"exp": NOW - 59},
        {"nbf": NOW + 60},
        {"iat": NOW + 60},
        {"iat": NOW - DAY},
        {"iat": NOW - 0.5},
        {"sub": "a" * 255},
        {"at_hash": ABSENT},
        {"at_hash": None},
        {"an unknown claim": [{"deep": None}]},
    ],
)
def test_an_id_token_is_accepted(
    change: dict[str, Any], issuer: Provider, id_claims: dict[str, Any], signing_key: Key
) -> None:
    claims = changed(id_claims, change)

    assert id_token(issuer.sign(claims), signing_key).claims == claims


@pytest.mark.parametrize("sid", [None, ABSENT])
def test_missing_sid_of_an_id_token_is_none(
    sid: Any, issuer: Provider, id_claims: dict[str, Any], signing_key: Key
) -> None:
    assert id_token(issuer.sign(changed(id_claims, {"sid": sid})), signing_key).sid is None


def test_at_hash_needs_an_access_token(issuer: Provider, id_claims: dict[str, Any], signing_key: Key) -> None:
    token = issuer.sign(changed(id_claims, {"at_hash": "of another"}))

    assert id_token(token, signing_key, access_token=None).subject == "amber"


def test_at_hash_is_not_compared_if_the_algorithm_defines_no_hash(id_claims: dict[str, Any]) -> None:
    key = new_keys.signing_key("Ed25519")
    registration = replace(REGISTRATION, id_token_signed_response_alg="Ed25519")

    assert id_token(sign(id_claims, key), key, registration=registration).subject == "amber"


# Logout tokens (Back-Channel Logout 2.4 and 2.6)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("jti_missing", {"jti": ABSENT}),
        ("jti_missing", {"jti": None}),
        ("jti_invalid", {"jti": ""}),
        ("jti_invalid", {"jti": 7}),
        ("jti_invalid", {"jti": "one\0"}),
        ("iat_ahead", {"iat": NOW + 10 * 60 + 1}),
        ("events_missing", {"events": ABSENT}),
        ("events_missing", {"events": None}),
        ("events_missing", {"events": {}}),
        ("events_missing", {"events": [BACKCHANNEL_LOGOUT_EVENT]}),
        ("events_missing", {"events": BACKCHANNEL_LOGOUT_EVENT}),
        ("events_missing", {"events": {"http://schemas.openid.net/event/another": {}}}),
        ("events_invalid", {"events": {BACKCHANNEL_LOGOUT_EVENT: None}}),
        ("events_invalid", {"events": {BACKCHANNEL_LOGOUT_EVENT: []}}),
        ("events_invalid", {"events": {BACKCHANNEL_LOGOUT_EVENT: "{}"}}),
        ("nonce_present", {"nonce": NONCE}),
        ("nonce_present", {"nonce": None}),
        ("sub_and_sid_missing", {"sub": ABSENT, "sid": ABSENT}),
        ("sub_and_sid_missing", {"sub": None, "sid": None}),
    ],
)
def test_a_logout_token_is_refused(
    code: str, change: dict[str, Any], issuer: Provider, logout_claims: dict[str, Any], signing_key: Key
) -> None:
    with refused(InvalidToken, code):
        logout_token(issuer.sign(changed(logout_claims, change)), signing_key)
    assert code in SIGNED  # the doctor says that the signature was valid


@pytest.mark.parametrize(
    "change",
    [
        {"aud": CLIENT_ID},
        {"aud": ["another-site", CLIENT_ID]},
        {"azp": "another-site"},
        {"exp": NOW - 59},
        {"iat": NOW + 10 * 60},
        {"iat": NOW - DAY},
        {"events": {BACKCHANNEL_LOGOUT_EVENT: {"member": 1}, "another": None}},
        {"an unknown claim": [{"deep": None}]},
    ],
)
def test_a_logout_token_is_accepted(
    change: dict[str, Any], issuer: Provider, logout_claims: dict[str, Any], signing_key: Key
) -> None:
    verified = logout_token(issuer.sign(changed(logout_claims, change)), signing_key)

    assert verified.iat == change.get("iat", NOW)


def test_exp_may_be_required(issuer: Provider, logout_claims: dict[str, Any], signing_key: Key) -> None:
    assert "exp" not in logout_claims
    with refused(InvalidToken, "exp_missing"):
        logout_token(issuer.sign(logout_claims), signing_key, exp_required=True)
    with_exp = issuer.sign({**logout_claims, "exp": NOW + 120})
    assert logout_token(with_exp, signing_key, exp_required=True).sid == "session-1"


def test_id_token_is_no_logout_token(issuer: Provider, id_claims: dict[str, Any], signing_key: Key) -> None:
    with refused(InvalidToken, "events_missing"):
        logout_token(issuer.sign(id_claims), signing_key)


def test_logout_token_is_no_id_token(issuer: Provider, logout_claims: dict[str, Any], signing_key: Key) -> None:
    with refused(InvalidToken, "nonce_mismatch"):
        id_token(issuer.sign({**logout_claims, "exp": NOW + 120}), signing_key)


# Tokens of other providers


def test_a_logout_token_of_keycloak_is_accepted(issuer: Provider, signing_key: Key) -> None:
    claims: dict[str, Any] = {
        "exp": NOW + 120,
        "iat": NOW,
        "jti": "c5ea4ad2-1ec4-4a0b-8b7c-3e5ab4b54c93",
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "sub": "f81ab4a6-c8b7-4e5f-b17a-8ed2ff53b2e4",
        "typ": "Logout",
        "sid": "DpJyCBlRg_zQBeT6BGWVJbIO",
        "events": {BACKCHANNEL_LOGOUT_EVENT: {}, "revoke_offline_access": True},
    }

    verified = logout_token(issuer.sign(claims, header={"typ": "logout+jwt"}), signing_key, exp_required=True)

    assert verified == LogoutToken(ISSUER, claims["sub"], claims["sid"], NOW, claims["jti"])


def test_a_logout_token_of_glewlwyd_is_accepted(issuer: Provider, signing_key: Key) -> None:
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "iat": NOW,
        "jti": "qmE6Z4nCMB0ixcwN",
        "sid": "Vw2bDvFvDAuYzMDr",
        "sub": "amber",
        "events": {BACKCHANNEL_LOGOUT_EVENT: {}},
    }

    verified = logout_token(issuer.sign(claims, header={"typ": "JWT"}), signing_key)

    assert verified == LogoutToken(ISSUER, "amber", claims["sid"], NOW, claims["jti"])


# Headers


@pytest.mark.parametrize("typ", ["JWT", "jwt", "logout+jwt", "application/logout+jwt", "LOGOUT+JWT", None])
def test_types_of_logout_tokens_are_accepted(
    typ: str | None, issuer: Provider, logout_claims: dict[str, Any], signing_key: Key
) -> None:
    assert logout_token(issuer.sign(logout_claims, header={"typ": typ}), signing_key).subject == "amber"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "application/jwt", None])
def test_types_of_id_tokens_are_accepted(
    typ: str | None, issuer: Provider, id_claims: dict[str, Any], signing_key: Key
) -> None:
    assert id_token(issuer.sign(id_claims, header={"typ": typ}), signing_key).subject == "amber"


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "secevent+jwt", "", "JWT "])
def test_another_type_is_refused(
    typ: str, issuer: Provider, id_claims: dict[str, Any], logout_claims: dict[str, Any], signing_key: Key
) -> None:
    with refused(InvalidToken, "typ_mismatch"):
        logout_token(issuer.sign(logout_claims, header={"typ": typ}), signing_key)
    with refused(InvalidToken, "typ_mismatch"):
        id_token(issuer.sign(id_claims, header={"typ": typ}), signing_key)


def test_the_type_of_logout_tokens_is_refused_for_id_tokens(
    issuer: Provider, id_claims: dict[str, Any], signing_key: Key
) -> None:
    with refused(InvalidToken, "typ_mismatch"):
        id_token(issuer.sign(id_claims, header={"typ": "logout+jwt"}), signing_key)


@pytest.mark.parametrize(
    "header",
    [
        {"an unknown parameter": {"deep": [None]}},
        {"jku": "https://attacker.example/jwks"},
        {"x5t": "a thumbprint", "cty": "JWT"},
        {"x5c": ["a certificate"], "x5u": "https://op.example/x5u", "jwk": {}},
        {"b64": True},
        {"padding": "x" * 20_000},
    ],
)
def test_other_headers_are_ignored(
    header: dict[str, Any], issuer: Provider, logout_claims: dict[str, Any], signing_key: Key
) -> None:
    assert logout_token(issuer.sign(logout_claims, header=header), signing_key).subject == "amber"


WRONG_HEADERS: list[tuple[str, dict[str, Any]]] = [
    ("crit_invalid", {"crit": []}),
    ("crit_invalid", {"crit": {}}),
    ("crit_invalid", {"crit": {"unknown": 1}, "unknown": 1}),
    ("crit_invalid", {"crit": 5}),
    ("crit_invalid", {"crit": "exp", "exp": NOW}),
    ("crit_invalid", {"crit": [["typ"]]}),
    ("crit_invalid", {"crit": ["exp", None], "exp": NOW}),
    ("crit_invalid", {"crit": ["exp", "exp"], "exp": NOW}),
    ("crit_invalid", {"crit": ["exp"]}),
    ("crit_invalid", {"crit": ["b64"]}),
    ("crit_invalid", {"crit": [""]}),
    *[("crit_invalid", {"crit": [name], "jku": "https://op.example/jwks"}) for name in ("alg", "kid", "typ", "jku")],
    ("crit_invalid", {"crit": ["crit"]}),
    ("crit_invalid", {"crit": ["exp", "alg"], "exp": NOW}),
    ("crit_unsupported", {"crit": ["exp"], "exp": NOW}),
    ("crit_unsupported", {"crit": ["http://openid.net/x"], "http://openid.net/x": None}),
    ("crit_unsupported", {"crit": ["b64"], "b64": True}),
    ("crit_unsupported", {"crit": ["b64"], "b64": False}),
    ("payload_unencoded", {"b64": False}),
    *[
        ("header_invalid", {name: 5})
        for name in ("kid", "typ", "cty", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "b64")
    ],
    ("header_invalid", {"kid": ["key"]}),
    ("header_invalid", {"kid": {}}),
    ("header_invalid", {"kid": True}),
    ("header_invalid", {"typ": ["JWT"]}),
    ("header_invalid", {"cty": ["JWT"]}),
    ("header_invalid", {"x5c": "a certificate"}),
    ("header_invalid", {"x5c": ["a certificate", 7]}),
    ("header_invalid", {"jku": "no URL"}),
    ("header_invalid", {"jwk": "a key"}),
]


@pytest.mark.parametrize(("code", "header"), WRONG_HEADERS)
def test_wrong_header_is_refused_before_the_signature(code: str, header: dict[str, Any]) -> None:
    def keys(kid: str | None) -> list[Key]:
        raise AssertionError("a call that anybody could make us make")

    token = compact({"alg": "RS256", "kid": "a key", "typ": "JWT", **header}, VALID_CLAIMS)
    with refused(InvalidToken, code):
        verify_logout_token(token, REGISTRATION, keys, now=NOW)
    with refused(InvalidToken, code):
        verify_id_token(token, REGISTRATION, keys, nonce=NONCE, access_token=None, now=NOW)


@pytest.mark.parametrize(("code", "header"), WRONG_HEADERS)
def test_wrong_header_of_an_encrypted_token_is_refused_before_it_is_opened(code: str, header: dict[str, Any]) -> None:
    own = {"alg": "ECDH-ES+A128KW", "enc": "A128CBC-HS256", "kid": "a key", "typ": "JWT", **header}
    token = ".".join([json_b64encode(own).decode(), *VALID_SEALED.split(".")[1:]])

    with refused(InvalidToken, code):
        logout_token(token, ES_KEY, registration=SEALED_REGISTRATION)
    with refused(InvalidToken, code):
        unverified_recipient(token, [SEALED_REGISTRATION])


@pytest.mark.parametrize("member", ["typ", "kid", "crit", "x5c"])
def test_null_has_the_wrong_type(member: str) -> None:
    token = sign_bytes({"alg": "ES256", member: None}, json.dumps(VALID_CLAIMS).encode(), ES_KEY)

    with refused(InvalidToken, "crit_invalid" if member == "crit" else "header_invalid"):
        logout_token(token, ES_KEY, registration=ES_REGISTRATION)


@pytest.mark.parametrize("kid", ["key-1", None])
def test_keys_are_requested_by_kid(kid: str | None, issuer: Provider, logout_claims: dict[str, Any]) -> None:
    asked: list[str | None] = []

    def keys(kid: str | None) -> list[Key]:
        asked.append(kid)
        return []

    with refused(InvalidToken, "signature_invalid"):
        verify_logout_token(issuer.sign(logout_claims, header={"kid": kid}), REGISTRATION, keys, now=NOW)

    assert asked == [kid]


def test_an_exception_of_keys_is_passed_on(issuer: Provider, logout_claims: dict[str, Any]) -> None:
    def keys(kid: str | None) -> list[Key]:
        raise ProviderUnavailable("cooling_down")

    with refused(ProviderUnavailable, "cooling_down"):
        verify_logout_token(issuer.sign(logout_claims), REGISTRATION, keys, now=NOW)


def test_key_in_the_header_is_not_used(
    issuer: Provider, logout_claims: dict[str, Any], signing_key: Key, foreign_key: Key
) -> None:
    forged = issuer.sign(logout_claims, key=foreign_key, header={"jwk": new_keys.public_jwk(foreign_key)})

    with refused(InvalidToken, "signature_invalid"):
        logout_token(forged, signing_key)


# Signatures


@pytest.mark.parametrize(
    ("registered", "used"),
    [("RS256", "ES256"), ("RS256", "EdDSA"), ("RS256", "RS512"), ("RS256", "PS256"), ("ES256", "RS256")],
)
def test_another_algorithm_is_refused_even_with_a_valid_signature(
    registered: str, used: str, issuer: Provider, logout_claims: dict[str, Any]
) -> None:
    key = issuer.signing_key(used if used in {"ES256", "EdDSA"} else "RS256")
    registration = replace(REGISTRATION, id_token_signed_response_alg=registered)

    with refused(InvalidToken, "alg_not_registered"):
        logout_token(sign(logout_claims, key, alg=used), *issuer.keys, registration=registration)


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "", "HS256", "rs256", ["RS256"], 7, None])
def test_alg_of_the_header_has_to_be_the_registered_one(
    alg: Any, issuer: Provider, logout_claims: dict[str, Any], signing_key: Key
) -> None:
    with refused(InvalidToken, "alg_not_registered"):
        logout_token(issuer.sign(logout_claims, header={"alg": alg}), signing_key)


def test_unsigned_token_is_refused(logout_claims: dict[str, Any], signing_key: Key) -> None:
    with refused(InvalidToken, "alg_not_registered"):
        logout_token(compact({"alg": "none"}, logout_claims), signing_key)
    with refused(InvalidToken, "signature_invalid"):
        logout_token(compact({"alg": "RS256"}, logout_claims), signing_key)


@pytest.mark.parametrize("form", ["pem", "der"])
def test_public_key_is_no_hmac_secret(
    form: str, issuer: Provider, logout_claims: dict[str, Any], signing_key: Any
) -> None:
    secret = signing_key.as_pem(private=False) if form == "pem" else signing_key.as_der(private=False)
    forged = sign(logout_claims, OctKey(secret, secret), alg="HS256")

    with refused(InvalidToken, "alg_not_registered"):
        logout_token(forged, signing_key)


def test_no_key_is_requested_if_the_algorithm_is_wrong(logout_claims: dict[str, Any]) -> None:
    def keys(kid: str | None) -> list[Key]:
        raise AssertionError("a call that anybody could make us make")

    with refused(InvalidToken, "alg_not_registered"):
        verify_logout_token(compact({"alg": "none"}, logout_claims), REGISTRATION, keys, now=NOW)


def test_foreign_signature_is_refused(
    issuer: Provider, logout_claims: dict[str, Any], signing_key: Key, foreign_key: Key
) -> None:
    forged = issuer.sign(logout_claims, key=foreign_key, header={"kid": signing_key.kid})

    with refused(InvalidToken, "signature_invalid"):
        logout_token(forged, signing_key)


def test_all_keys_are_tried(
    issuer: Provider, logout_claims: dict[str, Any], signing_key: Key, foreign_key: Key
) -> None:
    assert logout_token(issuer.sign(logout_claims), foreign_key, signing_key).subject == "amber"


def test_claims_of_another_token_do_not_match_the_signature(
    issuer: Provider, logout_claims: dict[str, Any], signing_key: Key
) -> None:
    header, _, signature = issuer.sign(logout_claims).split(".")
    _, other_claims, _ = issuer.sign({**logout_claims, "sub": "birch"}).split(".")

    with refused(InvalidToken, "signature_invalid"):
        logout_token(f"{header}.{other_claims}.{signature}", signing_key)


# Providers still announce `EdDSA`. RFC 9864 prefers `Ed25519`, and joserfc warns about it.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "PS256", "RS512", "HS256"])
def test_other_algorithms_can_be_registered(
    alg: str, issuer: Provider, id_claims: dict[str, Any], signing_key: Any
) -> None:
    registration = replace(REGISTRATION, id_token_signed_response_alg=alg)
    keys_by_alg: dict[str, Callable[[], Key]] = {
        "ES256": lambda: issuer.signing_key("ES256"),
        "EdDSA": lambda: issuer.signing_key("EdDSA"),
        "HS256": lambda: OctKey.import_key(CLIENT_SECRET),
    }
    key = keys_by_alg.get(alg, lambda: RSAKey.import_key(signing_key.private_key))()
    token = sign(changed(id_claims, {"at_hash": ABSENT}), key, alg=alg)

    verified = verify_id_token(token, registration, lambda kid: [key], nonce=NONCE, access_token=ACCESS_TOKEN, now=NOW)

    assert verified.subject == "amber"


@pytest.mark.parametrize(("alg", "bits"), [("RS256", 256), ("EdDSA", 512)])
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_at_hash_uses_the_hash_of_the_algorithm(
    alg: str, bits: int, issuer: Provider, id_claims: dict[str, Any]
) -> None:
    digest = hashlib.new(f"sha{bits}", ACCESS_TOKEN.encode()).digest()
    at_hash = base64.urlsafe_b64encode(digest[: bits // 16]).rstrip(b"=").decode()
    registration = replace(REGISTRATION, id_token_signed_response_alg=alg)
    key = issuer.signing_key(alg)

    assert id_token(sign({**id_claims, "at_hash": at_hash}, key), key, registration=registration).subject == "amber"


# Syntax


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "...", "a.b", "a.b.c.d", "e30", "!!!.e30.e30", "é.e30.e30", "\ud800.e30.", "\0.\0.\0"],
)
def test_other_text_is_no_token(token: str, signing_key: Key) -> None:
    with refused(InvalidToken, "malformed"):
        logout_token(token, signing_key)


@pytest.mark.parametrize("header", [[], "RS256", 7, None])
def test_header_has_to_be_an_object(header: Any, signing_key: Key) -> None:
    with refused(InvalidToken, "malformed"):
        logout_token(compact(header, {}), signing_key)


@pytest.mark.parametrize("payload", [b"", b"[]", b'"text"', b"null", b"{"])
def test_payload_has_to_be_an_object(payload: bytes, signing_key: Key) -> None:
    with refused(InvalidToken, "malformed"):
        logout_token(sign_bytes({"alg": "RS256"}, payload, signing_key), signing_key)


WHOLE = json.dumps({"iss": ISSUER, "aud": CLIENT_ID})
READ_DIFFERENTLY = [
    ("json_encoding_invalid", b"\xff\xfe"),
    ("json_encoding_invalid", b'{"iss": "\xff"}'),
    *[("json_encoding_invalid", WHOLE.encode(encoding)) for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32")],
    ("json_too_deep", b"[" * 50_000),
    ("json_too_deep", b'{"a":' * 936 + b"0" + b"}" * 936),
    ("json_member_repeated", f'{{"iss": "https://evil.example", {WHOLE[1:]}'.encode()),
    ("json_member_repeated", b'{"act": {"sub": "a", "sub": "b"}}'),
    *[("json_number_invalid", f'{{"iat": {number}}}'.encode()) for number in ("NaN", "-Infinity", "1e999", "1" * 5000)],
]


@pytest.mark.parametrize(("code", "payload"), READ_DIFFERENTLY)
def test_a_payload_that_parsers_read_differently_is_refused(code: str, payload: bytes) -> None:
    token = sign_bytes({"alg": "ES256"}, payload, ES_KEY)

    with refused(InvalidToken, code):
        logout_token(token, ES_KEY, registration=ES_REGISTRATION)
    with refused(InvalidToken, code):
        id_token(token, ES_KEY, registration=ES_REGISTRATION)
    with refused(InvalidToken, code):
        unverified_recipient(token, [])
    with refused(InvalidToken, code):
        logout_token(sealed(token, SEALED_KEY), ES_KEY, registration=SEALED_REGISTRATION)


@pytest.mark.parametrize(("code", "header"), READ_DIFFERENTLY)
def test_a_header_that_parsers_read_differently_is_refused(code: str, header: bytes) -> None:
    first = urlsafe_b64encode(header).decode()

    with refused(InvalidToken, code):
        logout_token(f"{first}.e30.e30", ES_KEY)
    with refused(InvalidToken, code):
        logout_token(f"{first}.a.a.a.a", ES_KEY, registration=SEALED_REGISTRATION)
    with refused(InvalidToken, code):
        unverified_recipient(f"{first}.a.a.a.a", [SEALED_REGISTRATION])


@pytest.mark.parametrize("padding", [50_000, 90_000])
def test_large_token_is_accepted(padding: int) -> None:
    token = sign({**VALID_CLAIMS, "padding": "x" * padding}, ES_KEY)

    assert logout_token(token, ES_KEY, registration=ES_REGISTRATION).subject == "amber"
    if padding < 60_000:  # base64 of base64
        opened = logout_token(sealed(token, SEALED_KEY), ES_KEY, registration=SEALED_REGISTRATION)
        assert opened.subject == "amber"


@pytest.mark.parametrize("size", [MAX_TOKEN_LENGTH, 130_000, 1_000_000])
@pytest.mark.parametrize("where", ["header", "payload", "signature"])
def test_a_token_that_is_too_large_is_refused_as_such(size: int, where: str) -> None:
    def keys(kid: str | None) -> list[Key]:
        raise AssertionError("a call that anybody could make us make")

    header, payload, _ = VALID_TOKEN.split(".")
    padding = "x" * size
    if where == "signature":
        token = f"{header}.{payload}.{urlsafe_b64encode(padding.encode()).decode()}"
    elif where == "header":
        token = sign(VALID_CLAIMS, ES_KEY, header={"padding": padding})
    else:
        token = sign({**VALID_CLAIMS, "padding": padding}, ES_KEY)

    for text, registration in ((token, ES_REGISTRATION), (f"{token}.a.a", SEALED_REGISTRATION)):
        with refused(InvalidToken, "token_too_large"):
            verify_logout_token(text, registration, keys, now=NOW)
        with refused(InvalidToken, "token_too_large"):
            verify_id_token(text, registration, keys, nonce=NONCE, access_token=None, now=NOW)
        with refused(InvalidToken, "token_too_large"):
            unverified_recipient(text, [registration])


# Encryption (Back-Channel Logout 2.6; RFC 7519, 5.2)


@pytest.fixture(scope="module")
def encryption_key() -> ECKey:
    return ECKey.generate_key("P-256", {"kid": "encryption", "use": "enc"})


@pytest.fixture
def encrypted(encryption_key: ECKey) -> Registration:
    """The registration of a client with encrypted tokens."""
    return replace(REGISTRATION, id_token_encrypted_response_alg="ECDH-ES+A128KW", decryption_key=encryption_key)


def sealed(token: str, key: Key, enc: str = "A128CBC-HS256") -> str:
    return encrypt(token, key, alg="ECDH-ES+A128KW", enc=enc)


def test_encrypted_tokens_are_accepted(
    issuer: Provider,
    id_claims: dict[str, Any],
    logout_claims: dict[str, Any],
    signing_key: Key,
    encryption_key: ECKey,
    encrypted: Registration,
) -> None:
    token = sealed(issuer.sign(logout_claims), encryption_key)
    assert logout_token(token, signing_key, registration=encrypted).subject == "amber"

    signed = issuer.sign(id_claims)
    verified = id_token(sealed(signed, encryption_key), signing_key, registration=encrypted)
    assert (verified.subject, verified.raw) == ("amber", signed)


def test_unknown_header_of_an_encrypted_token_is_ignored(
    issuer: Provider, logout_claims: dict[str, Any], signing_key: Key, encryption_key: ECKey, encrypted: Registration
) -> None:
    header = {"alg": "ECDH-ES+A128KW", "enc": "A128CBC-HS256", "iss": ISSUER, "aud": CLIENT_ID}
    registry = jwe.JWERegistry(algorithms=["ECDH-ES+A128KW", "A128CBC-HS256"], strict_check_header=False)
    token = jwe.encrypt_compact(header, issuer.sign(logout_claims), encryption_key, registry=registry)

    assert logout_token(token, signing_key, registration=encrypted).subject == "amber"


def test_an_unencrypted_token_is_refused_if_encryption_is_registered(
    issuer: Provider, logout_claims: dict[str, Any], signing_key: Key, encrypted: Registration
) -> None:
    with refused(InvalidToken, "not_encrypted"):
        logout_token(issuer.sign(logout_claims), signing_key, registration=encrypted)


def test_an_encrypted_token_is_refused_if_encryption_is_not_registered(
    issuer: Provider, logout_claims: dict[str, Any], signing_key: Key, encryption_key: ECKey
) -> None:
    with refused(InvalidToken, "malformed"):
        logout_token(sealed(issuer.sign(logout_claims), encryption_key), signing_key)


def test_an_encrypted_token_without_a_signature_is_refused(
    logout_claims: dict[str, Any], signing_key: Key, encryption_key: ECKey, encrypted: Registration
) -> None:
    with refused(InvalidToken, "malformed"):
        logout_token(sealed(json.dumps(logout_claims), encryption_key), signing_key, registration=encrypted)
    with refused(InvalidToken, "alg_not_registered"):
        unsigned = compact({"alg": "none"}, logout_claims)
        logout_token(sealed(unsigned, encryption_key), signing_key, registration=encrypted)


def test_a_token_encrypted_with_another_key_is_refused(
    issuer: Provider, logout_claims: dict[str, Any], signing_key: Key, encrypted: Registration
) -> None:
    with refused(InvalidToken, "decryption_failed"):
        token = sealed(issuer.sign(logout_claims), ECKey.generate_key("P-256"))
        logout_token(token, signing_key, registration=encrypted)


def test_an_encryption_with_another_algorithm_is_refused(
    issuer: Provider, logout_claims: dict[str, Any], signing_key: Key, encryption_key: ECKey, encrypted: Registration
) -> None:
    token = issuer.sign(logout_claims)
    with refused(InvalidToken, "decryption_failed"):
        logout_token(sealed(token, encryption_key, enc="A256GCM"), signing_key, registration=encrypted)
    with refused(InvalidToken, "decryption_failed"):
        direct = encrypt(token, encryption_key, alg="ECDH-ES", enc="A128CBC-HS256")
        logout_token(direct, signing_key, registration=encrypted)


def test_compressed_token_is_refused(
    logout_claims: dict[str, Any], issuer: Provider, signing_key: Key, encryption_key: ECKey, encrypted: Registration
) -> None:
    algorithms = ["ECDH-ES+A128KW", "A128CBC-HS256", "DEF"]
    header = {"alg": "ECDH-ES+A128KW", "enc": "A128CBC-HS256", "zip": "DEF"}
    token = jwe.encrypt_compact(header, issuer.sign(logout_claims), encryption_key, algorithms)

    with refused(InvalidToken, "decryption_failed"):
        logout_token(token, signing_key, registration=encrypted)


def test_an_encrypted_token_without_a_registered_key_is_refused(
    issuer: Provider, logout_claims: dict[str, Any], signing_key: Key, encryption_key: ECKey, encrypted: Registration
) -> None:
    token = sealed(issuer.sign(logout_claims), encryption_key)

    with refused(InvalidToken, "decryption_failed"):
        logout_token(token, signing_key, registration=replace(encrypted, decryption_key=None))


# The recipient that a token names


def test_the_recipient_is_the_audience_of_the_token(logout_claims: dict[str, Any]) -> None:
    token = compact({"alg": "none"}, {**logout_claims, "aud": "one"})

    assert unverified_recipient(token, []) == (ISSUER, ["one"])


def test_an_empty_claim_set_has_no_recipient() -> None:
    assert unverified_recipient(compact({}, {}), []) == (None, [])


def test_a_token_with_several_audiences_has_several_recipients() -> None:
    assert unverified_recipient(compact({}, {"aud": ["one", "two"]}), []) == (None, ["one", "two"])


@pytest.mark.parametrize("aud", [None, 7, {}, [None], ["one", None], [["one"]]])
def test_a_recipient_must_be_text(aud: Any) -> None:
    with refused(InvalidToken, "aud_invalid"):
        unverified_recipient(compact({}, {"aud": aud}), [])


def test_the_recipient_of_an_encrypted_token_is_found_among_several_registrations(
    issuer: Provider, logout_claims: dict[str, Any], encryption_key: ECKey, encrypted: Registration
) -> None:
    token = sealed(issuer.sign(logout_claims), encryption_key)
    another = replace(encrypted, client_id="another-site", decryption_key=ECKey.generate_key("P-256"))

    assert unverified_recipient(token, [REGISTRATION, another, encrypted]) == (ISSUER, [CLIENT_ID])
    with refused(InvalidToken, "decryption_failed"):
        unverified_recipient(token, [REGISTRATION, another])


@pytest.mark.parametrize("token", ["", "a.b", "e30.!.e30", "e30.W10.e30"])
def test_other_text_has_no_recipient(token: str) -> None:
    with refused(InvalidToken, "malformed"):
        unverified_recipient(token, [])


# Any input gives a value or InvalidToken

CLAIM_NAMES = ["iss", "aud", "azp", "exp", "nbf", "iat", "nonce", "at_hash", "sub", "sid", "jti", "events"]
HEADER_NAMES = [
    "alg",
    "kid",
    "typ",
    "crit",
    "b64",
    "jku",
    "jwk",
    "x5c",
    "x5u",
    "cty",
    "enc",
    "zip",
    "epk",
    "apu",
    "p2c",
]


def attempts(token: str) -> list[IDToken | LogoutToken]:
    """The values that the verifiers return for ``token``. Any exception except :exc:`InvalidToken` is passed on."""
    accepted: list[IDToken | LogoutToken] = []
    for registration in (ES_REGISTRATION, SEALED_REGISTRATION):
        for verify in (id_token, logout_token):
            try:
                accepted.append(verify(token, ES_KEY, registration=registration))
            except InvalidToken:
                continue
    return accepted


def test_the_token_before_the_changes_is_valid() -> None:
    assert len(attempts(VALID_TOKEN)) == 1
    assert len(attempts(VALID_SEALED)) == 1


@settings(max_examples=100, deadline=None)
@given(st.text() | st.lists(st.text("AQgwe30_-"), min_size=3, max_size=5).map(".".join))
def test_text_is_no_token(text: str) -> None:
    assert attempts(text) == []


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(VALID_TOKEN) - 1), st.characters())
def test_no_character_can_be_changed(place: int, character: str) -> None:
    varied = VALID_TOKEN[:place] + character + VALID_TOKEN[place + 1 :]

    assert len(attempts(varied)) == (varied == VALID_TOKEN)


@settings(max_examples=100, deadline=None)
@given(objects, anything)
def test_nothing_unsigned_is_accepted(header: dict[str, Any], claims: Any) -> None:
    assert attempts(compact({"alg": "ES256", **header}, claims)) == []


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(CLAIM_NAMES), anything, max_size=3))
def test_any_signed_claims_are_handled(change: dict[str, Any]) -> None:
    for accepted in attempts(sign({**VALID_CLAIMS, **change}, ES_KEY)):
        assert accepted.issuer == ISSUER
        assert accepted.subject or accepted.sid
        assert accepted.sid != ""
        assert abs(accepted.iat - NOW) <= DAY


@settings(max_examples=150, deadline=None)
@given(st.binary() | st.tuples(st.integers(0, 200), st.binary(max_size=4), st.integers(0, 4)))
def test_any_signed_payload_is_handled(change: bytes | tuple[int, bytes, int]) -> None:
    """The payload must be a claim set, and all parsers must read it in the same way."""
    payload = json.dumps(VALID_CLAIMS).encode()
    if isinstance(change, tuple):
        place, put, cut = change
        payload = payload[:place] + put + payload[place + cut :]
    else:
        payload = change

    for accepted in attempts(sign_bytes({"alg": "ES256"}, payload, ES_KEY)):
        assert json.loads(payload.decode())["iss"] == accepted.issuer == ISSUER


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(HEADER_NAMES), anything, max_size=3))
def test_any_signed_header_is_handled(header: dict[str, Any]) -> None:
    for accepted in attempts(sign(VALID_CLAIMS, ES_KEY, header={"alg": "ES256", **header}, alg="ES256")):
        assert header.get("alg", "ES256") == "ES256"
        assert "crit" not in {name for name, value in header.items() if value is not None}
        assert header.get("b64") is not False
        assert accepted.subject == "amber"


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(HEADER_NAMES), anything, min_size=1, max_size=3), st.integers(1, 4), st.binary())
def test_any_header_and_part_of_an_encrypted_token_is_handled(
    header: dict[str, Any], part: int, content: bytes
) -> None:
    parts = VALID_SEALED.encode().split(b".")
    own = json_b64decode(parts[0])
    with_header = [json_b64encode({**own, **header}), *parts[1:]]
    with_part = [*parts[:part], urlsafe_b64encode(content), *parts[part + 1 :]]

    assert attempts(b".".join(with_part).decode()) == []
    if json.dumps({**own, **header}) != json.dumps(own):
        assert attempts(b".".join(with_header).decode()) == []


@pytest.mark.parametrize(
    "epk",
    [5, {}, {"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}],
)
def test_an_unusable_ephemeral_key_is_refused(epk: Any) -> None:
    header = {"alg": "ECDH-ES+A128KW", "enc": "A128CBC-HS256", "epk": epk}
    token = ".".join([json_b64encode(header).decode(), *VALID_SEALED.split(".")[1:]])

    with refused(InvalidToken, "decryption_failed"):
        logout_token(token, ES_KEY, registration=SEALED_REGISTRATION)
