"""Unmaking what a try has made: here, and at Hydra."""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import router
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from .. import events, receipts, sessions
from ..models import EndReason, LoginSessionQuerySet, LogoutEvent, Subject, digest
from .findings import Said, failed, passed
from .visitor import Synthetic

logger = logging.getLogger("django_ory_logout")

#: Between this machine's clock and the site's: who joined longer ago was there before.
CLOCKS = timedelta(seconds=5)


def tidy(person: Synthetic) -> Said:
    """Forget ``person``: each part whatever comes of the others. At Hydra first, which then sends no more notices."""
    if not person.is_at_hydra:
        return passed(_("Nothing was made."))
    parts: list[tuple[str, Callable[[], object]]] = [
        (_("the login at Hydra"), lambda: person.patient.hydra.revoke_login_sessions(person.subject)),
        (_("the consent at Hydra"), lambda: person.patient.hydra.revoke_all_consents(person.subject)),
        (_("login sessions"), lambda: sessions.end_rows(_login_sessions(person), EndReason.USER)),
        (_("the user"), lambda: _forget_users(person)),
        (_("receipts"), lambda: receipts.rows().filter(_named(person)).delete()),
        (_("events"), lambda: _events(person).delete()),
    ]
    left = [what for what, undo in parts if not _done(undo)]
    if left:
        return failed(
            _("Of %(subject)s is left: %(left)s.") % {"subject": person.subject, "left": ", ".join(left)},
            _("Remove it by hand: nobody real has that subject. The log has what failed."),
        )
    return passed(_("Nothing is left of it, here and at Hydra."))


def _done(undo: Callable[[], object]) -> bool:
    try:
        return undo() is not False
    except Exception as error:
        logger.warning("the doctor could not tidy up: %s", type(error).__name__)
        return False


def _named(person: Synthetic) -> Q:
    """By what rows of the index, and receipts, know ``person``."""
    issuer = person.patient.registration.issuer
    sids = [digest(issuer, sid) for sid in person.sids]
    return Q(sid_digest__in=sids) | Q(subject_digest__in=[digest(issuer, one) for one in person.subjects])


def _login_sessions(person: Synthetic) -> LoginSessionQuerySet:
    return sessions.rows().filter(_named(person))


def _events(person: Synthetic) -> QuerySet[LogoutEvent]:
    named = Q(sid__in=person.sids) | Q(subject__in=person.subjects)
    return events.rows().filter(named, issuer=person.patient.registration.issuer)


def _forget_users(person: Synthetic) -> bool:
    """Delete users whom the try has made, and links alone of others; whether none of these remains."""
    links = Subject.objects.using(router.db_for_write(Subject)).select_related("user")
    issuer = person.patient.registration.issuer
    ours = list(links.filter(subject_digest__in=[digest(issuer, one) for one in person.subjects]))
    remaining = 0
    for link in ours:
        if _is_made_for(link, person) and not links.filter(user_id=link.user_id).exclude(pk=link.pk).exists():
            link.user.delete()
        else:
            link.delete()
            remaining += 1
    return not remaining


def _is_made_for(link: Subject, person: Synthetic) -> bool:
    """Whether the user did not exist before: by the name that is made of the subject, or by when they joined."""
    user: AbstractBaseUser = link.user
    joined = getattr(user, "date_joined", None)
    by_name = user.get_username() == digest(link.issuer, link.subject)[:30]
    return by_name or (joined is not None and joined >= person.started - CLOCKS)
