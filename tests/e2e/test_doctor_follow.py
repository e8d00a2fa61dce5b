"""``ory_doctor --follow`` in its own process, next to those of the site and the provider."""

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
from .deployment import Deployment, open_deployment
from .processes import ROOT, environment
from .providers import Embedded, serve_embedded
from .site import CLIENT_ID, CLIENT_SECRET, site_settings

pytestmark = pytest.mark.e2e

SECONDS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture(scope="module")
def deployment(folder: Path, migrated: Path) -> Iterator[Deployment[Embedded]]:
    with open_deployment(serve_embedded, folder, migrated) as deployment:
        yield deployment


def _interruptible() -> None:
    """Under ``nohup`` and in the background, SIGINT is ignored, and a child process inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Doctor:
    """Runs ``--follow``, and reads one object from each line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert self.line() == {"following": SECONDS}

    def line(self) -> dict[str, Any]:
        assert self.process.stdout
        document: dict[str, Any] = json.loads(self.process.stdout.readline())
        return document

    def rest(self) -> tuple[list[dict[str, Any]], int]:
        """The rest of its output until it ends, and its exit status."""
        said, _ = self.process.communicate(timeout=2 * SECONDS)
        return [json.loads(line) for line in said.splitlines()], self.process.returncode


@pytest.fixture
def follow(deployment: Deployment[Embedded], folder: Path) -> Any:
    """Start to follow the site."""
    port = int(deployment.site.url.rpartition(":")[2])
    env = environment(
        **site_settings(folder / "site.sqlite3", port),
        OIDC_ISSUER=deployment.provider.issuer,
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


def test_it_prints_the_steps_of_a_logout_and_that_all_came(
    deployment: Deployment[Embedded], browser: Browser, follow: Any
) -> None:
    deployment.sign_in(browser, "amber")
    with follow() as doctor:
        deployment.log_out(browser)
        *steps, outcome = doctor.rest()[0]

    assert {step["step"] for step in steps} == {"ended", "to-provider", "back-channel", "front-channel", "returned"}
    assert outcome == {"complete": True}
    assert doctor.process.returncode == 0


def test_it_names_the_missing_step_when_it_is_stopped(
    deployment: Deployment[Embedded], browser: Browser, follow: Any
) -> None:
    deployment.sign_in(browser, "amber")
    with follow() as doctor:
        deployment.site.log_out(browser)
        assert [doctor.line()["step"] for _ in range(2)] == ["ended", "to-provider"]
        doctor.process.send_signal(signal.SIGINT)
        [outcome], status = doctor.rest()

    assert outcome["missing"] == "follow.returned"
    assert status == 2
