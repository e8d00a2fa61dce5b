"""``ory_doctor --follow`` in a process of its own, beside the site's and the provider's."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .browser import Browser
from .processes import ROOT, environment
from .providers import Embedded, serve_embedded
from .site import CLIENT_ID, CLIENT_SECRET, site_settings
from .world import World, open_world

pytestmark = pytest.mark.e2e

SECONDS = 20


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def world(room: Path, migrated: Path) -> Iterator[World[Embedded]]:
    with open_world(serve_embedded, room, migrated) as world:
        yield world


def _interruptible() -> None:
    """Under ``nohup`` and in the background SIGINT is ignored, and a child inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Doctor:
    """Follows, and says an object a line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert self.line() == {"following": SECONDS}

    def line(self) -> dict[str, Any]:
        assert self.process.stdout
        document: dict[str, Any] = json.loads(self.process.stdout.readline())
        return document

    def rest(self) -> tuple[list[dict[str, Any]], int]:
        """What else it says until it ends, and its exit status."""
        said, _ = self.process.communicate(timeout=2 * SECONDS)
        return [json.loads(line) for line in said.splitlines()], self.process.returncode


@pytest.fixture
def follow(world: World[Embedded], room: Path) -> Any:
    """Begin to follow the site."""
    port = int(world.site.url.rpartition(":")[2])
    env = environment(
        **site_settings(room / "site.sqlite3", port),
        OIDC_ISSUER=world.provider.issuer,
        OIDC_CLIENT_ID=CLIENT_ID,
        OIDC_CLIENT_SECRET=CLIENT_SECRET,
    )
    command = [sys.executable, "manage.py", "ory_doctor", "--follow", "--json", "--seconds", str(SECONDS)]

    @contextmanager
    def follow() -> Iterator[Doctor]:
        with subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, preexec_fn=_interruptible
        ) as process:
            try:
                yield Doctor(process)
            finally:
                process.kill()

    return follow


def test_it_says_the_steps_of_a_logout_and_that_all_came(world: World[Embedded], browser: Browser, follow: Any) -> None:
    world.sign_in(browser, "amber")
    with follow() as doctor:
        world.log_out(browser)
        *steps, outcome = doctor.rest()[0]

    assert {step["step"] for step in steps} == {"ended", "to-provider", "back-channel", "front-channel", "returned"}
    assert outcome == {"complete": True}
    assert doctor.process.returncode == 0


def test_it_names_what_did_not_come_when_it_is_stopped(world: World[Embedded], browser: Browser, follow: Any) -> None:
    world.sign_in(browser, "amber")
    with follow() as doctor:
        world.site.log_out(browser)
        assert [doctor.line()["step"] for _ in range(2)] == ["ended", "to-provider"]
        doctor.process.send_signal(signal.SIGINT)
        [outcome], status = doctor.rest()

    assert outcome["missing"] == "follow.returned"
    assert status == 2
