import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import Key

from django_ory_logout.testing import Client, LoginSession, Provider
from django_ory_logout.testing.hydra import keys, tokens


def decoded(segment: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return document


def test_a_logout_token_is_identical_to_hydras(provider: Provider) -> None:
    header, claims, _ = provider.logout_token("site", sid="s1").split(".")

    assert decoded(header) == {"alg": "RS256", "kid": provider.keys[0].kid, "typ": "JWT"}
    claims_set = decoded(claims)
    assert len(claims_set.pop("jti")) == 36
    assert claims_set == {
        "aud": ["site"],
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        "iat": 1_800_000_000,
        "iss": "http://127.0.0.1:4444",
        "sid": "s1",
    }


def test_a_logout_token_for_a_subject_has_no_sid(provider: Provider) -> None:
    claims = provider.logout_token_claims("site", sub="amber")

    assert claims["sub"] == "amber"
    assert "sid" not in claims


def test_every_logout_token_has_its_own_jti(provider: Provider) -> None:
    first, second = (provider.logout_token_claims("site", sid="s1")["jti"] for _ in range(2))

    assert first != second


def test_an_id_token_has_the_claims_that_hydra_sets(provider: Provider, amber: LoginSession) -> None:
    claims = provider.id_token_claims(amber, "site", nonce="n", access_token="at")

    assert set(claims) == {
        *("at_hash", "aud", "auth_time", "exp", "iat", "iss", "jti", "nonce", "rat", "sid", "sub"),
    }
    assert (claims["sub"], claims["sid"], claims["exp"] - claims["iat"]) == ("amber", amber.sid, 3600)


def test_an_id_token_has_the_claims_of_its_scope(provider: Provider, amber: LoginSession) -> None:
    claims = provider.id_token_claims(amber, "site", scope="openid email")

    assert claims["email"] == "amber@example.com"
    assert "name" not in claims


def test_an_unknown_user_has_only_a_subject(provider: Provider) -> None:
    session = provider.sign_in("nobody")

    assert "email" not in provider.id_token_claims(session, "site", scope="openid email")


def test_a_client_with_pairwise_subjects_gets_another_subject(provider: Provider, amber: LoginSession) -> None:
    provider.register(Client("first", subject_type="pairwise"))
    provider.register(Client("two", subject_type="pairwise"))

    subjects = {provider.id_token_claims(amber, client_id)["sub"] for client_id in ("site", "first", "two")}

    assert len(subjects) == 3
    assert "amber" in subjects


@pytest.mark.parametrize(("lifespan", "seconds"), [("1s", 1), ("1h30m", 5400), (None, 3600)])
def test_a_client_can_have_its_own_lifespan(
    provider: Provider, amber: LoginSession, lifespan: str | None, seconds: int
) -> None:
    provider.register(Client("second", more={"authorization_code_grant_id_token_lifespan": lifespan}))

    claims = provider.id_token_claims(amber, "second")

    assert claims["exp"] - claims["iat"] == seconds


def test_an_id_token_verifies_with_the_key_in_the_jwks(provider: Provider, amber: LoginSession) -> None:
    assert tokens.verified_claims(provider.id_token(amber, "site"), provider.keys[0])["sub"] == "amber"


def test_a_token_of_another_key_does_not_verify(provider: Provider, amber: LoginSession) -> None:
    forged = provider.sign(provider.id_token_claims(amber, "site"), key=keys.signing_key())

    with pytest.raises(JoseError):
        tokens.verified_claims(forged, provider.keys[0])


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"])
def test_a_client_gets_tokens_with_its_registered_algorithm(provider: Provider, alg: str) -> None:
    provider.register(Client("second", id_token_signed_response_alg=alg))
    key = provider.rotate_keys(alg)

    header, _, _ = provider.logout_token("second", sid="s1").split(".")

    assert decoded(header) == {"alg": alg, "kid": key.kid, "typ": "JWT"}


def test_a_symmetric_algorithm_signs_with_the_client_secret(provider: Provider) -> None:
    provider.register(Client("second", "a secret of 32 characters or more", id_token_signed_response_alg="HS256"))

    message, _, signature = provider.logout_token("second", sid="s1").rpartition(".")

    expected = hmac.digest(b"a secret of 32 characters or more", message.encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "=") == expected
    assert "kid" not in decoded(message.split(".")[0])


def test_a_client_with_encryption_gets_a_signed_token_inside(provider: Provider, amber: LoginSession) -> None:
    key = keys.encryption_key()
    provider.register(Client("second", id_token_encrypted_response_alg="RSA-OAEP-256", encryption_key=key))

    algorithms = ["RSA-OAEP-256", "A128CBC-HS256"]
    inner = jwe.decrypt_compact(provider.id_token(amber, "second"), key, algorithms=algorithms).plaintext

    assert tokens.verified_claims((inner or b"").decode(), provider.keys[0])["sub"] == "amber"


def test_a_header_can_name_another_algorithm_than_the_signature(provider: Provider) -> None:
    header, _, signature = provider.sign({"a": 1}, header={"alg": "HS256", "kid": None}).split(".")

    assert decoded(header) == {"alg": "HS256", "typ": "JWT"}
    assert len(signature) == len(provider.sign({"a": 1}).split(".")[2])


def test_an_unsecured_token_has_an_empty_signature(provider: Provider) -> None:
    header, _, signature = provider.sign({"a": 1}, alg="none").split(".")

    assert decoded(header)["alg"] == "none"
    assert signature == ""


def test_compact_accepts_any_payload_and_any_signer() -> None:
    assert tokens.compact({"alg": "x"}, [1], lambda message: message[:3]).split(".")[1:] == ["WzFd", "ZXlK"]


def test_no_private_part_of_a_key_is_published(provider: Provider) -> None:
    provider.rotate_keys("ES256")
    provider.keys.append(keys.encryption_key())

    published = provider.jwks()["keys"]

    assert [(key["kty"], key["use"]) for key in published] == [("EC", "sig"), ("RSA", "sig"), ("RSA", "enc")]
    assert not any("d" in key for key in published)


def test_the_newest_signing_key_signs(provider: Provider) -> None:
    provider.keys.insert(0, keys.encryption_key("RS256"))
    newest: Key = provider.rotate_keys()

    assert provider.signing_key() is newest
    provider.keys.remove(newest)
    assert provider.signing_key().get("use") == "sig"
    with pytest.raises(KeyError):
        provider.signing_key("ES256")
