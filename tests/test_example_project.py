"""The example project with Hydra's admin API and without, and what ``compose.yaml`` makes of it."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

ROOT = Path(__file__).parents[1]
ADMIN_URL = "https://hydra.example.org"
SHOWN = """
import json
from django.conf import settings
from django.urls import resolve, Resolver404
try:
    page = resolve("/hydra/login/").view_name
except Resolver404:
    page = None
provider = settings.ORY_LOGOUT["PROVIDERS"]["default"]
print(json.dumps([provider.get("HYDRA"), getattr(settings, "ORY_HYDRA_UI", None), page]))
"""


def manage(*arguments: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HYDRA_", "OIDC_", "DJANGO_"))}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, check=True
    ).stdout


def shown(**environment: str) -> Any:
    return json.loads(manage("shell", "--verbosity=0", "--command", SHOWN, **environment))


@pytest.mark.parametrize("token", ["", "ory_pat_secret"])
def test_with_hydras_admin_api_it_is_hydras_pages_besides(token: str) -> None:
    given = {"HYDRA_ADMIN_URL": ADMIN_URL} | ({"HYDRA_ADMIN_TOKEN": token} if token else {})
    hydra = {"ADMIN_URL": ADMIN_URL, "ADMIN_TOKEN": token}

    assert shown(**given) == [hydra, hydra, "hydra_ui:login"]
    assert "no issues" in manage("check", **given)


def test_without_it_is_a_relying_party_alone() -> None:
    assert shown() == [None, None, None]
    assert "no issues" in manage("check")


@pytest.mark.urls("tests.hydra_ui.site.urls")
def test_compose_tells_hydra_where_the_pages_are() -> None:
    configuration = (ROOT / "compose" / "hydra.yml").read_text()
    (site,) = re.findall(r"SITE_URL: (http://127\S+)", (ROOT / "compose.yaml").read_text())

    assert dict(re.findall(r"^  (\w+): (http\S+)", configuration, re.MULTILINE)) == {
        "login": site + reverse("hydra_ui:login"),
        "consent": site + reverse("hydra_ui:consent"),
        "logout": site + reverse("hydra_ui:logout"),
        "error": site + reverse("hydra_ui:error"),
        "post_logout_redirect": site + reverse("hydra_ui:logged_out"),
    }


def test_compose_and_hydra_agree_on_the_issuer() -> None:
    said = re.findall(r"OIDC_ISSUER: (\S+)", (ROOT / "compose.yaml").read_text())

    assert said == re.findall(r"issuer: (\S+)", (ROOT / "compose" / "hydra.yml").read_text())


def test_compose_pins_what_it_starts() -> None:
    images = re.findall(r"image: (\S+)", (ROOT / "compose.yaml").read_text())

    assert len(images) == 4
    assert all(re.search(r":v?\d+\.\d+(\.\d+)?$", image) for image in images), images


def test_the_image_pins_what_it_starts_from_and_installs() -> None:
    dockerfile = (ROOT / "compose" / "Dockerfile").read_text()
    pins = (ROOT / "compose" / "constraints.txt").read_text().splitlines()[1:]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    installed = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["dependency-groups"]["example"],
        *project["dependency-groups"]["services"][1:],
    ]

    assert re.search(r"^FROM python:\d+\.\d+\.\d+-slim-\w+$", dockerfile, re.MULTILINE)
    assert "pip install --no-cache-dir pip==" in dockerfile
    assert "--constraint compose/constraints.txt --build-constraint compose/constraints.txt" in dockerfile
    assert [pin for pin in pins if not re.fullmatch(r"[\w-]+==[\d.]+", pin)] == []
    assert {re.split(r"[^\w-]", one)[0] for one in installed} <= {pin.partition("==")[0].lower() for pin in pins}


def test_the_image_needs_nothing_that_is_not_copied() -> None:
    """What ``Dockerfile.dockerignore`` lets through is there, and nothing but the files of the project."""
    lines = (ROOT / "compose" / "Dockerfile.dockerignore").read_text().splitlines()
    copied = [line.removeprefix("!") for line in lines if line.startswith("!")]

    assert lines[0] == "*"
    assert all((ROOT / path).exists() for path in copied)
    assert os.access(ROOT / "compose" / "start", os.X_OK)
