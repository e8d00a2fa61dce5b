"""Delete what a trial has created, here and at Hydra."""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import Error as DatabaseFault
from django.db import router
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from ...models import EndReason, EventKind, LogoutEvent, Subject, digest
from ...sessions import ending, events, index, receipts
from ...users import creation
from ..findings import CheckResult, failed, passed
from ..targets import ProviderTarget
from .hydra_user import PREFIX, TestUser

logger = logging.getLogger("django_ory_logout")

#: The possible difference between this machine's clock and the site's. If a user joined more than this before the start
#: of the trial, the trial did not create the user.
CLOCK_DIFFERENCE = timedelta(seconds=5)
TEST_SUBJECT = re.compile(f"{PREFIX}[0-9a-f]{{16}}")
KINDS_WITHOUT_SUBJECT = (EventKind.REFUSED, EventKind.RETURNED)


def clean_up(test_user: TestUser) -> CheckResult:
    """Delete all parts of ``test_user``, even if some parts fail.

    Delete at Hydra first, so that it sends no more notices.
    """
    if not test_user.is_at_hydra:
        return passed(_("Nothing was created."))
    parts: list[tuple[str, Callable[[], object]]] = [
        (_("the login at Hydra"), lambda: test_user.target.hydra.revoke_login_sessions(test_user.subject)),
        (_("the consent at Hydra"), lambda: test_user.target.hydra.revoke_all_consents(test_user.subject)),
        (_("login sessions"), lambda: ending.end_rows(index.rows().filter(_named(test_user)), EndReason.USER)),
        (_("the user"), lambda: _delete_users(test_user)),
        (_("receipts"), lambda: receipts.rows().filter(_named(test_user)).delete()),
        (_("events"), lambda: _events(test_user).delete()),
    ]
    refusals = _counted_refusals(test_user)
    left = [name for name, delete in parts if not _succeeds(delete)]
    if test_user.is_in_other_database:
        left.append(_("the login session, user and subject in the other database"))
    if left:
        return failed(
            _("Left of %(subject)s: %(left)s.") % {"subject": test_user.subject, "left": ", ".join(left)},
            _("Delete it by hand. No real user has that subject. The log shows what failed."),
        )
    if refusals:
        found = _("Nothing is left, except in history.refused: %(codes)s.")
        return passed(found % {"codes": ", ".join(refusals)})
    return passed(_("Nothing is left, here and at Hydra."))


def _counted_refusals(test_user: TestUser) -> list[str]:
    """Refusals of the trial that stay in the counters. A counter does not say whose refusals it counts."""
    since = test_user.started_at.replace(minute=0, second=0, microsecond=0)
    with suppress(DatabaseFault):
        codes = set(_events(test_user).filter(kind=EventKind.REFUSED).values_list("code", flat=True))
        counts = events.counts().filter(hour__gte=since).values_list("channel", "code")
        return sorted(codes & {f"{channel}: {code}" for channel, code in counts})
    return []


def leftover_test_users(target: ProviderTarget) -> list[TestUser]:
    """The test users of trials that were killed, found by their subjects. No real user has such a subject."""
    links = Subject.objects.using(router.db_for_write(Subject)).all()
    found: dict[str, datetime] = {}
    for rows in (links, index.rows()):
        of_issuer = rows.filter(issuer=target.registration.issuer, subject__startswith=PREFIX)
        for subject, created_at in of_issuer.values_list("subject", "created_at"):
            found.setdefault(subject, created_at)
    return [
        TestUser(target, subject, created_at, is_at_hydra=True)
        for subject, created_at in found.items()
        if TEST_SUBJECT.fullmatch(subject)
    ]


def _succeeds(delete: Callable[[], object]) -> bool:
    try:
        return delete() is not False
    except Exception as error:
        logger.warning("the doctor could not clean up: %s", type(error).__name__)
        return False


def _named(test_user: TestUser) -> Q:
    """The filter that finds the index rows and receipts of ``test_user``."""
    issuer = test_user.target.registration.issuer
    sids = [digest(issuer, sid) for sid in test_user.sids]
    return Q(sid_digest__in=sids) | Q(subject_digest__in=[digest(issuer, subject) for subject in test_user.subjects])


def _events(test_user: TestUser) -> QuerySet[LogoutEvent]:
    """Events of ``test_user``, and events without sid and subject, which exist only because the doctor follows."""
    named = Q(sid__in=test_user.sids) | Q(subject__in=test_user.subjects)
    unnamed = Q(pk__gt=test_user.last_event_id, kind__in=KINDS_WITHOUT_SUBJECT, issuer="", sid="", subject="")
    return events.rows().filter(unnamed | named & Q(issuer=test_user.target.registration.issuer))


def _delete_users(test_user: TestUser) -> bool:
    """Delete the users that the trial created, and the links to other users. False if there were other users."""
    links = Subject.objects.using(router.db_for_write(Subject))
    issuer = test_user.target.registration.issuer
    own_links = list(links.filter(subject_digest__in=[digest(issuer, subject) for subject in test_user.subjects]))
    remaining = 0
    for link in own_links:
        user = creation.find(link.user_id)
        has_others = links.filter(user_id=link.user_id).exclude(pk=link.pk).exists()
        if user and _is_created_for(link, user, test_user) and not has_others:
            user.delete()
        else:
            link.delete()
            remaining += user is not None
    return not remaining


def _is_created_for(link: Subject, user: AbstractBaseUser, test_user: TestUser) -> bool:
    """Whether the trial created the user.

    True if the username is a digest of the subject, or the user was created after the trial began.
    """
    joined = getattr(user, "date_joined", None)
    has_digest_name = user.get_username() == digest(link.issuer, link.subject)[:30]
    return has_digest_name or (joined is not None and joined >= test_user.started_at - CLOCK_DIFFERENCE)
