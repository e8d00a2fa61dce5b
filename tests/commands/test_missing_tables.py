"""Without this app's tables, each command reports it and names the command to run."""

from collections.abc import Iterator
from io import StringIO

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

pytestmark = pytest.mark.django_db(transaction=True)

MIGRATE = "Run: python manage.py migrate"


@pytest.fixture
def without_tables() -> Iterator[None]:
    """The tables get other names for one test. The models keep theirs: Django caches columns with the table's name."""
    models = [*apps.get_app_config("ory_logout").get_models(), get_user_model()]
    tables = [model._meta.db_table for model in models]
    for table in tables:
        connection.cursor().execute(f"ALTER TABLE {table} RENAME TO no_{table}")
    yield
    for table in tables:
        connection.cursor().execute(f"ALTER TABLE no_{table} RENAME TO {table}")


@pytest.mark.usefixtures("without_tables")
@pytest.mark.parametrize(
    ("arguments", "table"),
    [
        (["ory_purge"], "ory_logout_logoutreceipt"),
        (["ory_force_logout", "amber"], "auth_user"),
        (["ory_force_logout", "--subject", "amber"], "ory_logout_loginsession"),
        (["ory_force_logout", "--sid", "sid"], "ory_logout_loginsession"),
        (["ory_force_logout", "--subject", "amber", "--consents-only"], "ory_logout_loginsession"),
        (["ory_doctor", "--follow", "--seconds", "0.1"], "ory_logout_logoutevent"),
    ],
)
def test_a_missing_table_is_reported(arguments: list[str], table: str) -> None:
    with pytest.raises(CommandError) as raised:
        call_command(*arguments, stdout=StringIO(), stderr=StringIO())

    assert "not_migrated: " in str(raised.value)
    assert table in str(raised.value)
    assert MIGRATE in str(raised.value)


@pytest.mark.usefixtures("without_tables")
def test_steps_of_a_forced_logout_report_it_in_json() -> None:
    said = StringIO()
    with pytest.raises(CommandError):
        call_command("ory_force_logout", "--subject", "amber", "--json", stdout=said, stderr=StringIO())

    assert said.getvalue().count(f'. {MIGRATE}"') == 2


@pytest.mark.parametrize("arguments", [["ory_force_logout", "--subject", "amber"], ["ory_register_client"]])
def test_unusable_settings_are_reported(arguments: list[str]) -> None:
    with override_settings(ORY_LOGOUT=None), pytest.raises(CommandError, match=r"ORY_LOGOUT is missing\. Write: "):
        call_command(*arguments, stdout=StringIO(), stderr=StringIO())
