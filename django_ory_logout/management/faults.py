"""Faults of the database and the settings in a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import Error as DatabaseFault

from ..database import database_fault


@contextmanager
def command_errors(returncode: int = 1) -> Iterator[None]:
    """Turn a fault of the database or of the settings into a ``CommandError`` that says what to do."""
    try:
        yield
    except DatabaseFault as error:
        raise CommandError(str(database_fault(error)), returncode=returncode) from error
    except ImproperlyConfigured as error:
        raise CommandError(str(error), returncode=returncode) from error
