"""``--explain`` knows every error code, every check, and every code of the log."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_ory_logout.doctor import CHECKS, explain, explanations
from django_ory_logout.doctor.explanations import rows
from django_ory_logout.force.report import WORDS, Outcome, StepName
from django_ory_logout.hydra_ui import conf as hydra_ui_conf
from django_ory_logout.models import EndReason, EventKind

from ..test_architecture import modules, raised_codes
from ..test_docs import PACKAGE, check_ids

#: Words of log lines that look like codes but are names.
NO_CODES = {"ory_force_logout", "ory_purge"}


def codes_of_the_log() -> Iterator[str]:
    """Words in log calls that look like codes: in the message or in its arguments."""
    for name, module in modules().items():
        for call in ast.walk(module):
            if not name.startswith("testing") and isinstance(call, ast.Call) and _logs(call):
                for node in (node for argument in call.args for node in ast.walk(argument)):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        yield from re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", node.value)


def _logs(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "logger"


def codes_of_classes() -> set[str]:
    """The codes that error classes give to themselves."""
    calls = (call for call in ast.walk(modules()["exceptions"]) if isinstance(call, ast.Call))
    given = (call.args[0] for call in calls if ast.unparse(call.func) == "super().__init__")
    return {node.value for node in given if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def codes_of_reports() -> set[str]:
    """Codes of failed steps of a forced logout that no error class has."""
    calls = (call for name, module in modules().items() if name.startswith("force") for call in ast.walk(module))
    failures = (call for call in calls if isinstance(call, ast.Call) and ast.unparse(call.func) == "report.failed")
    return {str(node.value) for call in failures for node in call.args if isinstance(node, ast.Constant)}


def checks_of_hydra_ui() -> set[str]:
    texts = "".join((PACKAGE / "hydra_ui" / name).read_text() for name in ("conf.py", "checks.py"))
    inherited = {setting.code for setting in hydra_ui_conf.SETTINGS.values()}
    # The settings reader, which both apps share, reports E002.
    return {f"ory_hydra_ui.{code}" for code in {*re.findall(r'[".]([EW]\d{3})"', texts), *inherited, "E002"}}


def test_the_helpers_find_codes() -> None:
    assert {"session_unreadable", "internal_error", "sid_dropped", "revocation_given_up"} <= set(codes_of_the_log())
    assert codes_of_reports() == {"hydra_of_another_issuer", "subject_pairwise", "subject_unknown"}
    assert codes_of_classes() == {"challenge_handled", "session_aal2_required"}
    assert {"ory_hydra_ui.E001", "ory_hydra_ui.E018", "ory_hydra_ui.W030"} <= checks_of_hydra_ui()


@pytest.mark.parametrize(
    "names",
    [
        lambda: set(raised_codes()),
        codes_of_classes,
        lambda: set(codes_of_the_log()) - NO_CODES,
        lambda: {"user_unknown", "user_inactive"},  # "user_%s", in the log
        check_ids,
        lambda: {f"ory_logout.{check_id}" for check_id in check_ids()},
        checks_of_hydra_ui,
        lambda: set(CHECKS),
        lambda: {*EventKind.values, *EndReason.values},
        lambda: {*StepName.values, *Outcome.values},
        lambda: {*WORDS, *codes_of_reports()},
    ],
    ids=[
        "errors",
        "of classes",
        "log",
        "backend",
        "checks",
        "checks by their whole ids",
        "of hydra_ui",
        "rows",
        "events",
        "steps",
        "remarks",
    ],
)
def test_every_name_is_explained(names: object) -> None:
    assert callable(names)
    known = names()

    assert known
    assert sorted(name for name in known if not explain(name)) == []


def test_an_explanation_shows_its_section_and_what_to_do() -> None:
    (found,) = explain("ory_logout.W057")

    assert (found.name, found.page, found.section) == ("ory_logout.W057", "checks.md", "Other settings of the site")
    assert [text.partition(": ")[0] for text in found.texts] == ["Reported when", "What to do"]
    assert explain(" W057 ") == [found]


def test_a_name_with_two_explanations_shows_both() -> None:
    assert [explanation.section for explanation in explain("issuer_unknown")] == ["InvalidMessage", "InvalidToken"]


def test_an_unknown_name_has_no_explanation() -> None:
    assert explain("no_such_code") == explain("") == []


PAGE = r"""
# Page

| `head` | Meaning | What to do |
|---|---|---|
| `name` | a \| b, **bold**, *slanted*, `*/*` and [a link](../other.md#part) | |
| [`linked`](#name) | is no name | x |

| Id | Meaning |
|---|---|
| `second` | in another table |

## Part

Said when [it](../x.md)
is missing.

| Id | Setting |
|---|---|
| `third` | `NAME` |
"""


def test_table_rows_are_read_as_text() -> None:
    assert [(row.name, row.section, row.texts) for row in rows("page.md", PAGE)] == [
        ("name", "Page", ("Meaning: a | b, bold, slanted, */* and a link",)),
        ("second", "Page", ("Meaning: in another table",)),
        ("third", "Part", ("Setting: NAME", "Said when it is missing.")),
    ]


def test_an_installed_package_contains_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for page in explanations.PAGES:
        (tmp_path / page).write_text(PAGE.replace("name", page))
    monkeypatch.setattr(explanations, "PACKAGED", tmp_path)
    explanations.explanations.cache_clear()

    assert [explanation.name for explanation in explain("doctor.md")] == ["doctor.md"]
    explanations.explanations.cache_clear()
