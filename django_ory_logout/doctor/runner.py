"""Doing the checks, each for all that it is about."""

import time
from collections.abc import Collection, Iterator
from typing import Any

from django.utils.translation import gettext as _

from .. import conf
from .checks import (
    history,
    history_refusals,
    hydra_sessions,
    kratos,
    provider,
    receiver,
    receiver_frames,
    registration,
    site_cookies,
)
from .checks import site as deployment
from .findings import CHECKS, SECTIONS, Check, Finding, Scope, unknown
from .targets import KratosTarget, ProviderTarget, SiteTarget, UnreadProviderTarget

#: Who has the checks, section by section, in the order in which they are done.
SECTION_MODULES = (
    deployment,
    site_cookies,
    provider,
    receiver,
    receiver_frames,
    registration,
    kratos,
    history,
    history_refusals,
    hydra_sessions,
)
#: No check begins later than this, in seconds. One by itself takes what its calls may take.
LAST_START_SECONDS = 120

Targets = dict[Scope, list[tuple[Any, str]]]


def examine(*, alias: str | None = None, only: Collection[str] = ()) -> Iterator[Finding]:
    """Do all checks, or ``only`` those (ids, or whole sections), of all providers or the one of that ``alias``.

    Gives the rows as they come. Raises ``ValueError`` for an alias, an id or a section that there is not.
    """
    strange = sorted(set(only) - CHECKS.keys() - {*SECTIONS})
    if strange:
        raise ValueError(_("There is no check %(id)r.") % {"id": strange[0]})
    chosen = [one for one in in_order() if not only or {one.id, one.section} & {*only}]
    return _findings(_targets(alias), chosen)


def in_order() -> list[Check]:
    """All checks, section by section."""
    names = [room.__name__ for room in SECTION_MODULES]
    return sorted(CHECKS.values(), key=lambda one: names.index(one.examine.__module__))


def _findings(targets: Targets, checks: list[Check]) -> Iterator[Finding]:
    deadline = time.monotonic() + LAST_START_SECONDS
    for one in checks:
        for target, about in targets[one.scope]:
            if time.monotonic() < deadline:
                yield from one.findings(target, about)
            else:
                late = _("Not looked at: what came before took more than %(seconds)d s.") % {
                    "seconds": LAST_START_SECONDS
                }
                yield one.finding(unknown(late), about)


def _targets(alias: str | None) -> Targets:
    config = _config()
    site = SiteTarget(config)
    if config is None:
        # Which providers there are is not known: one row for all.
        return {
            Scope.SITE: [(site, "")],
            Scope.PROVIDER: [(UnreadProviderTarget(), "")],
            Scope.HYDRA: [],
            Scope.KRATOS: [],
        }
    if alias is not None and alias not in {*config.providers, *(one.alias for one in config.kratos)}:
        raise ValueError(_("There is no provider %(alias)r in the settings.") % {"alias": alias})
    providers = [ProviderTarget(one, site) for one in config.providers.values() if alias in {None, one.alias}]
    return {
        Scope.SITE: [(site, "")],
        Scope.PROVIDER: [(one, one.config.alias) for one in providers],
        Scope.HYDRA: [(one, one.config.alias) for one in providers if one.config.hydra],
        Scope.KRATOS: [(KratosTarget(one), one.alias) for one in config.kratos if alias in {None, one.alias}],
    }


def _config() -> conf.Config | None:
    """The settings, if they can be read: the system checks say why not."""
    try:
        return conf.get()
    except Exception:  # whatever stands there
        return None
