"""Ory Network serves Hydra and Kratos at one URL."""

from collections.abc import Callable
from typing import Any

import pytest

from django_ory_logout import conf
from django_ory_logout.testing.kratos import Session

from ..conftest import SiteBrowser, query_of
from .conftest import PUBLIC_URL

ENTRY = {
    "ISSUER": PUBLIC_URL,
    "CLIENT_ID": "django-site",
    "CLIENT_SECRET": "secret",
    "KRATOS": {"PUBLIC_URL": PUBLIC_URL},
}


def configure(settings: Any, **others: Any) -> None:
    settings.ORY_LOGOUT = {"SITE_URL": "https://rp.example", "PROVIDERS": {"default": ENTRY, **others}}


def test_hydra_and_kratos_are_two_issuers(settings: Any) -> None:
    configure(settings)

    assert conf.get().kratos_of(PUBLIC_URL) is None
    assert conf.get().kratos_of(f"{PUBLIC_URL}/") == conf.get().providers["default"].kratos
    assert conf.get().kratos[0].public_url == PUBLIC_URL


@pytest.mark.django_db
def test_kratos_signs_in(settings: Any, browser_of: Callable[..., SiteBrowser], session: Session) -> None:
    configure(settings)

    assert browser_of(session).user["issuer"] == f"{PUBLIC_URL}/"


@pytest.mark.django_db
def test_the_login_page_leads_to_kratos(settings: Any, browser_of: Callable[..., SiteBrowser]) -> None:
    alone = {"KRATOS": {"PUBLIC_URL": f"{PUBLIC_URL}/"}}
    configure(settings, alone=alone)

    url = browser_of().get("/auth/login/", {"provider": "alone"})["Location"]

    assert url.partition("?")[0] == f"{PUBLIC_URL}/self-service/login/browser"
    assert query_of(url)["return_to"].startswith("https://rp.example/auth/login/")


def test_a_third_spelling_of_the_url_is_an_error(settings: Any) -> None:
    with_slash = {**ENTRY, "ISSUER": f"{PUBLIC_URL}/", "KRATOS": {"PUBLIC_URL": "https://elsewhere.example"}}
    configure(settings, other=with_slash)

    assert [problem.code for problem in conf.problems()] == ["E016"]
