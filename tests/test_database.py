"""Which database faults can be retried."""

from typing import Any
from unittest.mock import patch

import pytest
from django.db import Error, OperationalError, ProgrammingError

from django_ory_logout.database import database_fault

MIGRATE = "Run: python manage.py migrate"
COLUMN = 'column "code" of relation "t" does not exist'


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OperationalError("no such table: ory_logout_loginsession"), "no such table: ory_logout_loginsession"),
        (OperationalError("table t has no column named code"), "has no column named code"),
        (ProgrammingError('relation "t" does not exist\nLINE 1: a key'), 'relation "t" does not exist'),
        (ProgrammingError(COLUMN), COLUMN),
        (ProgrammingError(1146, "Table 'site.t' doesn't exist"), "Table 'site.t' doesn't exist"),
        (OperationalError(1054, "Unknown column 't.code' in 'field list'"), "Unknown column 't.code'"),
    ],
)
def test_a_missing_migration_cannot_be_retried(error: Error, words: str) -> None:
    assert str(database_fault(error)) == f"not_migrated: {words}. {MIGRATE}"


class Elsewhere:
    """A router that writes everything to another database."""

    def db_for_write(self, model: type, **_hints: object) -> str:
        return "elsewhere"


@pytest.mark.parametrize(
    ("table", "argument"),
    [("ory_logout_loginsession", " --database elsewhere"), ("t", ", with --database for each of")],
)
def test_a_missing_migration_of_one_of_several_databases_cannot_be_retried(
    table: str, argument: str, settings: Any
) -> None:
    settings.DATABASE_ROUTERS = [Elsewhere()]
    with patch.dict(settings.DATABASES, {"elsewhere": {}}):
        said = str(database_fault(OperationalError(f"no such table: {table}")))

    assert f"{MIGRATE}{argument}" in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ProgrammingError("permission denied for a key"), "database_unusable: ProgrammingError"),
        (OperationalError("attempt to write a readonly database"), "database_unusable: OperationalError"),
        (OperationalError("a key is locked"), "database_fault: OperationalError"),
    ],
)
def test_other_faults_can_be_retried(error: Error, said: str) -> None:
    assert str(database_fault(error)) == said
