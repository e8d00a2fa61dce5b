"""Which database faults can be retried."""

from typing import Any
from unittest.mock import patch

import pytest
from django.db import Error, IntegrityError, OperationalError, ProgrammingError

from django_ory_logout.database import broken_constraint, database_fault, is_taken

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


TAKEN, MISSING = "a field must be unique, and its value is taken", "a required field has no value"
GONE, REFUSED = "what a field refers to is not there", "a value is not allowed"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("UNIQUE constraint failed: m.null_check", f"{TAKEN} (m.null_check)"),
        ("NOT NULL constraint failed: m.unique_id", f"{MISSING} (m.unique_id)"),
        ("CHECK constraint failed: duplicate_free", f"{REFUSED} (duplicate_free)"),
        ("FOREIGN KEY constraint failed", GONE),
        ('duplicate key value violates unique constraint "a_null_key"\nDETAIL: a value', f"{TAKEN} (a_null_key)"),
        (
            'null value in column "unique_name" of relation "m" violates not-null constraint\nDETAIL: a value',
            f"{MISSING} (unique_name)",
        ),
        ('new row for relation "m" violates check constraint "unique_or_empty"', f"{REFUSED} (unique_or_empty)"),
        (
            'insert or update on table "m" violates foreign key constraint "a_nullable_fk"',
            f"{GONE} (a_nullable_fk)",
        ),
        ("Duplicate entry 'a null value' for key 'm.a_check'", f"{TAKEN} (m.a_check)"),
        ("Column 'unique_id' cannot be null", f"{MISSING} (unique_id)"),
        ("Field 'unique_id' doesn't have a default value", f"{MISSING} (unique_id)"),
        ("Cannot add or update a child row: a foreign key constraint fails (`s`.`unique`, CONSTRAINT `null`", GONE),
        ("CONSTRAINT `unique_or_null` failed for `site`.`m`", REFUSED),
        ("another text", "the database refuses it (IntegrityError)"),
    ],
)
def test_names_do_not_decide_what_a_broken_constraint_means(message: str, said: str) -> None:
    for error in (IntegrityError(message), IntegrityError(1062, message)):
        assert broken_constraint(error) == said
        assert is_taken(error) == said.startswith(TAKEN)
    assert broken_constraint(IntegrityError()) == "the database refuses it (IntegrityError)"
