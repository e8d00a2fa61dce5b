"""Shared fixtures: the migrated database, the browsers of a test, and the output of the processes after a failure."""

import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .browser import Browser
from .processes import ROOT, environment, free_port, running
from .site import site_settings

_LINES_OF_OUTPUT = 60


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the output of the processes to the report of a failure."""
    report = yield
    if report.failed:
        for server in running:
            output = "\n".join(server.output().splitlines()[-_LINES_OF_OUTPUT:])
            report.sections.append((f"output of {server.name}", output))
    return report


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site's database, migrated once and copied for each deployment."""
    database = tmp_path_factory.mktemp("database") / "migrated.sqlite3"
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=ROOT,
        env=environment(**site_settings(database, free_port())),
        check=True,
    )
    return database


@pytest.fixture
def browsers() -> Iterator[Callable[[], Browser]]:
    """Make browsers, and close them."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Browser())


@pytest.fixture
def browser(browsers: Callable[[], Browser]) -> Browser:
    return browsers()
