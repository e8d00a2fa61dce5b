"""The documentation is correct: its code runs, its lists are complete, and its links have a target."""

import ast
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.management import BaseCommand, call_command, load_command_class
from django.dispatch import Signal
from django.template import engines
from django.test import RequestFactory, override_settings

import django_ory_logout
from django_ory_logout import conf, exceptions, signals, urls
from django_ory_logout.doctor import ordered_checks
from django_ory_logout.doctor.checks.kratos import LOGIN
from django_ory_logout.doctor.findings import SECTIONS
from django_ory_logout.models import EndReason, Subject
from django_ory_logout.oidc.tokens import IDToken
from django_ory_logout.sessions import events
from django_ory_logout.templatetags.ory_logout import register
from django_ory_logout.testing import Client, Network, Provider
from django_ory_logout.views import notices
from django_ory_logout.views.responses import error_page

from .conftest import SiteBrowser

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(django_ory_logout.__file__).parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# Reading Markdown


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The files that ``page`` links to, each with its anchor."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not target.startswith("http"):
            path, _, name = target.partition("#")
            yield (page.parent / path).resolve() if path else page, name


def rows(page: Path, heading: str = "") -> list[list[str]]:
    """The table cells of ``page``, or only those directly under ``heading``."""
    text = prose(page)
    if heading:
        (text,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    tables = re.findall(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for table in tables for line in table.splitlines()]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def first_names(page: Path, heading: str = "") -> list[str]:
    return [name for row in rows(page, heading) for name in names(row[0])]


def values(directory: Path, block: str, **given: Any) -> dict[str, Any]:
    """The values of the names that ``block`` defines."""
    path = directory / "block.py"
    path.write_text(block)
    return runpy.run_path(str(path), given)


# Every page


@each_page
def test_links_have_a_file_and_a_heading(page: Path) -> None:
    for target, name in links(page):
        assert target.is_file(), target
        assert not name or name in map(anchor, headings(target)), f"{target}#{name}"


def test_every_page_can_be_reached_from_the_index() -> None:
    found, waiting = set[Path](), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in found and page.suffix == ".md" and DOCS in page.parents:
            found.add(page)
            waiting += [target for target, _ in links(page)]

    assert found == set(DOCS.rglob("*.md"))


@each_page
def test_python_examples_compile_and_their_settings_are_accepted(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OIDC_CLIENT_SECRET", "secret")
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")
        if "ORY_LOGOUT = {" in block:
            settings = values(tmp_path, block, INSTALLED_APPS=[], MIDDLEWARE=[*MIDDLEWARE])
            with override_settings(ORY_LOGOUT=settings["ORY_LOGOUT"]):
                assert conf.problems() == []


@each_page
def test_templates_compile(page: Path) -> None:
    for block in blocks(page, "django"):
        engines["django"].from_string(block)


@each_page
def test_make_targets_and_check_ids_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = [line for block in blocks(page, "console") for line in block.splitlines()]

    assert {name for line in commands for name in re.findall(r"\bmake ([a-z]+)", line)} <= set(targets)
    assert set(re.findall(r"ory_logout\.([EW]\d+)", page.read_text())) <= check_ids()


# README


def test_the_quick_start_has_less_than_twenty_lines() -> None:
    lines = [line for block in blocks(README, "python") for line in block.splitlines() if line.strip()]

    assert 0 < len(lines) < 20


def test_a_new_site_with_the_quick_start_passes_the_documented_tests(tmp_path: Path) -> None:
    """A new Django project with the blocks of the README in its files, and the tests of testing-your-site."""
    call_command("startproject", "quickstart", str(tmp_path))
    settings, urlconf = blocks(README, "python")
    private = (
        "from django.contrib.auth.decorators import login_required\n"
        "from django.http import HttpResponse\n"
        "urlpatterns += [path('private/', login_required(lambda request: HttpResponse('private')))]\n"
    )
    for name, text in (("settings.py", settings), ("urls.py", urlconf + private)):
        with (tmp_path / "quickstart" / name).open("a") as file:
            file.write(text)
    with_django, *_ = blocks(DOCS / "how-to/testing-your-site.md", "python")
    (tmp_path / "test_with_django.py").write_text(with_django)

    run(tmp_path, "manage.py", "migrate")
    run(tmp_path, "manage.py", "check", "--fail-level", "WARNING")
    said = run(tmp_path, "manage.py", "test")

    assert "Ran 5 tests" in said


def run(directory: Path, *arguments: str) -> str:
    """Run Python with ``arguments``, which must succeed, and return its output."""
    environment = {**os.environ, "OIDC_CLIENT_SECRET": "secret", "PYTHONPATH": str(ROOT)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


FLAGS = {
    "--redirect-uri": "redirect_uris",
    "--post-logout-callback": "post_logout_redirect_uris",
    "--backchannel-logout-callback": "backchannel_logout_uri",
    "--frontchannel-logout-callback": "frontchannel_logout_uri",
}
SITE = Client.of_site("https://www.example.org/auth/", "django-site")


def test_the_hydra_command_registers_the_urls_of_the_quick_start() -> None:
    (command,) = (block for block in blocks(README, "console") if block.startswith("hydra create oauth2-client"))
    words = shlex.split(command)

    for flag, field in FLAGS.items():
        registered = getattr(SITE, field)
        assert words[words.index(flag) + 1] == (registered if isinstance(registered, str) else registered[0])
    assert "--backchannel-logout-session-required" in words
    assert "--frontchannel-logout-session-required" in words
    assert words[words.index("--id") + 1] == SITE.client_id


def test_the_curl_registration_equals_the_command() -> None:
    (command,) = (block for block in blocks(DOCS / "how-to/hydra.md", "console") if "-X POST" in block)
    client = json.loads(shlex.split(command)[-1])

    assert {field: client[field] for field in FLAGS.values()} == {
        field: getattr(SITE, field) for field in FLAGS.values()
    }


def test_the_codes_on_the_page_about_missing_logouts_are_documented_errors() -> None:
    said = {name for name in first_names(README, "When a logout does nothing") if re.fullmatch("[a-z_]+", name)}

    assert said
    assert said <= {code for codes in documented_codes().values() for code in codes}


# Reference


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("ORY_LOGOUT", conf.SETTINGS),
        ("Each of PROVIDERS", conf.PROVIDER_SETTINGS),
        ("HYDRA of a provider", conf.HYDRA_SETTINGS),
        ("KRATOS of a provider", conf.KRATOS_SETTINGS),
    ],
)
def test_the_reference_lists_the_settings(heading: str, known: dict[str, conf.Setting]) -> None:
    table = rows(REFERENCE / "settings.md", heading)

    assert [names(row[0]) for row in table] == [[name] for name in known]
    for row, setting in zip(table, known.values(), strict=True):
        types = setting.type if isinstance(setting.type, tuple) else (setting.type,)
        default = ... if row[2] == "required" else ast.literal_eval(row[2].strip("`"))
        assert names(row[1]) == [kind.__name__ for kind in types], row
        assert (default, row[3]) == (setting.default, setting.code), row
        if setting.description.startswith("one of "):
            assert set(setting.description.removeprefix("one of ").split(", ")) <= set(names(row[4])), row


def check_ids() -> set[str]:
    files = ("conf/settings.py", "conf/validation.py", "checks.py")
    trees = [ast.parse((PACKAGE / name).read_text()) for name in files]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"[EW]\d{3}", text)}


def test_the_reference_lists_the_checks() -> None:
    page = REFERENCE / "checks.md"
    documented = [name.removeprefix("ory_logout.") for name in re.findall(r"^\| `([^`]+)`", prose(page), re.MULTILINE)]

    assert len(documented) == len(set(documented))
    assert set(documented) == check_ids()
    known = (conf.SETTINGS, conf.PROVIDER_SETTINGS, conf.HYDRA_SETTINGS, conf.KRATOS_SETTINGS)
    assert {names(check)[0]: names(setting)[0] for check, setting in rows(page, "One setting each")} == {
        f"ory_logout.{setting.code}": name for table in known for name, setting in table.items()
    }


def test_the_reference_lists_the_arguments_of_the_doctor() -> None:
    parser = load_command_class("django_ory_logout", "ory_doctor").create_parser("manage.py", "ory_doctor")
    described = {name.split()[0] for name in first_names(REFERENCE / "commands.md", "ory_doctor")}
    of_every_command = BaseCommand().create_parser("manage.py", "any")

    assert described == {*parser._option_string_actions} - {*of_every_command._option_string_actions}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_reference_lists_the_rows_of_the_doctor(section: str) -> None:
    documented = first_names(REFERENCE / "doctor.md", section.capitalize())

    assert documented == [check.id for check in ordered_checks() if check.section == section]


def errors() -> dict[str, type[exceptions.OryLogoutError]]:
    known = vars(exceptions).items()
    return {
        name: error_class
        for name, error_class in known
        if isinstance(error_class, type) and issubclass(error_class, exceptions.OryLogoutError)
    }


def documented_codes() -> dict[str, list[str]]:
    page = REFERENCE / "errors.md"
    return {heading: first_names(page, heading) for heading in headings(page)[1:]}


def test_errors_are_sorted() -> None:
    documented = documented_codes()
    documented.pop("In the log only")

    assert {name: sorted(codes) for name, codes in documented.items()} == documented


def test_the_codes_of_the_log_are_documented() -> None:
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))

    for code in documented_codes()["In the log only"]:
        # The last part of the backend's log line has one of two words: "user_%s".
        assert code in source or f'"{code.removeprefix("user_")}"' in source, code


def test_the_statuses_of_errors_are_correct() -> None:
    request = RequestFactory().get("/")
    listed = {names(row[0])[0]: row[1] for row in rows(REFERENCE / "errors.md", "Errors")}
    assert (listed.pop("HydraError"), listed.pop("KratosError")) == ("Hydra's", "Kratos'")
    for name, status in listed.items():
        assert error_page(request, errors()[name]("code"), retry_url="/").status_code == int(status), name


@pytest.mark.django_db
def test_the_signals_are_documented(
    browser: SiteBrowser, provider: Provider, django_capture_on_commit_callbacks: Any, settings: Any
) -> None:
    page = REFERENCE / "signals.md"
    known = {name: signal for name, signal in vars(signals).items() if isinstance(signal, Signal)}
    sent: dict[str, set[str]] = {}

    def receiver_for(name: str) -> Any:
        return lambda signal, sender, **arguments: sent.update({name: set(arguments)})

    receivers = {name: receiver_for(name) for name in known}
    for name, signal in known.items():
        signal.connect(receivers[name])
    with django_capture_on_commit_callbacks(execute=True):
        browser.sign_in()
        browser.post("/auth/logout/")
    browser.post("/auth/logout/backchannel/", {"logout_token": "x"})
    for name, signal in known.items():
        signal.disconnect(receivers[name])

    assert sent == {name: set(first_names(page, name)) for name in headings(page)[1:-1]}


@pytest.mark.django_db
def test_the_urls_and_their_methods_are_documented(browser: SiteBrowser) -> None:
    table = rows(REFERENCE / "urls-and-tags.md", "URLs")

    assert {names(row[0])[0]: names(row[1])[0] for row in table} == {
        f"ory_logout:{pattern.name}": str(pattern.pattern) for pattern in urls.urlpatterns if pattern.name
    }
    for row in table:
        path = names(row[1])[0].replace("<uuid:session_id>", str(uuid4()))
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
            browser.sign_in()
            allowed = browser.generic(method, f"/auth/{path}").status_code != 405
            assert allowed == (method in row[2].split(", ")), (method, row)


def test_the_template_tags_are_documented() -> None:
    text = prose(REFERENCE / "urls-and-tags.md").partition("## Template tags")[2]

    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) == set(register.tags)


@pytest.mark.django_db
def test_the_commands_are_documented() -> None:
    page = REFERENCE / "commands.md"
    commands = {path.stem for path in (PACKAGE / "management/commands").glob("[!_]*.py")}
    example = {path.stem for path in (ROOT / "example_project/management/commands").glob("[!_]*.py")}
    call_command("ory_purge", stdout=(said := StringIO()))

    assert set(re.findall(r"^## (.*)$", prose(page), re.MULTILINE)) == commands | example
    assert blocks(page, "text") == [said.getvalue()]


@pytest.mark.parametrize(
    "model", list(apps.get_app_config("ory_logout").get_models()), ids=lambda model: model.__name__
)
def test_the_models_are_documented(model: Any) -> None:
    documented = first_names(REFERENCE / "models.md", model.__name__)

    assert sorted(documented) == sorted(field.name for field in model._meta.concrete_fields)


def test_the_end_reasons_are_documented() -> None:
    assert first_names(REFERENCE / "models.md", "EndReason") == EndReason.values


# How-to


def test_the_templates_and_their_context_are_documented() -> None:
    directory = PACKAGE / "templates"
    table = rows(DOCS / "how-to/templates.md", "Override the templates")

    assert sorted(names(row[0])[0] for row in table) == sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*.html")
    )
    for row in table:
        text = (directory / names(row[0])[0]).read_text()
        assert all(re.search(rf"{{[{{%][^}}]*\b{name}\b", text) for name in names(row[2])), row


def test_the_example_for_pytest_runs(tmp_path: Path) -> None:
    _, with_pytest, *_ = blocks(DOCS / "how-to/testing-your-site.md", "python")
    (tmp_path / "test_with_pytest.py").write_text(with_pytest)

    options = ["--rootdir=.", "-c", os.devnull, "-p", "no:cacheprovider", "--ds=tests.settings"]
    said = run(tmp_path, "-m", "pytest", *options, "test_with_pytest.py")

    assert "1 passed" in said


def test_the_documented_names_of_the_testing_provider_exist() -> None:
    objects = {"provider": Provider(keys=[]), "network": Network(Provider(keys=[]))}
    said = first_names(DOCS / "how-to/testing-your-site.md", "What the provider can do")

    for thing, name in re.findall(r"\b(provider|network)\.(\w+)", " ".join(said)):
        assert hasattr(objects[thing], name), name


@pytest.mark.django_db
def test_the_example_backend_reads_claims(tmp_path: Path) -> None:
    backend, _, link = blocks(DOCS / "how-to/users.md", "python")
    example = values(tmp_path, backend)
    values(tmp_path, link)
    linked = Subject.objects.get()
    editors = Group.objects.create(name="editors")
    id_token = IDToken(linked.issuer, linked.subject, None, 0, {"groups": ["editors", "unknown here"]}, "")

    user = example["SiteBackend"]().authenticate(None, id_token=id_token, provider=conf.get().providers["default"])

    assert user == linked.user
    assert user.is_staff
    assert list(user.groups.all()) == [editors]


def test_the_documented_set_up_of_hydra_and_kratos_satisfies_the_doctor() -> None:
    """``urls.login`` starts Kratos' flow, and Kratos may redirect users to ``SITE_URL``."""
    page = DOCS / "how-to/hydra-with-kratos.md"
    kratos, hydra = blocks(page, "yaml")
    (site_url,) = re.findall(r'"SITE_URL": "([^"]+)"', page.read_text())

    assert f"  login: https://login.example.org{LOGIN}\n" in hydra
    assert f"  allowed_return_urls:\n    - {site_url}\n" in kratos


@pytest.mark.django_db
def test_the_answer_that_the_deployment_page_names_is_correct(browser: SiteBrowser) -> None:
    answer = browser.generic(
        "POST", "/auth/logout/backchannel/", "logout_token=x", content_type="application/x-www-form-urlencoded"
    )

    assert answer.status_code == 400
    assert f"`{answer.content.decode()}`" in (DOCS / "how-to/deploy.md").read_text()


# The deployment page


def test_the_limits_of_requests_are_those_of_the_receiver() -> None:
    page = (DOCS / "how-to" / "deploy.md").read_text()
    (nginx,) = blocks(DOCS / "how-to" / "deploy.md", "nginx")
    (size,) = re.findall(r"client_max_body_size (\d+)k;", nginx)

    assert int(size) * 1024 == notices.MAX_BODY_BYTES
    assert f"one line for each channel and\ncode in {events.LINE_SECONDS} seconds" in page
    assert nginx.count("{") == nginx.count("}")
    for line in nginx.splitlines():
        assert line.rstrip().endswith((";", "{", "}")) or not line
