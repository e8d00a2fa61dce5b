from urllib.parse import parse_qsl, urlsplit

import pytest
from authlib.oauth2.rfc6749.errors import OAuth2Error

from django_ory_logout.testing import LoginSession, Network, Provider
from django_ory_logout.testing.hydra import authorization

from .conftest import CALLBACK

VALID = {
    "client_id": "site",
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid email",
    "state": "12345678",
    "nonce": "n",
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
}


def test_a_valid_request_is_parsed(provider: Provider) -> None:
    asked = authorization.parse(provider, VALID | {"prompt": "login consent", "max_age": "60", "login_hint": "amber"})

    assert (asked.client.client_id, asked.redirect_uri, asked.scope) == ("site", CALLBACK, "openid email")
    assert (asked.state, asked.nonce, asked.code_challenge) == ("12345678", "n", "c" * 43)
    assert (asked.prompt, asked.max_age, asked.login_hint) == (frozenset({"login", "consent"}), 60, "amber")
    assert asked.response_mode == "query"


@pytest.mark.parametrize("change", [{"client_id": "other"}, {"redirect_uri": CALLBACK.rstrip("/")}])
def test_an_error_about_the_client_or_its_redirect_uri_is_not_sent_there(
    provider: Provider, change: dict[str, str]
) -> None:
    with pytest.raises(OAuth2Error) as caught:
        authorization.parse(provider, VALID | change)

    assert caught.value.redirect_uri is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "email"}, "invalid_scope"),
        ({"state": "1234567"}, "invalid_state"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "²"}, "invalid_request"),
    ],
)
def test_any_other_error_is_sent_to_the_client(provider: Provider, change: dict[str, str], error: str) -> None:
    with pytest.raises(OAuth2Error) as caught:
        authorization.parse(provider, VALID | change)

    assert (caught.value.error, caught.value.redirect_uri) == (error, CALLBACK)
    assert caught.value.state == (VALID | change)["state"]


@pytest.mark.parametrize(
    ("change", "seconds", "accepted"),
    [
        ({}, 10_000, True),
        ({"prompt": "login"}, 0, False),
        ({"max_age": "60"}, 60, True),
        ({"max_age": "60"}, 61, False),
        ({"max_age": "0"}, 1, False),
    ],
)
def test_a_remembered_login_is_used_unless_a_new_one_is_required(
    provider: Provider, amber: LoginSession, change: dict[str, str], seconds: int, accepted: bool
) -> None:
    asked = authorization.parse(provider, VALID | change)

    assert asked.accepts(amber, amber.auth_time + seconds) is accepted


def test_prompt_none_without_a_remembered_login_is_an_error(provider: Provider) -> None:
    asked = authorization.parse(provider, VALID)

    assert not asked.accepts(None, 0)
    assert not asked.accepts(provider.sign_in("amber", remember=False), 0)


def test_the_response_names_the_issuer_only_if_it_is_announced(provider: Provider, amber: LoginSession) -> None:
    asked = authorization.parse(provider, VALID)
    assert set(authorization.respond(provider, asked, amber)) == {"code", "scope", "state"}

    provider.metadata["authorization_response_iss_parameter_supported"] = True

    assert authorization.respond(provider, asked, amber)["iss"] == provider.issuer


def test_the_network_follows_an_authorization_request(provider: Provider, network: Network) -> None:
    address = f"{provider.url('/oauth2/auth')}?" + "&".join(f"{name}={value}" for name, value in VALID.items())

    back = network.follow(address, "birch")

    query = dict(parse_qsl(urlsplit(back).query))
    assert back.startswith(CALLBACK)
    assert query["state"] == "12345678"
    (session,) = provider.login_sessions.values()
    assert (session.subject, provider.clients_of(session)) == ("birch", ["site"])

    network.follow(address, login_session=session)
    assert len(provider.login_sessions) == 1
