"""Turn faults of the database into our errors: temporary ones, and ones that an administrator must fix."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

from django.apps import apps
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, IntegrityError, ProgrammingError, router
from django.db import Error as DatabaseFault
from django.db.models import Model
from django.db.models.sql.compiler import SQLCompiler

from .exceptions import SetupError, TemporaryError

#: The messages of SQLite, PostgreSQL and MySQL for a missing table or column. We show only this part of their text.
_MISSING = re.compile(
    r"no such (?:table|column): [\w.]+|has no column named \w+|(?:relation|column) [\w.\"]+(?: of [\w. \"]+)? "
    r"does not exist|Table '[\w.]+' doesn't exist|Unknown column '[\w.]+'"
)


def database_fault(error: DatabaseFault) -> TemporaryError:
    """Our error for ``error``, without its text, which can hold a session key. :exc:`SetupError`: retrying fails."""
    missing = _MISSING.search(str(error))
    if missing:
        return SetupError("not_migrated", f"{missing[0]}. Run: python manage.py migrate{_database_of(missing[0])}")
    if isinstance(error, ProgrammingError) or "readonly database" in str(error):
        return SetupError("database_unusable", type(error).__name__)
    return TemporaryError("database_fault", type(error).__name__)


@contextmanager
def database_faults() -> Iterator[None]:
    """Raise :func:`database_fault` for a fault of our database. Its own text can hold a session key."""
    try:
        yield
    except DatabaseFault as error:
        raise database_fault(error) from error


def _database_of(missing: str) -> str:
    """The argument of ``migrate`` for the database of the table that ``missing`` names."""
    names = set(re.findall(r"\w+", missing))
    alias = next((router.db_for_write(model) for model in apps.get_models() if model._meta.db_table in names), None)
    if alias is None:
        return "" if len(settings.DATABASES) == 1 else ", with --database for each of DATABASES"
    return "" if alias == DEFAULT_DB_ALIAS else f" --database {alias}"


#: Words in the messages of databases about a constraint, and our text for it, which never has a value.
_CONSTRAINTS = {
    "unique|duplicate": "a field must be unique, and its value is taken",
    "null|default value": "a required field has no value",
    "foreign key": "what a field refers to is not there",
    "check|constraint +failed for": "a value is not allowed",
}
#: The parts of these messages that a model or a user chose: quoted names, and the columns in those of SQLite.
_CHOSEN = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|(?<=failed:).*")
#: The name of the column or constraint in the messages of SQLite, PostgreSQL and MySQL.
_NAME = re.compile(
    r"failed: ([\w., ]+)$|column \"(\w+)\"|constraint \"(\w+)\"|(?:Field|Column) '(\w+)'|for key '([\w.]+)'"
)


def broken_constraint(error: IntegrityError) -> str:
    """The constraint that ``error`` is about, in our own text: the database's text can hold values."""
    message = str(error.args[-1] if error.args else "").partition("\n")[0]
    message = re.sub("Duplicate entry '.*' for", "Duplicate for", message)
    words = _CHOSEN.sub("", message).lower()
    reason = next((text for pattern, text in _CONSTRAINTS.items() if re.search(pattern, words)), "")
    if not reason:
        return f"the database refuses it ({type(error).__name__})"
    name = _NAME.search(message)
    return f"{reason} ({next(filter(None, name.groups()))})" if name else reason


def is_taken(error: Exception) -> bool:
    """Whether another row has a value that must be unique."""
    return isinstance(error, IntegrityError) and broken_constraint(error).startswith(_CONSTRAINTS["unique|duplicate"])


def model_of(error: Exception) -> type[Model] | None:
    """The model of the statement that raised ``error``."""
    model = None
    for frame, _line in walk_tb(error.__traceback__):
        compiler = frame.f_locals.get("self")
        if isinstance(compiler, SQLCompiler):
            model = compiler.query.model
    return model
