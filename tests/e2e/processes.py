"""Servers as separate processes: start, wait and stop."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
SECONDS_TO_START = 30
_INHERITED = "PATH", "HOME", "LANG", "TMPDIR", "COVERAGE_PROCESS_START"


@dataclass
class Server:
    """A running process that answers at ``url``."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """End the process and all processes that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


#: The running servers, for the report of a failed test.
running: list[Server] = []


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def environment(**extra: str) -> dict[str, str]:
    """The variables of this process that any program needs, without settings of pytest and proxies."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | {"PYTHONUNBUFFERED": "1"} | extra


def node() -> str:
    """Node.js from the virtual environment, or else from the system."""
    found = shutil.which("node", path=os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]]))
    assert found, "Node.js is missing: run `make e2e`"
    return found


@contextmanager
def serve(
    name: str, command: Sequence[str], *, url: str, ready: str, log: Path, env: Mapping[str, str], cwd: Path = ROOT
) -> Iterator[Server]:
    """Run ``command`` until the block ends. The block starts when ``ready``, a path of ``url``, answers 200."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    server = Server(name, url, process, log)
    running.append(server)
    try:
        _await(server, url + ready)
        yield server
    finally:
        running.remove(server)
        server.stop()


def _await(server: Server, url: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=5, proxies={"http": ""}).status_code == requests.codes.ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{server.name} did not answer at {url}:\n{server.output()}")
