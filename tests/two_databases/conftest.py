"""Three layouts of the site, each with new files for each test."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from .routers import ELSEWHERE

LAYOUTS = ["AppElsewhere", "UsersElsewhere", "AllHere"]


@pytest.fixture(scope="module", params=LAYOUTS)
def migrated(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
    django_db_blocker: Any,
) -> Iterator[Path]:
    """A directory with both databases after ``migrate`` with the router of the layout."""
    directory = tmp_path_factory.mktemp(request.param)
    with override_settings(DATABASE_ROUTERS=[f"tests.two_databases.routers.{request.param}"]):
        with django_db_blocker.unblock(), databases_in(directory):
            for alias in ("default", ELSEWHERE):
                call_command("migrate", database=alias, verbosity=0)
        yield directory


@pytest.fixture
def site(migrated: Path, tmp_path: Path, django_db_blocker: Any) -> Iterator[None]:
    shutil.copytree(migrated, tmp_path, dirs_exist_ok=True)
    with django_db_blocker.unblock(), databases_in(tmp_path):
        yield


@contextmanager
def databases_in(directory: Path) -> Iterator[None]:
    before = connections["default"]
    changes = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {}}
    files = {
        alias: {**connections.settings["default"], **changes, "NAME": str(directory / f"{alias}.sqlite3")}
        for alias in ("default", ELSEWHERE)
    }
    del connections["default"]
    try:
        with patch.dict(connections.settings, files):
            yield
            for alias in files:
                connections[alias].close()
                del connections[alias]
    finally:
        connections["default"] = before
