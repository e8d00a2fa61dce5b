"""The subject of a user at Hydra: ``ORY_HYDRA_UI["SUBJECT"]``.

A subject (Core 5.7) never changes, and no other user ever gets it. Relying parties find their accounts by it, and Hydra
its sessions and consents. Every relying party can read it.
"""

from collections.abc import Callable
from typing import Any, cast

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import FieldDoesNotExist

from ..exceptions import SignInRefused

#: The subject of a user; empty if the user has none.
SubjectOf = Callable[[Any], str]


def field_reader(name: str) -> SubjectOf:
    """A function that returns this field of a user as text."""

    def subject_of(user: Any) -> str:
        value = getattr(user, name)
        return "" if value is None else str(value)

    return subject_of


def is_unique_field(name: str) -> bool:
    if name == "pk":
        return True
    try:
        field = cast(Any, get_user_model()._meta.get_field(name))
    except FieldDoesNotExist:
        return False
    return bool(getattr(field, "unique", False))


def is_subject(subject_of: SubjectOf, user: AbstractBaseUser | AnonymousUser, subject: str) -> bool:
    """Whether ``user`` is signed in, is active, and has this ``subject``."""
    return user.is_authenticated and user.is_active and subject_of(user) == subject


def known_subject(subject_of: SubjectOf, user: AbstractBaseUser | AnonymousUser) -> str:
    """The subject of ``user``. Raises :exc:`SignInRefused` (``subject_missing``)."""
    subject = subject_of(user)
    if not subject:
        raise SignInRefused("subject_missing", "this user has no subject")
    return subject
