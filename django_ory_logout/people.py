"""Whom a user is at the providers, and where Hydra is asked about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import router
from django.db.models import QuerySet

from . import conf, sessions
from .models import LoginSessionQuerySet, Subject, digest
from .ory.hydra import HydraAdmin


@dataclass(frozen=True)
class Person:
    """Somebody as a provider knows them: whether this site knows that subject, and of which login sessions."""

    issuer: str
    subject: str
    is_known: bool
    sids: Sequence[str]


def named_provider(alias: str | None) -> conf.ProviderConfig:
    """The provider of that alias, or the only one. Raises ``ValueError`` when there is no such or no only one."""
    providers = conf.get().providers
    if alias is None and len({one.registration.issuer for one in providers.values()}) > 1:
        raise ValueError("There are several providers in the settings: one has to be named.")
    if alias is not None and alias not in providers:
        raise ValueError(f"There is no provider {alias!r} in the settings.")
    return providers[alias] if alias is not None else next(iter(providers.values()))


class Hydra(NamedTuple):
    """Where Hydra is asked, through which of ``PROVIDERS``, and which of its clients this site is there."""

    alias: str
    admin: HydraAdmin
    client_id: str


def hydra_of(issuer: str, alias: str | None) -> Hydra | None:
    """The way to the Hydra of ``issuer``: through the provider of that alias, or any that has one."""
    for one in conf.get().of_issuer(issuer):
        if one.hydra and alias in {None, one.alias}:
            return Hydra(one.alias, one.hydra, one.registration.client_id)
    return None


def people(whom: AbstractBaseUser | str, alias: str | None) -> list[Person]:
    """Whom a user is at all providers or at one; or the one subject. Raises like :func:`named_provider`."""
    if isinstance(whom, str):
        return [_of_subject(named_provider(alias).registration.issuer, whom)]
    issuer = None if alias is None else named_provider(alias).registration.issuer
    of_user = [of.filter(user_id=str(whom.pk)).values_list("issuer", "subject") for of in (_links(), sessions.rows())]
    names = sorted({name for query in of_user for name in query if issuer in {None, name[0]}})
    return [_of_subject(*name) for name in names]


def _of_subject(issuer: str, subject: str) -> Person:
    rows = sessions.rows().filter(subject_digest=digest(issuer, subject)).order_by("created_at")
    is_known = rows.exists() or _links().filter(subject_digest=digest(issuer, subject)).exists()
    return Person(issuer, subject, is_known, [sid for sid in rows.values_list("sid", flat=True) if sid])


def login_sessions_of(
    whom: AbstractBaseUser | str, alias: str | None, persons: Sequence[Person]
) -> LoginSessionQuerySet:
    """The rows of ``persons``, whom :func:`people` found; of a user at all providers, every row."""
    if not isinstance(whom, str) and alias is None:
        return sessions.rows().filter(user_id=str(whom.pk))
    return sessions.rows().filter(subject_digest__in=[digest(one.issuer, one.subject) for one in persons])


def _links() -> QuerySet[Subject]:
    return Subject.objects.using(router.db_for_write(Subject))
