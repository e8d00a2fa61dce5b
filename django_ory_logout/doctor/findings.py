"""A check of the doctor, its results, and the rows of the report."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseFault
from django.db.models import TextChoices
from django.urls import NoReverseMatch
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..exceptions import OryLogoutError
from .redaction import redact


class Verdict(TextChoices):
    """The verdict of a check. The worst verdict of all checks decides the exit status."""

    PASS = "pass", gettext_lazy("pass")
    WARN = "warn", gettext_lazy("warn")
    FAIL = "fail", gettext_lazy("FAIL")
    UNKNOWN = "unknown", gettext_lazy("not known")


class Scope(TextChoices):
    """The kind of thing that a check examines. The check runs once for each of them."""

    SITE = "site"
    PROVIDER = "provider"
    HYDRA = "hydra"
    KRATOS = "kratos"


@dataclass(frozen=True)
class CheckResult:
    """One result of a check: its verdict, what it found, and what to do. It holds no token, secret or cookie."""

    verdict: Verdict
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Finding:
    """One row of the report, as the JSON shows it. ``about``: the alias of a provider; empty for the site."""

    check: str
    title: str
    about: str
    verdict: Verdict
    found: str
    todo: str = ""


#: It returns its only result, or yields several.
CheckFunction = Callable[[Any], CheckResult | Iterable[CheckResult]]


@dataclass(frozen=True)
class Check:
    """One check, by its stable id."""

    id: str
    title: str | Promise
    scope: Scope
    function: CheckFunction

    @property
    def section(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]

    def findings(self, target: Any, about: str) -> Iterator[Finding]:
        """Run the check.

        If it raises, one more row says *not known*; earlier results are kept, and the other checks still run.
        """
        results: list[CheckResult] = []
        try:
            found = self.function(target)
            for result in [found] if isinstance(found, CheckResult) else found:
                results.append(result)
        except Exception as error:
            results.append(unknown(_reason(error)))
        for result in results:
            yield self.as_finding(result, about)

    def as_finding(self, result: CheckResult, about: str) -> Finding:
        return Finding(self.id, str(self.title), about, result.verdict, redact(result.found), redact(result.todo))


class NotKnown(Exception):
    """A check cannot be done, because something that it needs is missing. The text names the row with the cause."""


def refer_to(*checks: str) -> NotKnown:
    """The exception of a check that cannot be done, whose text points to the rows of ``checks``."""
    return NotKnown(_("See %(checks)s.") % {"checks": ", ".join(checks)})


#: By error code: the check that has the cause of this error.
_CHECK_OF_ERROR_CODE = {"cache_fault": "site.cache", "cache_unusable": "site.cache", "database_fault": "site.database"}


def _reason(error: Exception) -> str:
    if isinstance(error, NotKnown):
        return str(error)
    if isinstance(error, ImproperlyConfigured | NoReverseMatch | ImportError):
        return str(refer_to("site.checks"))
    if isinstance(error, DatabaseFault):
        return str(refer_to("site.database"))
    if isinstance(error, OryLogoutError):
        check_id = _CHECK_OF_ERROR_CODE.get(error.code)
        return str(refer_to(check_id)) if check_id else str(error)
    # The text of an exception from other code can hold a secret, so this shows only its type.
    return _("The check itself failed: %(error)s.") % {"error": type(error).__name__}


#: All checks by their ids. An id begins with its section.
CHECKS: dict[str, Check] = {}
SECTIONS = ("site", "provider", "receiver", "registration", "kratos", "history")


def check(identifier: str, title: str | Promise, scope: Scope = Scope.SITE) -> Callable[[CheckFunction], CheckFunction]:
    """Register a function as a check."""

    def register(function: CheckFunction) -> CheckFunction:
        CHECKS[identifier] = Check(identifier, title, scope, function)
        return function

    return register


def passed(found: str) -> CheckResult:
    return CheckResult(Verdict.PASS, found)


def warned(found: str, todo: str) -> CheckResult:
    return CheckResult(Verdict.WARN, found, todo)


def failed(found: str, todo: str) -> CheckResult:
    return CheckResult(Verdict.FAIL, found, todo)


def unknown(found: str, todo: str = "") -> CheckResult:
    return CheckResult(Verdict.UNKNOWN, found, todo)
