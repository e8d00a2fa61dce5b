"""Run the checks, each once for each target of its scope."""

import time
from collections.abc import Collection, Iterator

from django.utils.translation import gettext as _

from .. import conf
from .checks import history, history_hydra, history_refusals, kratos, provider, receiver, registration, site
from .findings import CHECKS, SECTIONS, Check, Finding, Scope, unknown
from .targets import SiteTarget, Targets, UnreadProviderTarget, targets_of

#: The modules with the checks, in the order in which the checks run.
CHECK_MODULES = (site, provider, receiver, registration, kratos, history, history_refusals, history_hydra)
#: No check starts later than this, in seconds. A check that has started may take as long as its requests take.
LAST_START_SECONDS = 120


def run_checks(*, alias: str | None = None, only: Collection[str] = ()) -> Iterator[Finding]:
    """Run all checks, or ``only`` these ids or sections, for all providers or the provider with this ``alias``.

    Yields each row as soon as it is there. Raises ``ValueError`` for an unknown alias, id or section.
    """
    unknown_ids = sorted(set(only) - CHECKS.keys() - {*SECTIONS})
    if unknown_ids:
        raise ValueError(_("There is no check %(id)r.") % {"id": unknown_ids[0]})
    checks = [check for check in ordered_checks() if not only or {check.id, check.section} & {*only}]
    return _findings(_targets(alias), checks)


def ordered_checks() -> list[Check]:
    """All checks, in the order in which they run."""
    names = [module.__name__ for module in CHECK_MODULES]
    return sorted(CHECKS.values(), key=lambda check: names.index(check.function.__module__))


def _findings(targets: Targets, checks: list[Check]) -> Iterator[Finding]:
    deadline = time.monotonic() + LAST_START_SECONDS
    for check in checks:
        for target, about in targets[check.scope]:
            if time.monotonic() < deadline:
                yield from check.findings(target, about)
            else:
                found = _("Not checked: the checks before took more than %(seconds)d s.")
                yield check.as_finding(unknown(found % {"seconds": LAST_START_SECONDS}), about)


def _targets(alias: str | None) -> Targets:
    try:
        config = conf.get()
    except Exception:  # the settings can hold anything. The row site.checks has the reason.
        # Without the settings, the providers are not known: each check gets one row for all of them.
        return {
            Scope.SITE: [(SiteTarget(None), "")],
            Scope.PROVIDER: [(UnreadProviderTarget(), "")],
            Scope.HYDRA: [],
            Scope.KRATOS: [],
        }
    return targets_of(config, alias)
