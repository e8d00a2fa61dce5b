"""What a fault of the database means: one that passes, or one that the people who run the site have to repair."""

import re

from django.apps import apps
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, router
from django.db import Error as DatabaseFault

from .exceptions import SetupError, TemporaryError

#: What SQLite, PostgreSQL and MySQL say of a table or a column that is not there. Nothing else of their text is kept.
_MISSING = re.compile(
    r"no such (?:table|column): [\w.]+|has no column named \w+|(?:relation|column) [\w.\"]+(?: of [\w. \"]+)? "
    r"does not exist|Table '[\w.]+' doesn't exist|Unknown column '[\w.]+'"
)


def database_fault(error: DatabaseFault) -> TemporaryError:
    """``error`` without its text, which can hold a session key. :exc:`SetupError`: another try does not help."""
    missing = _MISSING.search(str(error))
    if missing:
        return SetupError("not_migrated", f"{missing[0]}. Run: python manage.py migrate{_database_of(missing[0])}")
    if isinstance(error, ProgrammingError) or "readonly database" in str(error):
        return SetupError("database_unusable", type(error).__name__)
    return TemporaryError("database_fault", type(error).__name__)


def _database_of(missing: str) -> str:
    """The argument of ``migrate`` for the database of the table that ``missing`` names."""
    names = set(re.findall(r"\w+", missing))
    alias = next((router.db_for_write(model) for model in apps.get_models() if model._meta.db_table in names), None)
    if alias is None:
        return "" if len(settings.DATABASES) == 1 else ", with --database for each of DATABASES"
    return "" if alias == DEFAULT_DB_ALIAS else f" --database {alias}"
