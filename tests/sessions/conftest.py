"""The site on each session engine: alone, or on a stage."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .stage import Actor, stops
from .world import ENGINES, World, database_of_several_connections, site_settings, world


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return f"django.contrib.sessions.backends.{request.param}"


@pytest.fixture
def configured(engine: str, settings: Any, tmp_path: Path) -> None:
    for name, value in site_settings(engine, tmp_path).items():
        setattr(settings, name, value)


@pytest.fixture
def site(configured: None, db: None) -> Iterator[World]:
    with world() as site:
        yield site


@pytest.fixture(scope="module")
def actors(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Actor]]:
    """Each in a thread, and with a connection to the database, of its own."""
    logging.disable(logging.CRITICAL)
    with django_db_blocker.unblock(), database_of_several_connections(tmp_path_factory.mktemp("database")):
        actors = [Actor(name) for name in ("first", "second", "third")]
        for actor in actors:
            actor.start()
        yield actors
        for actor in actors:
            actor.leave()
    logging.disable(logging.NOTSET)


@pytest.fixture
def staged_site(configured: None, actors: list[Actor], transactional_db: None) -> Iterator[World]:
    """The site where actors stop, with one browser signed in."""
    with world() as site:
        site.sign_in_once()
        with stops():
            yield site
        site.clear()
