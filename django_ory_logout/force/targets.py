"""The targets of a forced logout: a user's subjects at the providers and at Kratos, and their admin APIs."""

from collections.abc import Mapping, Sequence
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
    """A subject at a provider or a Kratos. ``is_known``: this site knows it. ``sids``: its login sessions here."""

    issuer: str
    subject: str
    is_known: bool
    sids: Sequence[str]


# Providers


def named_provider(alias: str | None) -> conf.ProviderConfig:
    """The OpenID provider with this alias, or the only provider. Raises ``ValueError`` if there is none, or several."""
    providers = conf.get().providers
    if alias not in providers and (not providers or alias in _issuers()):
        raise ValueError("Users sign in there by Kratos alone: it is no OpenID provider.")
    _require_clear(alias, {config.alias: config.registration.issuer for config in providers.values()})
    return providers[alias] if alias is not None else next(iter(providers.values()))


def named_issuers(alias: str | None) -> list[str]:
    """The issuers of an alias of ``PROVIDERS``: of the provider and its Kratos. Raises as :func:`named_provider`."""
    entries = _issuers()
    _require_clear(alias, {name: issuers[0] for name, issuers in entries.items()})
    found = [issuer for name, issuers in entries.items() if alias in {None, name} for issuer in issuers]
    return list(dict.fromkeys(found))


def _require_clear(alias: str | None, issuers: Mapping[str, str]) -> None:
    if alias is not None and alias not in issuers:
        raise ValueError(f"There is no provider {alias!r} in the settings.")
    if alias is None and len(set(issuers.values())) > 1:
        raise ValueError("There are several providers in the settings. Name one of them.")


def _issuers() -> Mapping[str, Sequence[str]]:
    """The issuers of each alias of ``PROVIDERS``, the provider's before the Kratos'."""
    config = conf.get()
    found = {provider.alias: [provider.registration.issuer] for provider in config.providers.values()}
    for kratos in config.kratos:
        found.setdefault(kratos.alias, []).append(kratos.issuer)
    return found


def is_kratos(issuer: str) -> bool:
    return conf.get().kratos_of(issuer) is not None


def kratos_of(issuer: str, alias: str | None) -> KratosAdmin | None:
    """The admin API of the Kratos at ``issuer``: of this alias, or of any alias that has one."""
    for config in conf.get().kratos:
        if config.issuer == issuer and config.admin and alias in {None, config.alias}:
            return config.admin
    return None


class Hydra(NamedTuple):
    """Hydra's admin API, its alias in ``PROVIDERS``, and this site's client id there."""

    alias: str
    admin: HydraAdmin
    client_id: str


def hydra_of(issuer: str, alias: str | None) -> Hydra | None:
    """The Hydra of ``issuer``: of this alias, or of any alias that has one."""
    for config in conf.get().of_issuer(issuer):
        if config.hydra and alias in {None, config.alias}:
            return Hydra(config.alias, config.hydra, config.registration.client_id)
    return None


# Subjects


def people(user_or_subject: AbstractBaseUser | str, alias: str | None) -> list[Person]:
    """The subjects of a user at all providers or at one provider, or the given subject at each issuer.

    A provider and its Kratos use the same subjects. Raises as :func:`named_provider`.
    """
    issuers = named_issuers(alias) if alias is not None or isinstance(user_or_subject, str) else None
    if isinstance(user_or_subject, str):
        return [_of_subject(issuer, user_or_subject) for issuer in issuers or ()]
    tables = (_links(), index.rows())
    of_user = [rows.filter(user_id=str(user_or_subject.pk)).values_list("issuer", "subject") for rows in tables]
    found = {name for query in of_user for name in query if issuers is None or name[0] in issuers}
    names = {(issuer, subject) for known, subject in found for issuer in _with_same_subjects(known, alias)}
    return [_of_subject(*name) for name in sorted(names)]


def _with_same_subjects(issuer: str, alias: str | None) -> set[str]:
    entries = [issuers for name, issuers in _issuers().items() if alias in {None, name} and issuer in issuers]
    return {issuer}.union(*entries)


def _of_subject(issuer: str, subject: str) -> Person:
    rows = index.rows().filter(subject_digest=digest(issuer, subject)).order_by("created_at")
    is_known = rows.exists() or _links().filter(subject_digest=digest(issuer, subject)).exists()
    return Person(issuer, subject, is_known, [sid for sid in rows.values_list("sid", flat=True) if sid])


def login_sessions_of(
    user_or_subject: AbstractBaseUser | str, alias: str | None, persons: Sequence[Person]
) -> LoginSessionQuerySet:
    """The rows of ``persons``, which :func:`people` found. For a user at all providers, every row of the user."""
    of_persons = Q(subject_digest__in=[digest(person.issuer, person.subject) for person in persons])
    is_users = Q() if isinstance(user_or_subject, str) or alias is not None else Q(user_id=str(user_or_subject.pk))
    return index.rows().filter(of_persons | is_users)


def logins_of(sid: str, issuers: Sequence[str]) -> LoginSessionQuerySet:
    """The rows of the login session ``sid`` at any of ``issuers``."""
    return index.rows().filter(sid_digest__in=[digest(issuer, sid) for issuer in issuers])


def _links() -> QuerySet[Subject]:
    return Subject.objects.using(router.db_for_write(Subject))
