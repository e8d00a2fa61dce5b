"""What a check is, and what it finds."""

import re
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


class Verdict(TextChoices):
    """How a check went. The worst of all decides the exit status."""

    PASS = "pass", gettext_lazy("pass")
    WARN = "warn", gettext_lazy("warn")
    FAIL = "fail", gettext_lazy("FAIL")
    UNKNOWN = "unknown", gettext_lazy("not known")


class Scope(TextChoices):
    """What a check is about: it is done once for each."""

    SITE = "site"
    PROVIDER = "provider"
    HYDRA = "hydra"
    KRATOS = "kratos"


@dataclass(frozen=True)
class CheckResult:
    """What a check says: its verdict, what was found, and what to do. Never a token, a secret or a cookie."""

    verdict: Verdict
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Finding:
    """One row. ``about``: the alias of a provider, or nothing for the site."""

    check: str
    title: str
    about: str
    verdict: Verdict
    found: str
    todo: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "check": self.check,
            "title": self.title,
            "about": self.about,
            "verdict": self.verdict.value,
            "found": self.found,
            "todo": self.todo,
        }


Examine = Callable[[Any], Iterable[CheckResult]]


@dataclass(frozen=True)
class Check:
    """One check, by its stable id."""

    id: str
    title: str | Promise
    scope: Scope
    examine: Examine

    @property
    def section(self) -> str:
        """What comes before the dot of the id."""
        return self.id.partition(".")[0]

    def findings(self, target: Any, about: str) -> Iterator[Finding]:
        """Do the check. What goes wrong in it is *not known*, and hides neither another row nor what came before."""
        said: list[CheckResult] = []
        try:
            for one in self.examine(target):
                said.append(one)
        except Exception as error:
            said.append(unknown(_reason(error)))
        for one in said:
            yield self.finding(one, about)

    def finding(self, said: CheckResult, about: str) -> Finding:
        """What was ``said``, as a row."""
        return Finding(self.id, str(self.title), about, said.verdict, redact(said.found), redact(said.todo))


class NotKnown(Exception):
    """What a check would need is not there. Its text says which row tells more."""


def see(*checks: str) -> NotKnown:
    """Not known: those rows have the cause."""
    return NotKnown(_("See %(checks)s.") % {"checks": ", ".join(checks)})


#: Faults of ours that another row is about, by the code of the error.
_ELSEWHERE = {"cache_fault": "site.cache", "cache_unusable": "site.cache", "database_fault": "site.database"}


def _reason(error: Exception) -> str:
    """Why a check could not be done."""
    if isinstance(error, NotKnown):
        return str(error)
    if isinstance(error, ImproperlyConfigured | NoReverseMatch | ImportError):
        return str(see("site.checks"))
    if isinstance(error, DatabaseFault):
        return str(see("site.database"))
    if isinstance(error, OryLogoutError):
        return str(see(_ELSEWHERE[error.code])) if error.code in _ELSEWHERE else str(error)
    # The text of a stranger's exception can hold anything.
    return _("The check itself failed: %(error)s.") % {"error": type(error).__name__}


#: The name and password of a URL, whatever is in them; what its query says; JSON Web Tokens; Ory's tokens and codes.
_SECRET = re.compile(
    r"(?<=://)\S+(?=@)|(?P<name>[?&#][\w.~%\[\]-]+=)[^\s&#]+|\beyJ[\w-]+\.[\w.-]+|\bory_[a-z]{2,3}_[\w.-]+"
)
#: How much of a stranger's text is shown.
_LENGTH = 120


def redact(text: str) -> str:
    """``text`` without what could be a secret or move the cursor of a terminal, whoever has put it there."""
    return "".join(one if one.isprintable() else "?" for one in _SECRET.sub(r"\g<name>***", text))


def address(url: str) -> str:
    """``url`` without name, password, query and fragment, in which a secret can stand."""
    return quoted(re.split(r"[?#]", redact(url))[0])


def quoted(value: object) -> str:
    """What somebody else says, of bounded length."""
    text = str(value)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}..."


#: All checks by their ids, which begin with a section ...
CHECKS: dict[str, Check] = {}
#: ... of these.
SECTIONS = ("site", "provider", "receiver", "registration", "kratos", "history")


def check(identifier: str, title: str | Promise, scope: Scope = Scope.SITE) -> Callable[[Examine], Examine]:
    """Make a function a check."""

    def register(examine: Examine) -> Examine:
        CHECKS[identifier] = Check(identifier, title, scope, examine)
        return examine

    return register


def passed(found: str) -> CheckResult:
    return CheckResult(Verdict.PASS, found)


def warned(found: str, todo: str) -> CheckResult:
    return CheckResult(Verdict.WARN, found, todo)


def failed(found: str, todo: str) -> CheckResult:
    return CheckResult(Verdict.FAIL, found, todo)


def unknown(found: str, todo: str = "") -> CheckResult:
    return CheckResult(Verdict.UNKNOWN, found, todo)
