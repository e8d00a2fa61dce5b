"""``PROVIDERS[…]["HYDRA"]``"""

from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from pytest_django.fixtures import Settings

from django_ory_logout import conf
from django_ory_logout.ory.hydra import HydraAdmin


@pytest.fixture
def hydra_setting(settings: Settings) -> Callable[[object], None]:
    """Sets it in the tests' own settings."""

    def configure(value: object) -> None:
        given = django_settings.ORY_LOGOUT
        default = given["PROVIDERS"]["default"] | {"HYDRA": value}
        settings.ORY_LOGOUT = given | {"PROVIDERS": {"default": default}}

    return configure


def test_a_provider_has_none_unless_configured() -> None:
    assert conf.get().providers["default"].hydra is None


def test_it_has_an_address(hydra_setting: Callable[[object], None]) -> None:
    hydra_setting({"ADMIN_URL": "http://hydra:4445"})

    assert conf.problems() == []
    assert conf.get().providers["default"].hydra == HydraAdmin("http://hydra:4445", None)


@pytest.mark.parametrize(
    "url", ["https://project.projects.oryapis.example", "http://localhost:4445", "http://127.0.0.1"]
)
def test_it_can_have_an_api_key(hydra_setting: Callable[[object], None], url: str) -> None:
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
def test_what_cannot_be_used_is_one_problem(hydra_setting: Callable[[object], None], value: object, code: str) -> None:
    hydra_setting(value)

    assert [one.code for one in conf.problems()] == [code]
    assert f"ory_logout.{code}" in {message.id for message in run_checks()}


def test_a_misspelt_key_is_recognised(hydra_setting: Callable[[object], None]) -> None:
    hydra_setting({"ADMIN_URL": "http://localhost:4445", "ADMIN_TOKN": "x"})

    (problem,) = conf.problems()

    assert problem.message == "ORY_LOGOUT['PROVIDERS']['default']['HYDRA'] has no setting 'ADMIN_TOKN'."
    assert problem.hint == "Did you mean 'ADMIN_TOKEN'?"


def test_the_api_key_is_in_no_message(hydra_setting: Callable[[object], None]) -> None:
    hydra_setting({"ADMIN_URL": "http://hydra:4445", "ADMIN_TOKEN": "ory_pat_x"})

    assert "ory_pat_x" not in str(conf.problems())
