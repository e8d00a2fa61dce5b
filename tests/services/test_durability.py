"""Whether the database server writes a commit to disk before it confirms the commit."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection

pytestmark = pytest.mark.django_db(transaction=True)

DURABLE, NOT_DURABLE = {
    "postgresql": ("SET synchronous_commit = on", "SET synchronous_commit = off"),
    "mysql": ("SET GLOBAL innodb_flush_log_at_trx_commit = 1", "SET GLOBAL innodb_flush_log_at_trx_commit = 0"),
}.get(connection.vendor, ("", ""))


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """``make services`` starts PostgreSQL and MariaDB with these settings."""
    yield
    execute(DURABLE if connection.vendor == "postgresql" else NOT_DURABLE)


def test_a_setting_that_loses_logouts_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    execute(NOT_DURABLE)
    call_command("check", "--database", "default")
    assert "ory_logout.W089" in capsys.readouterr().err

    execute(DURABLE)
    call_command("check", "--database", "default")
    assert "ory_logout.W089" not in capsys.readouterr().err
