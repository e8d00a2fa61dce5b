"""Whom a user is at the providers and at Kratos, and where these are asked about them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import router
from django.db.models import Q, QuerySet

from .. import conf
from ..models import LoginSessionQuerySet, Subject, digest
from ..ory.hydra import HydraAdmin
from ..ory.kratos import KratosAdmin
from ..sessions import index


@dataclass(frozen=True)
class Person:
    """Somebody as a provider or a Kratos knows them: whether this site knows that subject, and of which sessions."""

    issuer: str
    subject: str
    is_known: bool
    sids: Sequence[str]


# Where


def named_provider(alias: str | None) -> conf.ProviderConfig:
    """The OpenID provider of that alias, or the only one. Raises ``ValueError`` when there is none or no only one."""
    providers = conf.get().providers
    if alias not in providers and (not providers or alias in _issuers()):
        raise ValueError("People sign in there by Kratos alone: it is no OpenID provider.")
    _require_clear(alias, {one.alias: one.registration.issuer for one in providers.values()})
    return providers[alias] if alias is not None else next(iter(providers.values()))


def named_issuers(alias: str | None) -> list[str]:
    """The issuers of one of ``PROVIDERS``: the provider's, and its Kratos'. Raises like :func:`named_provider`."""
    entries = _issuers()
    _require_clear(alias, {one: issuers[0] for one, issuers in entries.items()})
    return _unique(issuer for one, issuers in entries.items() if alias in {None, one} for issuer in issuers)


def _require_clear(alias: str | None, issuers: Mapping[str, str]) -> None:
    if alias is not None and alias not in issuers:
        raise ValueError(f"There is no provider {alias!r} in the settings.")
    if alias is None and len(set(issuers.values())) > 1:
        raise ValueError("There are several providers in the settings: one has to be named.")


def _issuers() -> Mapping[str, Sequence[str]]:
    """The issuers in each of ``PROVIDERS``, the one that it is there for first."""
    config = conf.get()
    found = {one.alias: [one.registration.issuer] for one in config.providers.values()}
    for kratos in config.kratos:
        found.setdefault(kratos.alias, []).append(kratos.issuer)
    return found


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def is_kratos(issuer: str) -> bool:
    return conf.get().kratos_of(issuer) is not None


def kratos_of(issuer: str, alias: str | None) -> KratosAdmin | None:
    """The way to the Kratos at ``issuer``: through the provider of that alias, or any that has one."""
    for one in conf.get().kratos:
        if one.issuer == issuer and one.admin and alias in {None, one.alias}:
            return one.admin
    return None


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


# Who


def people(whom: AbstractBaseUser | str, alias: str | None) -> list[Person]:
    """Whom a user is at all providers or at one; or the one subject. Raises like :func:`named_provider`.

    A provider's subject is the identity at its Kratos too, and the other way round.
    """
    issuers = named_issuers(alias) if alias is not None or isinstance(whom, str) else None
    if isinstance(whom, str):
        return [_of_subject(issuer, whom) for issuer in issuers or ()]
    of_user = [of.filter(user_id=str(whom.pk)).values_list("issuer", "subject") for of in (_links(), index.rows())]
    found = {name for query in of_user for name in query if issuers is None or name[0] in issuers}
    names = {(issuer, subject) for known, subject in found for issuer in _with_same_subjects(known, alias)}
    return [_of_subject(*name) for name in sorted(names)]


def _with_same_subjects(issuer: str, alias: str | None) -> set[str]:
    entries = [issuers for one, issuers in _issuers().items() if alias in {None, one} and issuer in issuers]
    return {issuer}.union(*entries)


def unread(subject: str, alias: str | None) -> list[Person]:
    """The one subject, where nothing can be read of it. Raises like :func:`named_provider`."""
    return [Person(issuer, subject, False, []) for issuer in named_issuers(alias)]


def _of_subject(issuer: str, subject: str) -> Person:
    rows = index.rows().filter(subject_digest=digest(issuer, subject)).order_by("created_at")
    is_known = rows.exists() or _links().filter(subject_digest=digest(issuer, subject)).exists()
    return Person(issuer, subject, is_known, [sid for sid in rows.values_list("sid", flat=True) if sid])


def login_sessions_of(
    whom: AbstractBaseUser | str, alias: str | None, persons: Sequence[Person]
) -> LoginSessionQuerySet:
    """The rows of ``persons``, whom :func:`people` found; of a user at all providers, every row."""
    of_persons = Q(subject_digest__in=[digest(one.issuer, one.subject) for one in persons])
    is_users = Q() if isinstance(whom, str) or alias is not None else Q(user_id=str(whom.pk))
    return index.rows().filter(of_persons | is_users)


def issuers_of_login(sid: str, alias: str | None) -> list[str]:
    """Whose login session ``sid`` is, or can be. Raises like :func:`named_provider`."""
    issuers = named_issuers(alias)
    return [one for one in issuers if logins_of(sid, [one]).exists()] or issuers


def logins_of(sid: str, issuers: Sequence[str]) -> LoginSessionQuerySet:
    """The rows of the login session ``sid`` at any of ``issuers``."""
    return index.rows().filter(sid_digest__in=[digest(issuer, sid) for issuer in issuers])


def _links() -> QuerySet[Subject]:
    return Subject.objects.using(router.db_for_write(Subject))
