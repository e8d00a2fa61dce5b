"""Rows of the report: unknown results, and no secrets."""

from collections.abc import Iterator
from dataclasses import asdict

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.urls import NoReverseMatch

from django_ory_logout.doctor.findings import (
    Check,
    CheckResult,
    NotKnown,
    Scope,
    Verdict,
    failed,
    passed,
    refer_to,
)
from django_ory_logout.exceptions import HydraError, TemporaryError


def check_of(*said: CheckResult | Exception) -> Check:
    def function(_target: object) -> Iterator[CheckResult]:
        for result in said:
            if isinstance(result, Exception):
                raise result
            yield result

    return Check("site.sample", "Sample", Scope.SITE, function)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (NotKnown("Nobody is here."), "Nobody is here."),
        (refer_to("site.cache", "site.database"), "See site.cache, site.database."),
        (ImproperlyConfigured("a password"), "See site.checks."),
        (NoReverseMatch("a password"), "See site.checks."),
        (ModuleNotFoundError("a password"), "See site.checks."),
        (OperationalError("a password"), "See site.database."),
        (TemporaryError("database_fault", "OperationalError"), "See site.database."),
        (TemporaryError("cache_fault", "ConnectionError"), "See site.cache."),
        (HydraError("hydra_refused", "in words"), "hydra_refused: in words"),
        (RuntimeError("a password"), "The check itself failed: RuntimeError."),
    ],
)
def test_a_failed_check_is_unknown_and_names_the_row_with_the_cause(error: Exception, found: str) -> None:
    (finding,) = check_of(error).findings(None, "")

    assert (finding.verdict, finding.found) == (Verdict.UNKNOWN, found)


def test_results_before_a_fault_are_kept() -> None:
    said = [finding.found for finding in check_of(passed("first"), refer_to("site.cache")).findings(None, "")]

    assert said == ["first", "See site.cache."]


def test_a_row_becomes_json() -> None:
    (finding,) = check_of(failed("Something is wrong.", "Mend it.")).findings(None, "default")

    assert asdict(finding) == {
        "check": "site.sample",
        "title": "Sample",
        "about": "default",
        "verdict": "fail",
        "found": "Something is wrong.",
        "todo": "Mend it.",
    }


def test_no_row_shows_a_secret() -> None:
    (finding,) = check_of(failed("https://rp.example/?code=AAA", "ory_pat_abc")).findings(None, "")

    assert (finding.found, finding.todo) == ("https://rp.example/?code=***", "***")
