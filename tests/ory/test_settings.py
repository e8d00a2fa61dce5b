"""``PROVIDERS[…]["HYDRA"]`` and ``PROVIDERS[…]["KRATOS"]``"""

from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from pytest_django.fixtures import Settings

from django_ory_logout import conf
from django_ory_logout.conf import KRATOS_SETTINGS
from django_ory_logout.ory.hydra import HydraAdmin
from django_ory_logout.ory.kratos import KratosAdmin, KratosPublic


@pytest.fixture
def hydra_setting(settings: Settings) -> Callable[[object], None]:
    """Change it in the tests' own settings."""

    def configure(value: object) -> None:
        given = django_settings.ORY_LOGOUT
        default = given["PROVIDERS"]["default"] | {"HYDRA": value}
        settings.ORY_LOGOUT = given | {"PROVIDERS": {"default": default}}

    return configure


def test_hydra_is_not_configured_by_default() -> None:
    assert conf.get().providers["default"].hydra is None


def test_hydra_has_an_address(hydra_setting: Callable[[object], None]) -> None:
    hydra_setting({"ADMIN_URL": "http://hydra:4445"})

    assert conf.problems() == []
    assert conf.get().providers["default"].hydra == HydraAdmin("http://hydra:4445", None)


@pytest.mark.parametrize(
    "url", ["https://project.projects.oryapis.example", "http://localhost:4445", "http://127.0.0.1"]
)
def test_hydra_can_have_an_api_key(hydra_setting: Callable[[object], None], url: str) -> None:
    hydra_setting({"ADMIN_URL": url, "ADMIN_TOKEN": "ory_pat_x"})

    assert conf.problems() == []
    assert conf.get().providers["default"].hydra == HydraAdmin(url, "ory_pat_x")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("http://hydra:4445", "E039"),
        (None, "E039"),
        ({}, "E040"),
        ({"ADMIN_TOKEN": "ory_pat_x"}, "E040"),
        ({"ADMIN_URL": ""}, "E040"),
        ({"ADMIN_URL": 4445}, "E040"),
        ({"ADMIN_URL": "hydra:4445"}, "E040"),
        ({"ADMIN_URL": "http://hydra:4445/admin"}, "E040"),
        ({"ADMIN_URL": "http://hydra:4445/admin/"}, "E040"),
        ({"ADMIN_URL": "http://hydra:4445?a=b"}, "E040"),
        ({"ADMIN_URL": "http://hydra:4445#a"}, "E040"),
        ({"ADMIN_URL": "http://user:password@hydra:4445"}, "E040"),
        ({"ADMIN_URL": "http://localhost:4445", "ADMIN_TOKEN": None}, "E041"),
        ({"ADMIN_URL": "http://localhost:4445", "ADMIN_TOKEN": "two\nlines"}, "E041"),
        ({"ADMIN_URL": "http://localhost:4445", "ADMIN_TOKEN": "ключ"}, "E041"),
        ({"ADMIN_URL": "http://localhost:4445", "URL": "x"}, "E002"),
        ({"ADMIN_URL": "http://hydra:4445", "ADMIN_TOKEN": "ory_pat_x"}, "E008"),
    ],
)
def test_each_wrong_value_is_one_problem(hydra_setting: Callable[[object], None], value: object, code: str) -> None:
    hydra_setting(value)

    assert [problem.code for problem in conf.problems()] == [code]
    assert f"ory_logout.{code}" in {message.id for message in run_checks()}


def test_a_misspelt_key_is_recognised(hydra_setting: Callable[[object], None]) -> None:
    hydra_setting({"ADMIN_URL": "http://localhost:4445", "ADMIN_TOKN": "x"})

    (problem,) = conf.problems()

    assert problem.message == "ORY_LOGOUT['PROVIDERS']['default']['HYDRA'] has no setting 'ADMIN_TOKN'."
    assert problem.hint == "Did you mean 'ADMIN_TOKEN'?"


def test_no_message_contains_the_api_key(hydra_setting: Callable[[object], None]) -> None:
    hydra_setting({"ADMIN_URL": "http://hydra:4445", "ADMIN_TOKEN": "ory_pat_x"})

    assert "ory_pat_x" not in str(conf.problems())


# Kratos

PUBLIC_URL = "https://login.example"


@pytest.fixture(params=["alone", "beside a provider"])
def kratos_setting(request: pytest.FixtureRequest, settings: Settings) -> Callable[[object], None]:
    """Change it in the tests' own settings, with and without a registration."""

    def configure(value: object) -> None:
        given = django_settings.ORY_LOGOUT
        registration = {} if request.param == "alone" else given["PROVIDERS"]["default"]
        settings.ORY_LOGOUT = given | {"PROVIDERS": {"default": registration | {"KRATOS": value}}}

    return configure


def test_kratos_is_not_configured_by_default() -> None:
    assert conf.get().kratos == []
    assert conf.get().providers["default"].kratos is None


def test_kratos_has_defaults(kratos_setting: Callable[[object], None]) -> None:
    kratos_setting({"PUBLIC_URL": PUBLIC_URL})

    assert conf.problems() == []
    assert conf.get().kratos == [
        conf.KratosConfig(
            alias="default",
            issuer=PUBLIC_URL,
            public=KratosPublic(PUBLIC_URL),
            admin=None,
            cookie_name="ory_kratos_session",
            whoami_seconds=10,
            create_users=True,
            associate_by_email=False,
        )
    ]


def test_values_of_kratos_are_read(kratos_setting: Callable[[object], None]) -> None:
    values = {
        "PUBLIC_URL": "https://example.org/login/",
        "INTERNAL_URL": "http://kratos:4433/",
        "ADMIN_URL": "https://kratos-admin.example",
        "ADMIN_TOKEN": "ory_pat_x",
        "COOKIE_NAME": "__Host-people.session",
        "WHOAMI_SECONDS": 0.5,
    }
    assert values.keys() == KRATOS_SETTINGS.keys()
    kratos_setting(values)

    [kratos] = conf.get().kratos

    assert kratos.issuer == "https://example.org/login"
    assert kratos.public == KratosPublic("http://kratos:4433/")
    assert kratos.admin == KratosAdmin("https://kratos-admin.example", "ory_pat_x")
    assert kratos.cookie_name == "__Host-people.session"
    assert kratos.whoami_seconds == 0.5


@pytest.mark.parametrize("url", ["http://localhost:4433", "http://127.0.0.1:4433", "https://example.org/kratos"])
def test_the_public_url_of_kratos_is_read(kratos_setting: Callable[[object], None], url: str) -> None:
    kratos_setting({"PUBLIC_URL": url, "INTERNAL_URL": "http://kratos:4433", "ADMIN_URL": "http://kratos:4434"})

    assert conf.problems() == []


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("https://login.example", "E043"),
        (None, "E043"),
        ({}, "E044"),
        ({"PUBLIC_URL": ""}, "E044"),
        ({"PUBLIC_URL": None}, "E044"),
        ({"PUBLIC_URL": "login.example"}, "E044"),
        ({"PUBLIC_URL": f"{PUBLIC_URL}?a=b"}, "E044"),
        ({"PUBLIC_URL": f"{PUBLIC_URL}#a"}, "E044"),
        ({"PUBLIC_URL": "https://user:password@login.example"}, "E044"),
        ({"ADMIN_URL": "http://kratos:4434"}, "E044"),
        ({"PUBLIC_URL": PUBLIC_URL, "INTERNAL_URL": None}, "E045"),
        ({"PUBLIC_URL": PUBLIC_URL, "INTERNAL_URL": "kratos:4433"}, "E045"),
        ({"PUBLIC_URL": PUBLIC_URL, "INTERNAL_URL": "http://kratos:4433?a"}, "E045"),
        ({"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": None}, "E046"),
        ({"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": "kratos:4434"}, "E046"),
        ({"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": "http://kratos:4434/admin"}, "E046"),
        ({"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": "http://kratos:4434/admin/"}, "E046"),
        ({"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": "http://localhost", "ADMIN_TOKEN": None}, "E047"),
        ({"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": "http://localhost", "ADMIN_TOKEN": "two\nlines"}, "E047"),
        ({"PUBLIC_URL": PUBLIC_URL, "COOKIE_NAME": ""}, "E048"),
        ({"PUBLIC_URL": PUBLIC_URL, "COOKIE_NAME": "a=b"}, "E048"),
        ({"PUBLIC_URL": PUBLIC_URL, "COOKIE_NAME": "a; b"}, "E048"),
        ({"PUBLIC_URL": PUBLIC_URL, "COOKIE_NAME": "a\nb"}, "E048"),
        ({"PUBLIC_URL": PUBLIC_URL, "COOKIE_NAME": "ключ"}, "E048"),
        ({"PUBLIC_URL": PUBLIC_URL, "COOKIE_NAME": None}, "E048"),
        ({"PUBLIC_URL": PUBLIC_URL, "WHOAMI_SECONDS": -1}, "E049"),
        ({"PUBLIC_URL": PUBLIC_URL, "WHOAMI_SECONDS": "10"}, "E049"),
        ({"PUBLIC_URL": PUBLIC_URL, "WHOAMI_SECONDS": True}, "E049"),
        ({"PUBLIC_URL": PUBLIC_URL, "WHOAMI_SECONDS": float("nan")}, "E049"),
        ({"PUBLIC_URL": PUBLIC_URL, "URL": "x"}, "E002"),
        ({"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": "http://kratos:4434", "ADMIN_TOKEN": "ory_pat_x"}, "E008"),
        ({"PUBLIC_URL": PUBLIC_URL, "ADMIN_TOKEN": "ory_pat_x"}, "E046"),
        ({"PUBLIC_URL": "http://login.example"}, "E015"),
        ({"PUBLIC_URL": "http://login.example", "INTERNAL_URL": "https://login.example"}, "E015"),
    ],
)
def test_each_wrong_value_of_kratos_is_one_problem(
    kratos_setting: Callable[[object], None], value: object, code: str
) -> None:
    kratos_setting(value)

    assert [problem.code for problem in conf.problems()] == [code]
    assert f"ory_logout.{code}" in {message.id for message in run_checks()}


def test_a_misspelt_key_of_kratos_is_recognised(kratos_setting: Callable[[object], None]) -> None:
    kratos_setting({"PUBLIC_URL": PUBLIC_URL, "WHOAMI_SECOND": 5})

    (problem,) = conf.problems()

    assert problem.message == "ORY_LOGOUT['PROVIDERS']['default']['KRATOS'] has no setting 'WHOAMI_SECOND'."
    assert problem.hint == "Did you mean 'WHOAMI_SECONDS'?"


def test_the_api_key_of_kratos_is_not_shown(kratos_setting: Callable[[object], None]) -> None:
    kratos_setting({"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": "http://kratos:4434", "ADMIN_TOKEN": "ory_pat_x"})
    assert "ory_pat_x" not in str(conf.problems())

    kratos_setting({"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": "https://kratos:4434", "ADMIN_TOKEN": "ory_pat_x"})
    assert "ory_pat_x" not in repr(conf.get())
