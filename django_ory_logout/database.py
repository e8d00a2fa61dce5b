"""What a fault of the database means: one that passes, or one that the people who run the site have to repair."""

import re

from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import ProgrammingError

from .exceptions import SetupError, Undecided

#: What SQLite, PostgreSQL and MySQL say of a table or a column that is not there. Nothing else of their text is kept.
_MISSING = re.compile(
    r"no such (?:table|column): [\w.]+|has no column named \w+|(?:relation|column) [\w.\"]+(?: of [\w. \"]+)? "
    r"does not exist|Table '[\w.]+' doesn't exist|Unknown column '[\w.]+'"
)


def database_fault(error: DatabaseFault) -> Undecided:
    """``error`` without its text, which can hold a session key. :exc:`SetupError`: another try does not help."""
    missing = _MISSING.search(str(error))
    if missing:
        each = "" if len(settings.DATABASES) == 1 else ", with --database for each of DATABASES"
        return SetupError("not_migrated", f"{missing[0]}. Run: python manage.py migrate{each}")
    if isinstance(error, ProgrammingError) or "readonly database" in str(error):
        return SetupError("database_unusable", type(error).__name__)
    return Undecided("database_fault", type(error).__name__)
