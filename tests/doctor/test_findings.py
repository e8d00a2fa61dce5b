"""Rows: they show what a check cannot know, and they never show a secret."""

from collections.abc import Iterator

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
    address,
    failed,
    passed,
    quoted,
    redact,
    see,
)
from django_ory_logout.exceptions import HydraError, TemporaryError


def check_of(*said: CheckResult | Exception) -> Check:
    def examine(_target: object) -> Iterator[CheckResult]:
        for result in said:
            if isinstance(result, Exception):
                raise result
            yield result

    return Check("site.sample", "Sample", Scope.SITE, examine)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (NotKnown("Nobody is here."), "Nobody is here."),
        (see("site.cache", "site.database"), "See site.cache, site.database."),
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
    said = [finding.found for finding in check_of(passed("first"), see("site.cache")).findings(None, "")]

    assert said == ["first", "See site.cache."]


def test_a_row_becomes_json() -> None:
    (finding,) = check_of(failed("Something is wrong.", "Mend it.")).findings(None, "default")

    assert finding.as_dict() == {
        "check": "site.sample",
        "title": "Sample",
        "about": "default",
        "verdict": "fail",
        "found": "Something is wrong.",
        "todo": "Mend it.",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://name:password@op.example/x answers", "https://***@op.example/x answers"),
        # A password can contain characters that end it for other parsers. A path with an @ is masked with it.
        ("postgres://u:p@ss@h/db", "postgres://***@h/db"),
        ("redis://:pa/ss@h:6379, again", "redis://***@h:6379, again"),
        ("https://name:pass?a=b#c@op.example/x", "https://***@op.example/x"),
        ("https://op.example/@x answers", "https://***@x answers"),
        (
            "https://rp.example/cb?access_token=AAA&next=%2F&a[]=b answers",
            "https://rp.example/cb?access_token=***&next=***&a[]=*** answers",
        ),
        ("https://rp.example/cb#id_token=AAA", "https://rp.example/cb#id_token=***"),
        ("Is it well? a=b", "Is it well? a=b"),
        ("a@b.example", "a@b.example"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln!", "token ***!"),
        ("ory_pat_abc.def, ory_st_xyz-1", "***, ***"),
        ("Run manage.py ory_doctor, ory_register_client", "Run manage.py ory_doctor, ory_register_client"),
        ("the cookie ory_hydra_session", "the cookie ory_hydra_session"),
        ("red \x1b[31m\r\nand a line", "red ?[31m??and a line"),
    ],
)
def test_no_row_shows_a_secret_or_moves_the_cursor(text: str, shown: str) -> None:
    assert redact(text) == shown
    (finding,) = check_of(failed(text, text)).findings(None, "")
    assert (finding.found, finding.todo) == (shown, shown)


@pytest.mark.parametrize(
    "url",
    [
        "https://a:b@op.example/x?code=1#part",
        "https://a:b?c#d@op.example/x?code",
        "https://op.example/x#token=1?",
        "https://op.example/x",
    ],
)
def test_only_scheme_host_and_path_of_a_url_are_shown(url: str) -> None:
    assert address(url).replace("***@", "") == "https://op.example/x"


def test_untrusted_text_is_quoted_with_a_length_limit() -> None:
    assert quoted("short") == "short"
    assert len(quoted("x" * 1000)) == 123
