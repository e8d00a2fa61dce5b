"""The site on each session engine: with one thread, or with threads that stop at each step."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .interleaving import SteppedThread, stops
from .tested_site import ENGINES, SiteUnderTest, database_of_several_connections, running_site, site_settings


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return f"django.contrib.sessions.backends.{request.param}"


@pytest.fixture
def configured(engine: str, settings: Any, tmp_path: Path) -> None:
    for name, value in site_settings(engine, tmp_path).items():
        setattr(settings, name, value)


@pytest.fixture
def site(configured: None, db: None) -> Iterator[SiteUnderTest]:
    with running_site() as site:
        yield site


@pytest.fixture(scope="module")
def threads(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[SteppedThread]]:
    """Threads that each have their own database connection."""
    logging.disable(logging.CRITICAL)
    with django_db_blocker.unblock(), database_of_several_connections(tmp_path_factory.mktemp("database")):
        threads = [SteppedThread(name) for name in ("first", "second", "third")]
        for thread in threads:
            thread.start()
        yield threads
        for thread in threads:
            thread.leave()
    logging.disable(logging.NOTSET)


@pytest.fixture
def stepped_site(configured: None, threads: list[SteppedThread], transactional_db: None) -> Iterator[SiteUnderTest]:
    """The site with threads that stop at each step, and one signed-in browser."""
    with running_site() as site:
        site.sign_in_once()
        with stops():
            yield site
        site.clear()
