"""Which checks run, for which provider, and how long they may take."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from django_ory_logout.doctor import CHECKS, run_checks, runner
from django_ory_logout.doctor.findings import SECTIONS
from django_ory_logout.testing import Network

from ..conftest import Clock
from .conftest import looked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("healthy")]


def test_checks_run_section_by_section() -> None:
    order = [SECTIONS.index(check.section) for check in runner.ordered_checks()]

    assert order == sorted(order)
    assert len(order) == len(CHECKS)


def test_only_some_checks_or_sections_run() -> None:
    assert list(looked("site.cache", "provider.issuer")) == ["site.cache", "provider.issuer"]
    assert {check.partition(".")[0] for check in looked("site")} == {"site"}


@pytest.mark.parametrize("arguments", [{"only": ["site.no_such_check"]}, {"alias": "no such alias"}])
def test_unknown_names_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="There is no"):
        run_checks(**arguments)


def test_the_checks_of_one_provider_run(settings: Any) -> None:
    entry = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    kratos = {"KRATOS": {"PUBLIC_URL": "https://login.example"}}
    providers = {"default": entry, "other": {**entry, "CLIENT_ID": "other-site"}, "people": kratos}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": providers}

    for alias in providers:
        about = {
            finding.about for rows in looked("site.cache", "provider.issuer", alias=alias).values() for finding in rows
        }
        assert about == {"", alias} - {"people"}


def test_a_kratos_without_an_admin_api_has_its_rows(settings: Any) -> None:
    entry = {"KRATOS": {"PUBLIC_URL": "https://login.example"}}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": entry}}

    [finding] = looked("kratos.admin")["kratos.admin"]
    assert (finding.verdict, finding.found.startswith("None is configured")) == ("pass", True)


def test_any_settings_error_is_reported_as_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise TypeError("a password")

    monkeypatch.setattr(runner, "conf", SimpleNamespace(get=broken))

    assert {finding.found for finding in looked("provider")["provider.discovery"]} == {"See site.checks."}
    assert looked("provider.discovery", alias="any")


def test_a_run_ends_in_bounded_time(network: Network, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + clock.ahead)
    rows = run_checks(only=["site.cache", "provider"])
    assert next(rows).verdict == "pass"

    clock.advance(runner.LAST_START_SECONDS)

    left = list(rows)
    assert {finding.verdict for finding in left} == {"unknown"}
    assert {finding.found for finding in left} == {"Not checked: the checks before took more than 120 s."}
    assert (left[0].check, left[0].about) == ("provider.discovery", "default")
    assert network.calls == []
