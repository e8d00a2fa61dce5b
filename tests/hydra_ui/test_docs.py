"""The how-to page is correct."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client, override_settings
from django.urls import reverse

from django_ory_logout.hydra_ui import conf, hydra_logins, revocation

from .conftest import SignIn
from .fake import CLIENT, FakeHydra

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGE = (HOW_TO / "hydra-ui.md").read_text()


def test_the_page_lists_the_settings() -> None:
    table = re.findall(r"^\| `([A-Z_]+)` \| (\S+) \| (E\d+) \|", PAGE, re.MULTILINE)

    assert [(name, code) for name, _, code in table] == [
        (name, setting.code) for name, setting in conf.SETTINGS.items()
    ]
    for name, default, _ in table:
        written = ... if default == "required" else ast.literal_eval(default.strip("`"))
        assert written == conf.SETTINGS[name].default


def test_python_examples_compile_and_their_settings_are_accepted() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for block in blocks:
        compile(block, "hydra-ui.md", "exec")
    (given,) = re.findall(r"^ORY_HYDRA_UI = (\{.*?^\})", blocks[0], re.MULTILINE | re.DOTALL)

    with override_settings(ORY_HYDRA_UI=ast.literal_eval(given)):
        assert conf.problems() == []


def test_the_page_names_hydras_urls() -> None:
    urls = re.findall(r"^  (\w+): https://login\.example\.org(\S+)", PAGE, re.MULTILINE)

    assert dict(urls) == {
        "login": reverse("hydra_ui:login"),
        "consent": reverse("hydra_ui:consent"),
        "logout": reverse("hydra_ui:logout"),
        "error": reverse("hydra_ui:error"),
        "post_logout_redirect": reverse("hydra_ui:logged_out"),
    }


def test_the_page_names_the_limits() -> None:
    (kept, in_a_cookie) = re.findall(r"the last\s+(\d+)", PAGE)

    assert (int(kept), int(in_a_cookie)) == (hydra_logins.MAX_SIDS, hydra_logins.MAX_SIDS_IN_COOKIE)
    assert f"or {revocation.SECONDS:.0f} seconds have passed" in " ".join(PAGE.split())


def test_the_page_lists_the_log_lines() -> None:
    said = re.findall(r"^\| `([^`]+: )…`", PAGE, re.MULTILINE)
    written = "".join(path.read_text() for path in Path(conf.__file__).parent.rglob("*.py"))

    assert len(said) == 5
    assert [line for line in said if f'"{line}' not in written] == []


def run_examples(number: int) -> dict[str, Any]:
    """Run the first examples of the section "Where this site is Hydra's login page"."""
    _, text = (HOW_TO / "force-logout.md").read_text().split("## Where this site is Hydra's login page")
    found: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[:number]:
        exec(block, found)  # noqa: S102 - our own page
    return found


def test_the_forced_logout_example_works_on_a_site_with_only_these_pages(
    hydra: FakeHydra, browser: Client, amber: User, birch: User, sign_in: SignIn
) -> None:
    found = run_examples(1)
    sign_in(amber, sid="sid-kept")
    Client().force_login(birch)
    hydra.consents = [
        {"consent_request": {"challenge": f"of {sid}", "login_session_id": sid, "client": CLIENT}}
        for sid in ("sid-listed", "")
    ]

    found["force_out"](amber)

    assert Session.objects.count() == 1
    *sids, logins, consents = hydra.revoked
    assert sorted(sids) == ["sid-kept", "sid-listed"]
    assert logins == consents == str(amber.pk)


def test_the_forced_logout_example_works_on_a_site_that_is_an_application_too(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, str]] = []
    monkeypatch.setattr("django_ory_logout.force.force_logout", lambda **who: asked.append(who))
    sign_in(amber, sid="sid-kept")

    run_examples(2)["force_out_of_both"](amber)

    assert Session.objects.count() == 0
    assert asked == [{"sid": "sid-kept"}, {"subject": str(amber.pk)}]
