"""Tests that need a database server, or a package that other tests do not use: ``make services`` provides both."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_ory_logout.sessions.engines import site_store

from ..conftest import NewBrowser, SiteBrowser
from ..sessions.tested_site import storing_in

collect_ignore = (
    []
    if "DATABASE_URL" in os.environ
    else ["test_durability.py", "test_hijack.py", "test_kill.py", "test_qsessions.py"]
)


@pytest.fixture(params=["db", "cached_db", "cache", "file", "signed_cookies"])
def engine(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[str]:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    with storing_in(site_store(), tmp_path):
        yield str(request.param)


def copy_of(browser: SiteBrowser, new_browser: NewBrowser) -> SiteBrowser:
    """Another browser with the same cookies."""
    copy = new_browser()
    copy.cookies.load({name: morsel.value for name, morsel in browser.cookies.items()})
    return copy


def name_in(browser: SiteBrowser) -> str | None:
    """The signed-in user, as the site's own view sees it."""
    answer = browser.get("/private/")
    return answer.text if answer.status_code == 200 else None
