import pytest
from authlib.oauth2.rfc6749.errors import InvalidGrantError
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.discovery import OpenIDProviderMetadata

from django_ory_logout.testing import Client, LoginSession, Person, Provider
from django_ory_logout.testing.hydra import token_endpoint, tokens

from .conftest import CALLBACK, Clock

VERIFIER = "v" * 43


def test_the_discovery_document_is_valid(provider: Provider) -> None:
    # Authlib's own validation requires https for every URL.
    document = {
        name: value.replace("http://", "https://") if isinstance(value, str) else value
        for name, value in provider.discovery().items()
    }

    OpenIDProviderMetadata(document).validate()


def test_metadata_overrides_the_discovery_document(provider: Provider) -> None:
    provider.metadata["end_session_endpoint"] = None

    assert provider.discovery()["end_session_endpoint"] is None


def test_paths_follow_an_issuer_with_a_path_and_a_slash() -> None:
    assert Provider("https://op.example/realm/", keys=[]).url("/userinfo") == "https://op.example/realm/userinfo"


def test_a_provider_has_its_own_key_and_demo_users() -> None:
    first, other = Provider(), Provider()

    assert first.keys[0].kid != other.keys[0].kid
    assert [person.claims["name"] for person in first.persons.values()] == ["Amber", "Birch", "Cedar"]


@pytest.mark.parametrize("hint", ["amber", "amber@example.com"])
def test_a_login_hint_selects_a_user(provider: Provider, hint: str) -> None:
    person = provider.find_person(hint)

    assert person
    assert person.subject == "amber"


def test_a_login_hint_can_be_unknown(provider: Provider) -> None:
    assert provider.find_person("") is None


def test_an_added_user_can_sign_in_and_has_claims(provider: Provider) -> None:
    person = provider.add_person(Person("0001", {"preferred_username": "dune", "email": "dune@example.com"}))

    assert provider.find_person("dune") is person
    assert provider.person_claims("0001", "email") == {"email": "dune@example.com"}


def code_for(provider: Provider, session: LoginSession, **options: str) -> str:
    return provider.authorize(session, "site", redirect_uri=CALLBACK, **options)


def test_a_code_is_exchanged_for_tokens(provider: Provider, amber: LoginSession) -> None:
    code = code_for(provider, amber, scope="openid profile", nonce="n")

    response = token_endpoint.exchange(provider, code, "site", redirect_uri=CALLBACK)

    assert (response["token_type"], response["expires_in"], response["scope"]) == ("bearer", 3599, "openid profile")
    claims = tokens.verified_claims(response["id_token"], provider.keys[0])
    assert (claims["nonce"], claims["name"]) == ("n", "Amber")
    assert "at_hash" in claims


def test_a_code_can_be_used_once(provider: Provider, amber: LoginSession) -> None:
    code = code_for(provider, amber)
    token_endpoint.exchange(provider, code, "site", redirect_uri=CALLBACK)

    with pytest.raises(InvalidGrantError):
        token_endpoint.exchange(provider, code, "site", redirect_uri=CALLBACK)


def test_a_code_expires_after_ten_minutes(provider: Provider, amber: LoginSession, clock: Clock) -> None:
    on_time, late = code_for(provider, amber), code_for(provider, amber)
    clock.now += 600
    token_endpoint.exchange(provider, on_time, "site", redirect_uri=CALLBACK)
    clock.now += 1

    with pytest.raises(InvalidGrantError):
        token_endpoint.exchange(provider, late, "site", redirect_uri=CALLBACK)


def test_a_code_belongs_to_its_client(provider: Provider, amber: LoginSession) -> None:
    with pytest.raises(InvalidGrantError):
        token_endpoint.exchange(provider, code_for(provider, amber), "other", redirect_uri=CALLBACK)


def test_a_code_is_bound_to_its_redirect_uri(provider: Provider, amber: LoginSession) -> None:
    with pytest.raises(InvalidGrantError):
        token_endpoint.exchange(provider, code_for(provider, amber), "site", redirect_uri=CALLBACK + "x")


def test_the_verifier_of_the_challenge_is_accepted(provider: Provider, amber: LoginSession) -> None:
    code = code_for(provider, amber, code_challenge=create_s256_code_challenge(VERIFIER))

    assert token_endpoint.exchange(provider, code, "site", redirect_uri=CALLBACK, code_verifier=VERIFIER)


@pytest.mark.parametrize(
    ("challenge", "verifier"),
    [
        pytest.param(create_s256_code_challenge(VERIFIER), "w" * 43, id="another"),
        pytest.param(create_s256_code_challenge(VERIFIER), "", id="none"),
        pytest.param("", VERIFIER, id="without a challenge"),
    ],
)
def test_another_verifier_is_refused(provider: Provider, amber: LoginSession, challenge: str, verifier: str) -> None:
    code = code_for(provider, amber, code_challenge=challenge)

    with pytest.raises(InvalidGrantError):
        token_endpoint.exchange(provider, code, "site", redirect_uri=CALLBACK, code_verifier=verifier)


def test_a_logout_can_overtake_the_sign_in_once(provider: Provider, amber: LoginSession) -> None:
    seen: list[LoginSession] = []
    provider.before_token_response = seen.append
    for _ in range(2):
        token_endpoint.exchange(provider, code_for(provider, amber), "site", redirect_uri=CALLBACK)

    assert seen == [amber]


def test_userinfo_has_the_claims_of_the_scope_and_no_sid(provider: Provider, amber: LoginSession) -> None:
    response = token_endpoint.exchange(
        provider, code_for(provider, amber, scope="openid email"), "site", redirect_uri=CALLBACK
    )

    claims = token_endpoint.userinfo(provider, response["access_token"])

    assert claims == {"sub": "amber", "email": "amber@example.com", "email_verified": True}


def test_an_access_token_works_after_the_logout(provider: Provider, amber: LoginSession) -> None:
    response = token_endpoint.exchange(provider, code_for(provider, amber), "site", redirect_uri=CALLBACK)
    provider.end(amber.sid)

    assert token_endpoint.userinfo(provider, response["access_token"]) == {"sub": "amber"}


def test_an_unknown_access_token_is_refused(provider: Provider) -> None:
    with pytest.raises(InvalidTokenError):
        token_endpoint.userinfo(provider, "ory_at_x")


def test_each_client_with_consent_and_a_back_channel_gets_a_notice(provider: Provider) -> None:
    provider.register(Client("silent"))
    provider.register(Client.of_site("http://other.example", "other"))
    session = provider.sign_in("amber", "site", "silent", "withdrawn")
    provider.authorize(session, "site", redirect_uri=CALLBACK)

    (delivery,) = provider.end(session.sid)

    assert (delivery.client_id, delivery.url) == ("site", "http://rp.example/auth/logout/backchannel/")
    assert tokens.verified_claims(delivery.form["logout_token"], provider.keys[0])["sid"] == session.sid
    assert session.sid not in provider.login_sessions


def test_a_second_end_sends_no_notice(provider: Provider, amber: LoginSession) -> None:
    provider.end(amber.sid)

    assert provider.end(amber.sid) == []


def test_a_login_that_was_not_remembered_gets_no_notice(provider: Provider) -> None:
    session = provider.sign_in("amber", "site", remember=False)

    assert provider.end(session.sid) == []


def test_ending_a_subject_sends_each_client_one_token_with_sub_only(provider: Provider) -> None:
    for subject in ("amber", "amber", "birch"):
        provider.sign_in(subject, "site")

    (delivery,) = provider.end_subject("amber")

    claims = tokens.verified_claims(delivery.logout_token, provider.keys[0])
    assert claims["sub"] == "amber"
    assert "sid" not in claims
    assert [session.subject for session in provider.login_sessions.values()] == ["birch"]


def test_front_channel_uris_add_iss_and_sid_to_the_query(provider: Provider) -> None:
    provider.register(Client("other", frontchannel_logout_uri="http://other.example/out?z=1&sid=old"))
    provider.register(Client("silent"))
    session = provider.sign_in("amber", "other", "silent")

    assert provider.frontchannel_uris(session.sid) == [
        f"http://other.example/out?iss=http%3A%2F%2F127.0.0.1%3A4444&sid={session.sid}&z=1"
    ]
    assert provider.frontchannel_uris("unknown") == []


def test_secrets_and_tokens_are_not_in_representations(provider: Provider, amber: LoginSession) -> None:
    (delivery,) = provider.end(amber.sid)

    assert provider.clients["site"].client_secret not in repr(provider.clients["site"])
    assert delivery.logout_token not in repr(delivery)
