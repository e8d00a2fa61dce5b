"""Which checks are done, for whom, and in what time."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from django_ory_logout import conf
from django_ory_logout.doctor import CHECKS, run_checks, runner
from django_ory_logout.doctor.findings import SECTIONS, NotKnown
from django_ory_logout.doctor.targets import KratosTarget
from django_ory_logout.testing import Network

from ..conftest import Clock
from .conftest import looked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("healthy")]


def test_checks_are_done_section_by_section() -> None:
    order = [SECTIONS.index(one.section) for one in runner.ordered_checks()]

    assert order == sorted(order)
    assert len(order) == len(CHECKS)


def test_only_some_checks_or_sections() -> None:
    assert list(looked("site.cache", "provider.issuer")) == ["site.cache", "provider.issuer"]
    assert {check.partition(".")[0] for check in looked("site")} == {"site"}


@pytest.mark.parametrize("arguments", [{"only": ["site.no_such_check"]}, {"alias": "no such alias"}])
def test_what_there_is_not(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="There is no"):
        run_checks(**arguments)


def test_of_one_provider_only(settings: Any) -> None:
    entry = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    kratos = {"KRATOS": {"PUBLIC_URL": "https://login.example"}}
    providers = {"default": entry, "other": {**entry, "CLIENT_ID": "other-site"}, "people": kratos}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": providers}

    for alias in providers:
        about = {one.about for rows in looked("site.cache", "provider.issuer", alias=alias).values() for one in rows}
        assert about == {"", alias} - {"people"}


def test_a_kratos_without_an_admin_api(settings: Any) -> None:
    entry = {"KRATOS": {"PUBLIC_URL": "https://login.example"}}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": entry}}

    with pytest.raises(NotKnown, match="No ADMIN_URL"):
        _ = KratosTarget(conf.get().kratos[0]).admin


def test_settings_that_fail_in_any_way_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise TypeError("a password")

    monkeypatch.setattr(runner, "conf", SimpleNamespace(get=broken))

    assert {one.found for one in looked("provider")["provider.discovery"]} == {"See site.checks."}
    assert looked("provider.discovery", alias="any")


def test_a_run_ends_in_bounded_time(network: Network, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + clock.ahead)
    rows = run_checks(only=["site.cache", "provider"])
    assert next(rows).verdict == "pass"

    clock.advance(runner.LAST_START_SECONDS)

    left = list(rows)
    assert {one.verdict for one in left} == {"unknown"}
    assert {one.found for one in left} == {"Not checked: the checks before took more than 120 s."}
    assert (left[0].check, left[0].about) == ("provider.discovery", "default")
    assert network.calls == []
