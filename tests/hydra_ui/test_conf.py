"""``ORY_HYDRA_UI`` and its checks."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_ory_logout.exceptions import SignInRefused
from django_ory_logout.hydra_ui import conf
from django_ory_logout.hydra_ui.checks import check_templates
from django_ory_logout.hydra_ui.subjects import field_reader, is_unique_field, known_subject

from .conftest import Configure


def ids() -> list[str | None]:
    return [message.id for message in run_checks() if str(message.id).startswith("ory_hydra_ui.")]


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("E002", {"ADMIN_URI": "http://hydra.example"}),
    ("E003", {"ADMIN_TOKEN": "ory_pat_x"}),
    ("E010", {"ADMIN_URL": "http://hydra.example/admin"}),
    ("E010", {"ADMIN_URL": 4445}),
    ("E011", {"ADMIN_TOKEN": "line\nbreak"}),
    ("E012", {"SUBJECT": "first_name"}),
    ("E012", {"SUBJECT": "nothing"}),
    ("E012", {"SUBJECT": "no.such.module"}),
    ("E012", {"SUBJECT": ".relative"}),
    ("E012", {"SUBJECT": "..relative"}),
    ("E012", {"SUBJECT": ""}),
    ("E012", {"SUBJECT": f"{__name__}.WRONG"}),
    ("E013", {"LOGIN_FORM": "django.forms.Form"}),
    ("E013", {"LOGIN_FORM": f"{__name__}.ids"}),
    ("E014", {"REMEMBER_FOR": -1}),
    ("E014", {"REMEMBER_FOR": True}),
    ("E015", {"CONSENT_REMEMBER_FOR": "3600"}),
    ("E016", {"CLAIMS": "no.such.hook"}),
    ("E017", {"AUTHENTICATION": f"{__name__}.WRONG"}),
    ("E018", {"SCOPES": {"openid": 1}}),
    ("W030", {"SUBJECT": "username"}),
]


@pytest.mark.parametrize(("code", "changes"), WRONG, ids=[f"{code}-{change}" for code, change in WRONG])
def test_a_wrong_setting_has_its_check(configure: Configure, code: str, changes: dict[str, Any]) -> None:
    configure(**changes)

    assert ids() == [f"ory_hydra_ui.{code}"]


def test_the_settings_of_the_tests_pass() -> None:
    assert ids() == []


@pytest.mark.parametrize("given", [None, "http://hydra.example"])
def test_missing_settings_are_an_error(given: object) -> None:
    with override_settings(ORY_HYDRA_UI=given):
        assert ids() == ["ory_hydra_ui.E001"]
        with pytest.raises(ImproperlyConfigured, match=r"ORY_HYDRA_UI is .*Write: ORY_HYDRA_UI = {'ADMIN_URL': 'http"):
            conf.get()


def test_admin_url_is_required() -> None:
    with override_settings(ORY_HYDRA_UI={}):
        assert ids() == ["ory_hydra_ui.E010"]


@override_settings(ROOT_URLCONF="tests.hydra_ui.empty_urls")
def test_missing_urls_are_an_error() -> None:
    assert ids() == ["ory_hydra_ui.E031"]


@override_settings(SESSION_COOKIE_SAMESITE="Strict")
def test_a_strict_session_cookie_is_an_error() -> None:
    assert ids() == ["ory_hydra_ui.E032"]


@override_settings(TEMPLATES=[])
def test_templates_are_not_found() -> None:
    assert [one.id for one in check_templates()] == ["ory_hydra_ui.E033"]


def test_an_api_key_is_accepted_with_https(configure: Configure) -> None:
    configure(ADMIN_URL="https://hydra.example", ADMIN_TOKEN="ory_pat_x")

    assert ids() == []
    assert conf.get().admin.token == "ory_pat_x"


def test_other_settings_change_nothing() -> None:
    before = conf.get()
    with override_settings(SECRET_KEY="another"):
        assert conf.get() is before


def test_the_site_needs_no_settings_of_a_relying_party() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.hydra_ui.site.settings"}
    done = subprocess.run(
        [sys.executable, "-m", "django", "check"], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_the_app_has_a_name() -> None:
    assert apps.get_app_config("ory_hydra_ui").name == "django_ory_logout.hydra_ui"


# SUBJECT


def test_the_subject_is_a_field() -> None:
    assert field_reader("username")(User(username="birch")) == "birch"


def test_an_empty_value_is_no_subject() -> None:
    with pytest.raises(SignInRefused, match="subject_missing"):
        known_subject(field_reader("pk"), User(username="birch"))


@pytest.mark.parametrize(("name", "unique"), [("pk", True), ("id", True), ("username", True), ("email", False)])
def test_the_field_of_the_subject_must_be_unique(name: str, unique: bool) -> None:
    assert is_unique_field(name) is unique
