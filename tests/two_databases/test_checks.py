"""Routers with which the app does not work."""

from typing import Any

import pytest

from django_ory_logout.checks import check_databases


@pytest.mark.parametrize("name", ["AppElsewhere", "UsersElsewhere", "AllHere"])
def test_routers_that_keep_the_app_together_pass(name: str, settings: Any) -> None:
    settings.DATABASE_ROUTERS = [f"tests.two_databases.routers.{name}"]

    assert check_databases() == []


def test_models_in_several_databases_are_reported(settings: Any) -> None:
    settings.DATABASE_ROUTERS = ["tests.two_databases.routers.Apart"]

    (found,) = check_databases()

    assert found.id == "ory_logout.E087"
    assert "LogoutReceipt in 'default'" in found.msg
    assert "LoginSession in 'elsewhere'" in found.msg


def test_a_database_without_tables_is_reported(settings: Any) -> None:
    settings.DATABASE_ROUTERS = ["tests.two_databases.routers.WithoutTables"]

    (found,) = check_databases()

    assert found.id == "ory_logout.E086"
    assert "'elsewhere'" in found.msg
