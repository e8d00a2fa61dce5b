"""The page about tests with Kratos."""

import os
import re
import subprocess
import sys
from pathlib import Path

from django_ory_logout.testing import Kratos
from django_ory_logout.testing.server.kratos import switches

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/how-to/testing-your-site.md").read_text()
#: A site that uses Kratos only.
SETTINGS = """
from tests.settings import *
MIDDLEWARE.insert(
    1 + MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware"),
    "django_ory_logout.middleware.KratosMiddleware",
)
ORY_LOGOUT = {
    "SITE_URL": "http://localhost:8000",
    "PROVIDERS": {"default": {"KRATOS": {"PUBLIC_URL": "http://localhost:4433", "ADMIN_URL": "http://127.0.0.1:4434"}}},
}
"""


def test_the_example_runs(tmp_path: Path) -> None:
    *_, example = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "test_with_kratos.py").write_text(example)
    (tmp_path / "settings_of_kratos.py").write_text(SETTINGS)
    options = ["--rootdir=.", "-c", os.devnull, "-p", "no:cacheprovider", "--ds=settings_of_kratos"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_with_kratos.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "3 passed" in done.stdout, done.stdout


def test_the_documented_names_exist() -> None:
    (table,) = re.findall(r"^## What the Kratos can do\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    names = set(re.findall(r"\bkratos\.(\w+)", table)) - {"sign_in_by", "login_session"}

    assert len(names) > 8
    assert [name for name in names if not hasattr(Kratos(), name)] == []


def test_each_switch_is_documented() -> None:
    (table,) = re.findall(r"has switches, (.*?)\Z", PAGE, re.DOTALL)
    told = re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE)

    assert [f"/testing/{name}" for name in told] == list(switches.SWITCHES)
