"""The example project with and without Hydra's admin API, and its configuration in ``compose.yaml``."""

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
from joserfc.jwk import ECKey

ROOT = Path(__file__).parents[1]
ADMIN_URL = "https://hydra.example.org"
GIVEN_HERE = ("HYDRA_", "KRATOS_", "OIDC_", "DJANGO_")
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
KRATOS_SHOWN = """
import json
from django.conf import settings
from django.urls import NoReverseMatch, reverse
try:
    page = reverse("spa")
except NoReverseMatch:
    page = None
middleware = [name.rpartition(".")[2] for name in settings.MIDDLEWARE]
after = middleware[middleware.index("AuthenticationMiddleware") + 1]
print(json.dumps([settings.ORY_LOGOUT["PROVIDERS"]["default"], after, page]))
"""
ACCOUNTS = "http://localhost:8002"
KRATOS = {"KRATOS_PUBLIC_URL": "https://login.example.org", "KRATOS_ADMIN_URL": "http://kratos:4434"}


def manage(*arguments: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(GIVEN_HERE)}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, check=True
    ).stdout


def found_by_check(**environment: str) -> set[str]:
    """The ids that ``manage.py check`` reports, except for missing tables, which ``migrate`` creates."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(GIVEN_HERE)}
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, check=True)
    return set(re.findall(r"\((\w+\.\w\d+)\)", done.stdout + done.stderr)) - {"ory_logout.W084"}


def environment_of_kratos() -> dict[str, str]:
    lines = (ROOT / "compose" / "kratos.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def shown(what: str = SHOWN, **environment: str) -> Any:
    return json.loads(manage("shell", "--verbosity=0", "--command", what, **environment))


@pytest.mark.parametrize("token", ["", "ory_pat_secret"])
def test_with_hydras_admin_api_it_also_serves_hydras_pages(token: str) -> None:
    given = {"HYDRA_ADMIN_URL": ADMIN_URL} | ({"HYDRA_ADMIN_TOKEN": token} if token else {})
    hydra = {"ADMIN_URL": ADMIN_URL, "ADMIN_TOKEN": token}

    assert shown(**given) == [hydra, {**hydra, "SUBJECT": "pk"}, "hydra_ui:login"]
    assert found_by_check(**given) == set()


def test_without_hydras_admin_api_it_is_only_a_relying_party() -> None:
    assert shown() == [None, None, None]
    assert found_by_check() == set()


def test_with_kratos_and_without_issuer_it_uses_only_kratos() -> None:
    given = {**KRATOS, "KRATOS_INTERNAL_URL": "http://kratos:4433", "KRATOS_COOKIE_NAME": "my_kratos"}
    provider, after, page = shown(KRATOS_SHOWN, **given)

    assert provider == {
        "KRATOS": {
            "PUBLIC_URL": "https://login.example.org",
            "INTERNAL_URL": "http://kratos:4433",
            "ADMIN_URL": "http://kratos:4434",
            "COOKIE_NAME": "my_kratos",
            "WHOAMI_SECONDS": 10,
        }
    }
    assert (after, page) == ("KratosMiddleware", "/spa/")
    assert found_by_check(**given) == set()


def test_with_both_it_signs_in_at_the_issuer_and_uses_kratos_too() -> None:
    given = {**KRATOS, "OIDC_ISSUER": "https://hydra.example.org", "HYDRA_ADMIN_URL": ADMIN_URL}
    provider, after, page = shown(KRATOS_SHOWN, **given)

    assert provider["ISSUER"] == "https://hydra.example.org"
    assert provider["HYDRA"]["ADMIN_URL"] == ADMIN_URL
    assert provider["KRATOS"]["PUBLIC_URL"] == "https://login.example.org"
    assert (after, page) == ("MessageMiddleware", None)
    assert found_by_check(**given) == set()


def test_with_kratos_alone_it_can_still_serve_hydras_pages() -> None:
    given = {**KRATOS, "HYDRA_ADMIN_URL": ADMIN_URL}

    hydra_of_provider, hydra_of_pages, page = shown(**given)

    assert (hydra_of_provider, hydra_of_pages["ADMIN_URL"], page) == (None, ADMIN_URL, "hydra_ui:login")
    assert hydra_of_pages["SUBJECT"] == "example_project.kratos.identity_of"
    assert found_by_check(**given) == set()


def test_the_registration_comes_from_the_environment() -> None:
    registered = {
        "SCOPE": "openid offline_access",
        "RESPONSE_MODE": "form_post",
        "TOKEN_ENDPOINT_AUTH_METHOD": "client_secret_post",
        "USERINFO_SIGNED_RESPONSE_ALG": "ES256",
        "ID_TOKEN_SIGNED_RESPONSE_ALG": "ES256",
        "ID_TOKEN_ENCRYPTED_RESPONSE_ALG": "ECDH-ES",
        "ID_TOKEN_ENCRYPTED_RESPONSE_ENC": "A256GCM",
    }
    switched_on = ["KEEP_TOKENS", "REVOKE_TOKENS_AT_LOGOUT", "USERINFO"]
    key = ECKey.generate_key("P-256").as_dict(private=True)
    given = {f"OIDC_{name}": value for name, value in registered.items()} | dict.fromkeys(
        map("OIDC_{}".format, switched_on), "1"
    )
    given["OIDC_DECRYPTION_KEY"] = json.dumps(key)

    provider, *_ = shown(KRATOS_SHOWN, **given)

    assert provider.items() >= {**registered, **dict.fromkeys(switched_on, True), "DECRYPTION_KEY": key}.items()
    assert found_by_check(**given) == set()


def test_every_variable_is_documented() -> None:
    read = re.findall(r'\benv\.\w+\("([A-Z_]+)"', (ROOT / "example_project" / "settings.py").read_text())
    _, table = (ROOT / "docs/reference/commands.md").read_text().split("### Environment of the example project")
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \|", table, re.MULTILINE)

    assert sorted(name.strip("`") for row in rows for name in row.split(", ")) == sorted(set(read))


@pytest.mark.urls("tests.hydra_ui.site.urls")
def test_compose_gives_hydra_the_urls_of_the_pages() -> None:
    configuration = (ROOT / "compose" / "hydra.yml").read_text()
    (site,) = re.findall(r"SITE_URL: (http://127\S+)", (ROOT / "compose.yaml").read_text())

    assert dict(re.findall(r"^  (\w+): (http\S+)", configuration, re.MULTILINE)) == {
        "login": site + reverse("hydra_ui:login"),
        "consent": site + reverse("hydra_ui:consent"),
        "logout": site + reverse("hydra_ui:logout"),
        "error": site + reverse("hydra_ui:error"),
        "post_logout_redirect": site + reverse("hydra_ui:logged_out"),
    }


@pytest.mark.urls("tests.hydra_ui.site.urls")
def test_with_kratos_compose_gives_hydra_the_other_urls() -> None:
    configuration = (ROOT / "compose" / "kratos" / "hydra.yml").read_text()
    accounts, kratos, admin = ACCOUNTS, "http://localhost:4433", "http://127.0.0.1:4434"

    assert dict(re.findall(r"^ +(\w+): (http\S+)", configuration, re.MULTILINE)) == {
        "login": f"{kratos}/self-service/login/browser",
        "consent": accounts + reverse("hydra_ui:consent"),
        "logout": accounts + reverse("hydra_ui:logout"),
        "error": accounts + reverse("hydra_ui:error"),
        "post_logout_redirect": accounts + reverse("hydra_ui:logged_out"),
        "url": admin,
    }
    assert environment_of_kratos().items() >= {"KRATOS_PUBLIC_URL": kratos, "KRATOS_ADMIN_URL": admin}.items()


def test_kratos_uses_the_pages_of_the_site() -> None:
    configuration = (ROOT / "compose" / "kratos" / "kratos.yml").read_text()
    asked = (
        "import json; from django.urls import resolve; print(json.dumps([resolve(url).func.__name__ for url in {}]))"
    )
    pages = re.findall(rf"ui_url: {ACCOUNTS}(/\S+)", configuration)

    assert len(pages) == configuration.count("ui_url:")
    assert shown(asked.format(pages), **KRATOS) == ["flow", "flow", "flow", "error"]
    assert f"base_url: {environment_of_kratos()['KRATOS_PUBLIC_URL']}/\n" in configuration


def test_compose_reads_every_variable_for_kratos() -> None:
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))

    assert environment_of_kratos().keys() - read == {"COMPOSE_PROFILES"}
    assert environment_of_kratos()["COMPOSE_PROFILES"] == "kratos"


def test_the_identities_of_compose_satisfy_its_schema() -> None:
    directory = ROOT / "compose" / "kratos"
    traits = json.loads((directory / "identity.schema.json").read_text())["properties"]["traits"]
    identities = json.loads((directory / "people.json").read_text())

    assert [identity["traits"]["email"] for identity in identities] == ["amber@example.com", "birch@example.com"]
    assert all(
        set(traits["required"]) <= set(identity["traits"]) <= set(traits["properties"]) for identity in identities
    )


def test_compose_and_hydra_agree_on_the_issuer() -> None:
    said = re.findall(r"OIDC_ISSUER: (http\S+)", (ROOT / "compose.yaml").read_text())

    assert said == re.findall(r"issuer: (\S+)", (ROOT / "compose" / "hydra.yml").read_text())


def test_compose_pins_its_images() -> None:
    images = re.findall(r"image: (\S+)", (ROOT / "compose.yaml").read_text())

    assert len(images) == 5
    assert all(re.search(r":v?\d+\.\d+(\.\d+)?$", image) for image in images), images


def test_the_image_pins_its_base_and_its_packages() -> None:
    dockerfile = (ROOT / "compose" / "Dockerfile").read_text()
    pins = (ROOT / "compose" / "constraints.txt").read_text().splitlines()[1:]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    installed = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["dependency-groups"]["example"],
        *re.findall(r"(?:psycopg|redis)\b", dockerfile),
    ]

    assert re.search(r"^FROM python:\d+\.\d+\.\d+-slim-\w+$", dockerfile, re.MULTILINE)
    assert "pip install --no-cache-dir pip==" in dockerfile
    assert "--constraint compose/constraints.txt --build-constraint compose/constraints.txt" in dockerfile
    assert [pin for pin in pins if not re.fullmatch(r"[\w-]+==[\d.]+", pin)] == []
    assert {re.split(r"[^\w-]", requirement)[0] for requirement in installed} <= {
        pin.partition("==")[0].lower() for pin in pins
    }


def test_the_image_needs_only_copied_files() -> None:
    """``Dockerfile.dockerignore`` allows only files of the project, and all of them exist."""
    lines = (ROOT / "compose" / "Dockerfile.dockerignore").read_text().splitlines()
    copied = [line.removeprefix("!") for line in lines if line.startswith("!")]

    assert lines[0] == "*"
    assert all((ROOT / path).exists() for path in copied)
    assert os.access(ROOT / "compose" / "start", os.X_OK)
