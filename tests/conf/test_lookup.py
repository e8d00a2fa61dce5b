"""Each setting: its default, and the problem that is reported for a wrong value."""

from copy import deepcopy
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from joserfc.jwk import ECKey, OctKey

from django_ory_logout import conf
from django_ory_logout.conf import (
    HYDRA_SETTINGS,
    KRATOS_SETTINGS,
    PROVIDER_SETTINGS,
    SETTINGS,
    Problem,
    is_origin,
    is_secure,
)
from django_ory_logout.conf.settings import KRATOS_ALONE, RESERVED_PARAMETERS
from django_ory_logout.conf.validation import fits
from django_ory_logout.oidc.metadata import Registration

from ..oidc.samples import ABSENT, anything, changed

KEY = ECKey.generate_key("P-256")
PRIVATE_KEY = dict(KEY.as_dict(private=True))
PUBLIC_KEY = dict(KEY.as_dict(private=False))
REQUIRED = {"ISSUER": "https://op.example", "CLIENT_ID": "django-site"}


def site(**changes: Any) -> dict[str, Any]:
    """``ORY_LOGOUT`` of the tests, with ``changes`` at its top level."""
    return changed(deepcopy(settings.ORY_LOGOUT), changes)


def entry(**changes: Any) -> dict[str, Any]:
    """``ORY_LOGOUT`` with ``changes`` in its one provider."""
    return site(PROVIDERS={"default": changed(settings.ORY_LOGOUT["PROVIDERS"]["default"], changes)})


def problems(given: Any) -> list[Problem]:
    with override_settings(ORY_LOGOUT=given):
        return conf.problems()


def codes(given: Any) -> list[str]:
    return [problem.code for problem in problems(given)]


# Defaults


def test_defaults_of_the_site() -> None:
    with override_settings(ORY_LOGOUT=site()):
        config = conf.get()

    assert config.cache_alias == "default"
    assert config.session_recheck_seconds == 10
    assert config.next_allowed_hosts == {"rp.example"}


def test_defaults_of_a_provider() -> None:
    minimal = {**REQUIRED, "TOKEN_ENDPOINT_AUTH_METHOD": "none"}
    with override_settings(ORY_LOGOUT=site(PROVIDERS={"op": minimal})):
        provider = conf.get().providers["op"]

    assert provider == conf.ProviderConfig(
        alias="op",
        registration=Registration(
            issuer="https://op.example",
            client_id="django-site",
            client_secret="",
            token_endpoint_auth_method="none",
            id_token_signed_response_alg="RS256",
            id_token_encrypted_response_alg="",
            id_token_encrypted_response_enc="A128CBC-HS256",
            decryption_key=None,
        ),
        scope="openid",
        response_mode="query",
        shared_redirect_uri=False,
        authorization_parameters={},
        acr_values_required=(),
        post_logout_redirect_uri="",
        end_session_request_method="GET",
        frontchannel_logout_session_required=True,
        logout_token_exp_required=False,
        userinfo=False,
        create_users=True,
        associate_by_email=False,
        keep_tokens=False,
        revoke_tokens_at_logout=False,
        hydra=None,
        kratos=None,
    )


def test_client_secret_basic_is_the_default() -> None:
    assert conf.get().providers["default"].registration.token_endpoint_auth_method == "client_secret_basic"


def test_required_settings() -> None:
    required = [
        name for known in (SETTINGS, PROVIDER_SETTINGS) for name, setting in known.items() if setting.default is ...
    ]

    assert required == ["SITE_URL", "PROVIDERS", "ISSUER", "CLIENT_ID"]


# Messages


def test_a_provider_without_an_alias_is_explained() -> None:
    (problem,) = problems(site(PROVIDERS=REQUIRED))

    assert problem.code == "E085"
    assert problem.message.startswith("ORY_LOGOUT['PROVIDERS'] has 'ISSUER', 'CLIENT_ID' in the place of an alias")
    assert problem.hint.endswith("Write: 'PROVIDERS': {'default': {'ISSUER': …, 'CLIENT_ID': …}}")


@pytest.mark.parametrize(
    "given",
    [
        {"issuer": "https://op.example", "client_id": "django-site"},
        {"Issuer": "https://op.example"},
        {"KRATOS": {"PUBLIC_URL": "https://login.example"}},
        {"HYDRA": {}},
    ],
)
def test_a_provider_without_an_alias_in_other_spellings_is_explained(given: Any) -> None:
    assert codes(site(PROVIDERS=given)) == ["E085"]


@pytest.mark.parametrize("alias", ["kratos", "HYDRA", "issuer"])
def test_an_alias_with_the_name_of_a_setting_is_refused(alias: str) -> None:
    assert codes(site(PROVIDERS={alias: settings.ORY_LOGOUT["PROVIDERS"]["default"]})) == []


def test_a_site_url_with_a_path_is_refused() -> None:
    (problem,) = problems(site(SITE_URL="https://rp.example/shop"))

    assert problem.message == "ORY_LOGOUT['SITE_URL'] cannot be used: it is 'https://rp.example/shop'."
    assert "without a path" in problem.hint


@pytest.mark.parametrize(
    "given", [entry(CLIENT_SECRET=12345), site(SITE_URL="https://a:12345@b/"), site(SITE_URL="12345" * 30)]
)
def test_no_secret_is_shown(given: Any) -> None:
    assert "12345" not in str(problems(given))


# Values


def test_values_of_the_site() -> None:
    given = site(
        SITE_URL="https://rp.example/",
        SESSION_RECHECK_SECONDS=0.5,
        NEXT_ALLOWED_HOSTS=["shop.example"],
        CACHE_ALIAS="shared",
    )
    with override_settings(ORY_LOGOUT=given, CACHES={**settings.CACHES, "shared": settings.CACHES["default"]}):
        config = conf.get()

    assert config.site_url == "https://rp.example"
    assert config.absolute("callback") == "https://rp.example/auth/callback/"
    assert config.session_recheck_seconds == 0.5
    assert config.next_allowed_hosts == {"rp.example", "shop.example"}
    assert config.cache_alias == "shared"


def test_values_of_a_provider() -> None:
    values = {
        "ISSUER": "https://op.example/",
        "CLIENT_ID": "another",
        "CLIENT_SECRET": "another secret",
        "TOKEN_ENDPOINT_AUTH_METHOD": "client_secret_post",
        "ID_TOKEN_SIGNED_RESPONSE_ALG": "ES256",
        "ID_TOKEN_ENCRYPTED_RESPONSE_ALG": "ECDH-ES",
        "ID_TOKEN_ENCRYPTED_RESPONSE_ENC": "A256GCM",
        "SCOPE": "openid email",
        "RESPONSE_MODE": "form_post",
        "SHARED_REDIRECT_URI": True,
        "AUTHORIZATION_PARAMETERS": {"prompt": "login", "max_age": "60"},
        "ACR_VALUES_REQUIRED": ("phr", "phrh"),
        "POST_LOGOUT_REDIRECT_URI": "https://rp.example/bye/",
        "END_SESSION_REQUEST_METHOD": "POST",
        "FRONTCHANNEL_LOGOUT_SESSION_REQUIRED": False,
        "LOGOUT_TOKEN_EXP_REQUIRED": True,
        "USERINFO": True,
        "USERINFO_SIGNED_RESPONSE_ALG": "ES256",
        "CREATE_USERS": False,
        "ASSOCIATE_BY_EMAIL": True,
        "KEEP_TOKENS": True,
        "REVOKE_TOKENS_AT_LOGOUT": True,
    }
    # tests/ory/test_settings.py tests the last two.
    assert {*values, "DECRYPTION_KEY", "HYDRA", "KRATOS"} == set(PROVIDER_SETTINGS)

    with override_settings(ORY_LOGOUT=entry(**values, DECRYPTION_KEY=PRIVATE_KEY)):
        provider = conf.get().providers["default"]

    read = {**vars(provider), **vars(provider.registration)}
    assert {name: read[name.lower()] for name in values} == values
    assert provider.registration.decryption_key == KEY
    assert provider.provider.registration == provider.registration


# One wrong value for each setting, and the number of its check

WRONG_IN_THE_SITE: list[tuple[str, str, Any]] = [
    ("E010", "SITE_URL", ABSENT),
    ("E010", "SITE_URL", None),
    ("E010", "SITE_URL", "rp.example"),
    ("E010", "SITE_URL", "https://rp.example/path"),
    ("E010", "SITE_URL", "http://["),
    ("E011", "PROVIDERS", ABSENT),
    ("E011", "PROVIDERS", {}),
    ("E011", "PROVIDERS", []),
    ("E012", "SESSION_RECHECK_SECONDS", -1),
    ("E012", "SESSION_RECHECK_SECONDS", "10"),
    ("E012", "SESSION_RECHECK_SECONDS", True),
    ("E012", "SESSION_RECHECK_SECONDS", None),
    ("E012", "SESSION_RECHECK_SECONDS", float("nan")),
    ("E013", "CACHE_ALIAS", "unknown"),
    ("E013", "CACHE_ALIAS", None),
    ("E014", "NEXT_ALLOWED_HOSTS", "shop.example"),
    ("E014", "NEXT_ALLOWED_HOSTS", [7]),
]
WRONG_IN_A_PROVIDER: list[tuple[str, str, Any]] = [
    ("E020", "ISSUER", ABSENT),
    ("E020", "ISSUER", "op.example"),
    ("E020", "ISSUER", None),
    ("E021", "CLIENT_ID", ABSENT),
    ("E021", "CLIENT_ID", ""),
    ("E021", "CLIENT_ID", 7),
    ("E022", "CLIENT_SECRET", None),
    ("E022", "CLIENT_SECRET", b"bytes"),
    ("E023", "TOKEN_ENDPOINT_AUTH_METHOD", "private_key_jwt"),
    ("E023", "TOKEN_ENDPOINT_AUTH_METHOD", None),
    ("E024", "ID_TOKEN_SIGNED_RESPONSE_ALG", "none"),
    ("E024", "ID_TOKEN_SIGNED_RESPONSE_ALG", "rs256"),
    ("E024", "ID_TOKEN_SIGNED_RESPONSE_ALG", ""),
    ("E024", "ID_TOKEN_SIGNED_RESPONSE_ALG", ["RS256"]),
    ("E025", "ID_TOKEN_ENCRYPTED_RESPONSE_ALG", "RS256"),
    ("E025", "ID_TOKEN_ENCRYPTED_RESPONSE_ALG", None),
    ("E026", "ID_TOKEN_ENCRYPTED_RESPONSE_ENC", "A128"),
    ("E026", "ID_TOKEN_ENCRYPTED_RESPONSE_ENC", ""),
    ("E027", "DECRYPTION_KEY", "a key"),
    ("E027", "DECRYPTION_KEY", PUBLIC_KEY),
    ("E027", "DECRYPTION_KEY", {"kty": "EC"}),
    ("E027", "DECRYPTION_KEY", {**PRIVATE_KEY, "crv": "P-1"}),
    ("E027", "DECRYPTION_KEY", {**PRIVATE_KEY, "d": "AA"}),
    ("E027", "DECRYPTION_KEY", {1: 2}),
    ("E028", "SCOPE", "profile"),
    ("E028", "SCOPE", "openid2"),
    ("E028", "SCOPE", ["openid"]),
    ("E029", "RESPONSE_MODE", "fragment"),
    ("E029", "RESPONSE_MODE", ""),
    ("E075", "SHARED_REDIRECT_URI", "yes"),
    ("E030", "AUTHORIZATION_PARAMETERS", "prompt=login"),
    ("E030", "AUTHORIZATION_PARAMETERS", {"max_age": 60}),
    *[("E030", "AUTHORIZATION_PARAMETERS", {"max_age": value}) for value in ("", "a minute", "-1", "1.5", "9" * 10)],
    ("E030", "AUTHORIZATION_PARAMETERS", {7: "seven"}),
    *[("E030", "AUTHORIZATION_PARAMETERS", {name: "x"}) for name in sorted(RESERVED_PARAMETERS)],
    ("E081", "ACR_VALUES_REQUIRED", "phr"),
    ("E081", "ACR_VALUES_REQUIRED", [""]),
    ("E081", "ACR_VALUES_REQUIRED", ["phr phrh"]),
    ("E081", "ACR_VALUES_REQUIRED", [2]),
    ("E031", "POST_LOGOUT_REDIRECT_URI", "/bye/"),
    ("E031", "POST_LOGOUT_REDIRECT_URI", None),
    ("E032", "END_SESSION_REQUEST_METHOD", "post"),
    ("E033", "FRONTCHANNEL_LOGOUT_SESSION_REQUIRED", "False"),
    ("E034", "LOGOUT_TOKEN_EXP_REQUIRED", 1),
    ("E035", "USERINFO", None),
    ("E080", "USERINFO_SIGNED_RESPONSE_ALG", "none"),
    ("E080", "USERINFO_SIGNED_RESPONSE_ALG", "RS257"),
    ("E036", "CREATE_USERS", "yes"),
    ("E037", "ASSOCIATE_BY_EMAIL", 1),
    ("E038", "KEEP_TOKENS", 0),
    ("E042", "REVOKE_TOKENS_AT_LOGOUT", 1),
    ("E039", "HYDRA", "http://hydra:4445"),
    ("E043", "KRATOS", "http://kratos:4433"),
]


@pytest.mark.parametrize(("code", "name", "value"), WRONG_IN_THE_SITE)
def test_a_wrong_setting_of_the_site_is_reported(code: str, name: str, value: Any) -> None:
    (problem,) = problems(site(**{name: value}))

    assert problem.code == code
    assert f"{name!r}" in problem.message
    assert problem.hint.startswith(f"It should be {SETTINGS[name].description}. Write: {name!r}: ")


@pytest.mark.parametrize(("code", "name", "value"), WRONG_IN_A_PROVIDER)
def test_a_wrong_setting_of_a_provider_is_reported(code: str, name: str, value: Any) -> None:
    (problem,) = problems(entry(**{name: value}))

    assert problem.code == code
    assert problem.message.startswith("ORY_LOGOUT['PROVIDERS']['default']")
    assert f"{name!r}" in problem.message
    assert problem.hint.startswith(f"It should be {PROVIDER_SETTINGS[name].description}. Write: {name!r}: ")


def test_each_setting_has_a_wrong_value_above_and_its_own_code() -> None:
    expected = {(setting.code, name) for known in (SETTINGS, PROVIDER_SETTINGS) for name, setting in known.items()}

    assert {(code, name) for code, name, _ in [*WRONG_IN_THE_SITE, *WRONG_IN_A_PROVIDER]} == expected
    assert len({code for code, _ in expected}) == len(expected)


def test_a_value_is_never_shown() -> None:
    (problem,) = problems(entry(CLIENT_SECRET=["a very secret value"]))

    assert "very secret" not in f"{problem}"


@hypothesis_settings(max_examples=100, deadline=None)
@given(anything)
def test_any_value_is_accepted_or_reported(value: Any) -> None:
    for known in (SETTINGS, PROVIDER_SETTINGS, HYDRA_SETTINGS, KRATOS_SETTINGS):
        for name, setting in known.items():
            assert fits(value, setting) in {True, False}, name
    assert all(isinstance(problem, Problem) for problem in problems(value))
    assert all(isinstance(problem, Problem) for problem in problems({"PROVIDERS": value}))
    assert all(isinstance(problem, Problem) for problem in problems({"PROVIDERS": {"default": value}}))
    assert all(isinstance(problem, Problem) for problem in problems(site(PROVIDERS={"default": {"KRATOS": value}})))


# Problems of several settings

ALL_OF_THE_SITE = f"Remove it. The settings here are {', '.join(SETTINGS)}."


@pytest.mark.parametrize("given", [None, [], "settings", 7])
def test_settings_that_are_no_dict_are_reported(given: Any) -> None:
    assert codes(given) == ["E001"]


def test_missing_settings_are_reported() -> None:
    with override_settings():
        del settings.ORY_LOGOUT
        assert [problem.code for problem in conf.problems()] == ["E001"]


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (site(SITE_ULR="x"), "ORY_LOGOUT has no setting 'SITE_ULR'.", "Did you mean 'SITE_URL'?"),
        (site(site_url="x"), "ORY_LOGOUT has no setting 'site_url'.", "Did you mean 'SITE_URL'?"),
        (site(COLOUR="x"), "ORY_LOGOUT has no setting 'COLOUR'.", ALL_OF_THE_SITE),
        (
            entry(CLIENT_SECERT="x"),
            "ORY_LOGOUT['PROVIDERS']['default'] has no setting 'CLIENT_SECERT'.",
            "Did you mean 'CLIENT_SECRET'?",
        ),
        (
            entry(SITE_URL="x"),
            "ORY_LOGOUT['PROVIDERS']['default'] has no setting 'SITE_URL'.",
            f"Remove it. The settings here are {', '.join(PROVIDER_SETTINGS)}.",
        ),
    ],
)
def test_an_unknown_key_is_reported(given: dict[str, Any], message: str, hint: str) -> None:
    (problem,) = problems(given)

    assert (problem.code, problem.message, problem.hint) == ("E002", message, hint)


def test_an_unknown_key_that_is_no_text_is_reported() -> None:
    (problem,) = problems({**site(), 7: "seven"})

    assert problem.message == "ORY_LOGOUT has no setting 7."
    assert problems({**site(), (7,): "seven"})[0].message == "ORY_LOGOUT has no setting <tuple>."


@pytest.mark.parametrize("names", [["ISSUER", "CLIENT_ID", "CLIENT_SECRET"], ["scope"], ["KRATOS"]])
@pytest.mark.parametrize("has_providers", [True, False])
def test_settings_of_a_provider_at_the_top(names: list[str], has_providers: bool) -> None:
    given = {**site(), **{name: {} for name in names}}
    if not has_providers:
        del given["PROVIDERS"]

    (problem,) = problems(given)

    assert problem.code == "E085"
    assert problem.message.startswith(f"ORY_LOGOUT has {', '.join(map(repr, names))} in the place of an alias")
    assert f"Write: 'PROVIDERS': {{'default': {{{names[0].upper()!r}: …" in problem.hint


def test_an_insecure_issuer_is_reported() -> None:
    assert codes(entry(ISSUER="http://op.example")) == ["E003"]
    assert codes(entry(ISSUER="http://localhost:4444")) == []


@pytest.mark.parametrize("secret", ["", ABSENT])
def test_a_missing_secret_is_reported(secret: Any) -> None:
    assert codes(entry(CLIENT_SECRET=secret)) == ["E004"]
    assert codes(entry(CLIENT_SECRET=secret, TOKEN_ENDPOINT_AUTH_METHOD="none")) == []
    symmetric = entry(CLIENT_SECRET=secret, TOKEN_ENDPOINT_AUTH_METHOD="none", ID_TOKEN_SIGNED_RESPONSE_ALG="HS256")
    assert codes(symmetric) == ["E004"]
    of_userinfo = entry(CLIENT_SECRET=secret, TOKEN_ENDPOINT_AUTH_METHOD="none", USERINFO_SIGNED_RESPONSE_ALG="HS256")
    assert codes(of_userinfo) == ["E004"]


def test_encryption_needs_a_key() -> None:
    assert codes(entry(ID_TOKEN_ENCRYPTED_RESPONSE_ALG="ECDH-ES")) == ["E005"]
    assert codes(entry(ID_TOKEN_ENCRYPTED_RESPONSE_ALG="ECDH-ES", DECRYPTION_KEY=PRIVATE_KEY)) == []


def test_a_symmetric_decryption_key_is_reported() -> None:
    key = dict(OctKey.generate_key(128).as_dict(private=True))

    assert codes(entry(ID_TOKEN_ENCRYPTED_RESPONSE_ALG="dir", DECRYPTION_KEY=key)) == []


def test_a_repeated_client_is_reported() -> None:
    provider = settings.ORY_LOGOUT["PROVIDERS"]["default"]

    assert codes(site(PROVIDERS={"first": provider, "second": {**provider, "SCOPE": "openid"}})) == ["E006"]
    assert codes(site(PROVIDERS={"first": provider, "second": {**provider, "CLIENT_ID": "another"}})) == []
    assert codes(site(PROVIDERS={"first": provider, "second": {**provider, "ISSUER": "https://op.example/"}})) == []


@pytest.mark.parametrize("alias", ["", " ", "..", ".", ".a", "a/b", "ä", "a b", "a\n", "50%", 7, None])
def test_an_alias_that_cannot_be_part_of_a_redirect_uri_is_reported(alias: Any) -> None:
    provider = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    another = {**provider, "CLIENT_ID": "another"}

    assert codes(site(PROVIDERS={"default": provider, alias: another})) == ["E076"]
    assert codes(site(PROVIDERS={alias: provider})) == []


@pytest.mark.parametrize("alias", ["a", "-", "~", "_", "A-1_b.c~", "7"])
def test_an_alias_that_can_be_part_of_a_redirect_uri_is_accepted(alias: str) -> None:
    provider = settings.ORY_LOGOUT["PROVIDERS"]["default"]

    assert codes(site(PROVIDERS={"default": provider, alias: {**provider, "CLIENT_ID": "another"}})) == []


@pytest.mark.parametrize("given", [None, [], "https://op.example"])
def test_a_provider_that_is_no_dict_is_reported(given: Any) -> None:
    assert codes(site(PROVIDERS={"default": given})) == ["E007"]


def test_all_problems_are_reported_at_once() -> None:
    given = {**entry(USERINFO=1, SCOPE=""), "SITE_URL": "", "SITE_ULR": ""}

    assert sorted(codes(given)) == ["E002", "E010", "E028", "E035"]


# Reading the settings


def test_get_raises_the_first_problem() -> None:
    with (
        override_settings(ORY_LOGOUT=site(SITE_ULR="x")),
        pytest.raises(ImproperlyConfigured, match=r"^ORY_LOGOUT has no setting 'SITE_ULR'. Did you mean 'SITE_URL'\?$"),
    ):
        conf.get()


def test_settings_are_read_once() -> None:
    assert conf.get() is conf.get()


def test_settings_are_read_again_when_they_change() -> None:
    before = conf.get()
    with override_settings(ORY_LOGOUT=site(SITE_URL="https://another.example")):
        assert conf.get().site_url == "https://another.example"
    assert conf.get() == before
    assert conf.get().site_url == "https://rp.example"


def test_settings_are_checked_again_when_the_caches_change() -> None:
    both = {"default": settings.CACHES["default"], "shared": settings.CACHES["default"]}
    with override_settings(ORY_LOGOUT=site(CACHE_ALIAS="shared"), CACHES=both):
        conf.get()
        with override_settings(CACHES={"default": both["default"]}), pytest.raises(ImproperlyConfigured):
            conf.get()


def test_other_settings_change_nothing() -> None:
    before = conf.get()
    with override_settings(DEBUG=True):
        assert conf.get() is before


def test_config_hides_secrets_from_its_repr() -> None:
    with override_settings(ORY_LOGOUT=entry(DECRYPTION_KEY=PRIVATE_KEY)):
        shown = repr(conf.get())

    assert settings.CLIENT_SECRET not in shown
    assert str(PRIVATE_KEY["d"]) not in shown


# Kratos

AT_KRATOS = {"PUBLIC_URL": "https://login.example"}


def test_a_provider_with_kratos_alone_needs_no_registration() -> None:
    with override_settings(ORY_LOGOUT=site(PROVIDERS={"people": {"KRATOS": AT_KRATOS}})):
        assert conf.problems() == []
        config = conf.get()

    assert config.providers == {}
    assert [provider.alias for provider in config.kratos] == ["people"]


@pytest.mark.parametrize("name", sorted(PROVIDER_SETTINGS.keys() - KRATOS_ALONE - {"ISSUER", "CLIENT_ID"}))
def test_a_provider_with_kratos_alone_has_no_setting_of_a_registration(name: str) -> None:
    (problem,) = problems(site(PROVIDERS={"default": {"KRATOS": AT_KRATOS, name: PROVIDER_SETTINGS[name].default}}))

    assert (problem.code, problem.message) == ("E002", f"ORY_LOGOUT['PROVIDERS']['default'] has no setting {name!r}.")


@pytest.mark.parametrize(("given", "missing"), [("ISSUER", "E021"), ("CLIENT_ID", "E020")])
def test_an_incomplete_registration_with_kratos_is_reported(given: str, missing: str) -> None:
    assert codes(site(PROVIDERS={"default": {"KRATOS": AT_KRATOS, given: REQUIRED[given]}})) == [missing]


@pytest.mark.parametrize("create_users", [True, False])
@pytest.mark.parametrize("alone", [True, False])
def test_users_of_kratos_follow_the_settings_of_the_entry(create_users: bool, alone: bool) -> None:
    users = {"CREATE_USERS": create_users, "ASSOCIATE_BY_EMAIL": not create_users}
    given = {"KRATOS": AT_KRATOS, **users, **({} if alone else {**REQUIRED, "CLIENT_SECRET": "a secret"})}
    with override_settings(ORY_LOGOUT=site(PROVIDERS={"default": given})):
        [kratos] = conf.get().kratos

    assert (kratos.create_users, kratos.associate_by_email) == (create_users, not create_users)


def test_entries_with_kratos_and_others_are_separated() -> None:
    """One Kratos alone, and two registrations. One of these has a Kratos."""
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    providers = {
        "default": default,
        "people": {"KRATOS": AT_KRATOS},
        "hydra": {**default, "CLIENT_ID": "another", "KRATOS": {"PUBLIC_URL": "https://other.example/kratos/"}},
    }
    with override_settings(ORY_LOGOUT=site(PROVIDERS=providers)):
        assert conf.problems() == []
        config = conf.get()

    assert list(config.providers) == ["default", "hydra"]
    assert [provider.alias for provider in config.kratos] == ["people", "hydra"]
    assert config.providers["default"].kratos is None
    assert config.providers["hydra"].kratos == config.kratos[1]
    assert config.kratos_of("https://login.example") == config.kratos[0]
    assert config.kratos_of("https://other.example/kratos") == config.kratos[1]
    assert config.kratos_of("https://op.example") is None
    assert config.kratos_of("") is None


# Which provider


@pytest.fixture
def several() -> Any:
    """Two registrations at one provider, and one at another whose issuer differs by a slash."""
    provider = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    providers = {
        "default": provider,
        "second": {**provider, "CLIENT_ID": "second"},
        "slash": {**provider, "ISSUER": "https://op.example/"},
    }
    with override_settings(ORY_LOGOUT=site(PROVIDERS=providers)):
        yield conf.get()


@pytest.mark.parametrize(
    ("issuer", "aliases"),
    [
        ("https://op.example", ["default", "second"]),
        ("https://op.example/", ["slash"]),
        ("https://OP.example", []),
        (None, []),
        (["https://op.example"], []),
    ],
)
def test_providers_are_found_by_issuer(issuer: object, aliases: list[str], several: conf.Config) -> None:
    assert [provider.alias for provider in several.of_issuer(issuer)] == aliases


@pytest.mark.parametrize(
    ("issuer", "client_id", "alias"),
    [
        ("https://op.example", "django-site", "default"),
        ("https://op.example", "second", "second"),
        ("https://op.example/", "django-site", "slash"),
        ("https://op.example/", "second", None),
        ("https://op.example", "", None),
    ],
)
def test_providers_are_found_by_client(issuer: str, client_id: str, alias: str | None, several: conf.Config) -> None:
    found = several.of_client(issuer, client_id)

    assert (found.alias if found else None) == alias


# URLs


@pytest.mark.parametrize("url", ["https://rp.example", "https://rp.example/", "http://localhost:8000", "http://[::1]"])
def test_the_origin_of_a_url_is_found(url: str) -> None:
    assert is_origin(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "rp.example",
        "//rp.example",
        "https://rp.example/path",
        "https://rp.example?",
        "https://rp.example/?query",
        "https://rp.example#",
        "https://rp.example/#fragment",
        "https://somebody@rp.example",
        "https://rp.example:0",
        "ftp://rp.example",
        "http://[",
    ],
)
def test_other_text_has_no_origin(url: str) -> None:
    assert not is_origin(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://op.example",
        "HTTPS://op.example",
        "http://localhost:4444",
        "http://op.localhost",
        "http://127.0.0.1",
        "http://127.1.2.3:80/path",
        "http://[::1]:4444",
    ],
)
def test_secure_urls_are_secure(url: str) -> None:
    assert is_secure(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://op.example",
        "http://localhost.example",
        "http://notlocalhost",
        "http://127.0.0.1.example",
        "http://10.0.0.1",
        "http://[::2]",
        "http://localhost@op.example",
        "http://",
    ],
)
def test_other_urls_are_not_secure(url: str) -> None:
    assert not is_secure(url)
