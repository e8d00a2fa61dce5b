"""Unmaking what a try has made: here, and at Hydra."""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import Error as DatabaseFault
from django.db import router
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from ... import users
from ...models import EndReason, EventKind, LoginSessionQuerySet, LogoutEvent, Subject, digest
from ...sessions import ending, events, index, receipts
from ..findings import CheckResult, failed, passed
from ..targets import ProviderTarget
from .hydra_user import PREFIX, TestUser

logger = logging.getLogger("django_ory_logout")

#: Between this machine's clock and the site's: who joined longer ago was there before.
CLOCKS = timedelta(seconds=5)
OF_TRY = re.compile(f"{PREFIX}[0-9a-f]{{16}}")
NAMELESS = (EventKind.REFUSED, EventKind.RETURNED)


def clean_up(person: TestUser) -> CheckResult:
    """Forget ``person``: each part whatever comes of the others. At Hydra first, which then sends no more notices."""
    if not person.is_at_hydra:
        return passed(_("Nothing was made."))
    parts: list[tuple[str, Callable[[], object]]] = [
        (_("the login at Hydra"), lambda: person.target.hydra.revoke_login_sessions(person.subject)),
        (_("the consent at Hydra"), lambda: person.target.hydra.revoke_all_consents(person.subject)),
        (_("login sessions"), lambda: ending.end_rows(_login_sessions(person), EndReason.USER)),
        (_("the user"), lambda: _forget_users(person)),
        (_("receipts"), lambda: receipts.rows().filter(_named(person)).delete()),
        (_("events"), lambda: _events(person).delete()),
    ]
    counted = _counted(person)
    left = [what for what, undo in parts if not _done(undo)]
    if person.is_elsewhere:
        left.append(_("what the other database holds: login session, user, subject"))
    if left:
        return failed(
            _("Of %(subject)s is left: %(left)s.") % {"subject": person.subject, "left": ", ".join(left)},
            _("Remove it by hand: nobody real has that subject. The log has what failed."),
        )
    if counted:
        return passed(_("Nothing is left of it, but in history.refused: %(codes)s.") % {"codes": ", ".join(counted)})
    return passed(_("Nothing is left of it, here and at Hydra."))


def _counted(person: TestUser) -> list[str]:
    """What the counters keep of it: they are of hours, and one refusal in them is like another."""
    since = person.started.replace(minute=0, second=0, microsecond=0)
    with suppress(DatabaseFault):
        heard = set(_events(person).filter(kind=EventKind.REFUSED).values_list("code", flat=True))
        counts = events.counts().filter(hour__gte=since).values_list("channel", "code")
        return sorted(heard & {f"{channel}: {code}" for channel, code in counts})
    return []


def left_behind(target: ProviderTarget) -> list[TestUser]:
    """Whom tries have left that were killed: by their subjects, which nobody real has."""
    links = Subject.objects.using(router.db_for_write(Subject)).all()
    found: dict[str, datetime] = {}
    for rows in (links, index.rows()):
        of_issuer = rows.filter(issuer=target.registration.issuer, subject__startswith=PREFIX)
        for subject, created_at in of_issuer.values_list("subject", "created_at"):
            found.setdefault(subject, created_at)
    return [
        TestUser(target, subject, created_at, is_at_hydra=True)
        for subject, created_at in found.items()
        if OF_TRY.fullmatch(subject)
    ]


def of_earlier_trials(said: CheckResult) -> CheckResult:
    """What came of tidying up behind a try that was killed."""
    return replace(said, found=_("Of an earlier try: %(found)s") % {"found": said.found})


def _done(undo: Callable[[], object]) -> bool:
    try:
        return undo() is not False
    except Exception as error:
        logger.warning("the doctor could not tidy up: %s", type(error).__name__)
        return False


def _named(person: TestUser) -> Q:
    """By what rows of the index, and receipts, know ``person``."""
    issuer = person.target.registration.issuer
    sids = [digest(issuer, sid) for sid in person.sids]
    return Q(sid_digest__in=sids) | Q(subject_digest__in=[digest(issuer, one) for one in person.subjects])


def _login_sessions(person: TestUser) -> LoginSessionQuerySet:
    return index.rows().filter(_named(person))


def _events(person: TestUser) -> QuerySet[LogoutEvent]:
    """Of ``person``, and those without a name that are kept because it is listened to."""
    named = Q(sid__in=person.sids) | Q(subject__in=person.subjects)
    nameless = Q(pk__gt=person.after, kind__in=NAMELESS, issuer="", sid="", subject="")
    return events.rows().filter(nameless | named & Q(issuer=person.target.registration.issuer))


def _forget_users(person: TestUser) -> bool:
    """Delete users whom the try has made, and links alone of others; whether none of these remains."""
    links = Subject.objects.using(router.db_for_write(Subject))
    issuer = person.target.registration.issuer
    ours = list(links.filter(subject_digest__in=[digest(issuer, one) for one in person.subjects]))
    remaining = 0
    for link in ours:
        user = users.find(link.user_id)
        has_others = links.filter(user_id=link.user_id).exclude(pk=link.pk).exists()
        if user and _is_made_for(link, user, person) and not has_others:
            user.delete()
        else:
            link.delete()
            remaining += user is not None
    return not remaining


def _is_made_for(link: Subject, user: AbstractBaseUser, person: TestUser) -> bool:
    """Whether the user did not exist before: by the name that is made of the subject, or by when they joined."""
    joined = getattr(user, "date_joined", None)
    by_name = user.get_username() == digest(link.issuer, link.subject)[:30]
    return by_name or (joined is not None and joined >= person.started - CLOCKS)
