"""Who a user is to Hydra, and the other way round: ``ORY_HYDRA_UI["SUBJECT"]``.

A subject (Core 5.7) is never given to anybody else and never changes: relying parties keep their accounts by it, and
Hydra its sessions and consents. It is told to every relying party.
"""

from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist, ValidationError

from ..exceptions import SignInRefused


@runtime_checkable
class Subjects(Protocol):
    """What a class named in ``SUBJECT`` offers. It is made without arguments."""

    def subject_of(self, user: AbstractBaseUser) -> str:
        """The subject of ``user``; empty where there is none, who is then refused."""

    def user_of(self, subject: str) -> AbstractBaseUser | None:
        """The user whose subject this is."""


@dataclass(frozen=True)
class UserField:
    """A unique field of the user model, written as text."""

    name: str

    def subject_of(self, user: AbstractBaseUser) -> str:
        value = getattr(user, self.name)
        return "" if value is None else str(value)

    def user_of(self, subject: str) -> AbstractBaseUser | None:
        try:
            user: AbstractBaseUser = get_user_model()._default_manager.get(**{self.name: subject})
        except (ObjectDoesNotExist, ValueError, ValidationError):
            return None
        # A database may find 7 by "07", or a name by another case: another subject, so somebody else.
        return user if self.subject_of(user) == subject else None


def is_unique_field(name: str) -> bool:
    """Whether the user model has a unique field ``name``."""
    if name == "pk":
        return True
    try:
        field = cast(Any, get_user_model()._meta.get_field(name))
    except FieldDoesNotExist:
        return False
    return bool(getattr(field, "unique", False))


def known_subject(subjects: Subjects, user: AbstractBaseUser) -> str:
    """The subject of ``user``. Raises :exc:`SignInRefused` (``subject_missing``)."""
    subject = subjects.subject_of(user)
    if not subject:
        raise SignInRefused("subject_missing", "this user has no subject")
    return subject


def active_user(subjects: Subjects, subject: str) -> AbstractBaseUser | None:
    """The user whose subject this is, unless deactivated."""
    user = subjects.user_of(subject)
    return user if user and user.is_active else None
