"""User names that the user model accepts and no other account has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import EmailField, Field
from django.views.decorators.debug import sensitive_variables

from ..exceptions import SignInRefused
from .fields import UNSTORABLE, email_field_name, normalized_email, unstorable_values, verified_email

#: How many characters of the unique text are a suffix, and how many are a user name without anything else.
_SUFFIX_LENGTH, _UNIQUE_LENGTH = 8, 30
#: The longest user name of Django's own user model, for a field without ``max_length``.
_DEFAULT_MAX_LENGTH = 150


@sensitive_variables()
def available_usernames(preferred: Iterable[str], unique: str) -> Iterator[str]:
    """User names that are valid and free, the best first. ``unique``: a long text that only this subject has.

    Raises :exc:`SignInRefused` (``username_unusable``) if there is none.
    """
    field = _username_field()
    candidates = dict.fromkeys(_candidates(field, preferred, unique))
    problems = []
    for name in candidates:
        problem = _problem(field, name)
        if problem:
            problems.append(problem)
        else:
            yield name
    if len(problems) == len(candidates):
        length = f" (max_length is {field.max_length})" if _max_length(field) < _UNIQUE_LENGTH else ""
        raise SignInRefused("username_unusable", problems[-1] + length)


def address_missing(claims: Mapping[str, Any]) -> str:
    """Why ``claims`` have no e-mail address that can be a user name."""
    if not claims.get("email"):
        return "the provider sent no e-mail address"
    if claims.get("email_verified") is not True:
        return "the provider has not verified the e-mail address"
    if verified_email(claims) is None:
        return "the e-mail address is not valid"
    return "username() gives none"


def is_free(name: str, exclude: AbstractBaseUser | None = None) -> bool:
    """Whether no user but ``exclude`` has ``name`` as user name or e-mail address. Ignores the case of letters."""
    model = get_user_model()
    fields = {model.USERNAME_FIELD, email_field_name()} - {None}
    others = model._default_manager.using(router.db_for_write(model))
    if exclude is not None:
        others = others.exclude(pk=exclude.pk)
    with unstorable_values():
        return not any(others.filter(**{f"{field}__iexact": name}).exists() for field in fields)


def names_are_addresses() -> bool:
    """Whether the user name is an e-mail address."""
    return isinstance(_username_field(), EmailField)


def _username_field() -> Field[Any, Any]:
    model = get_user_model()
    return model._meta.get_field(model.USERNAME_FIELD)  # type: ignore[return-value]


def _max_length(field: Field[Any, Any]) -> int:
    return field.max_length or _DEFAULT_MAX_LENGTH


def _candidates(field: Field[Any, Any], preferred: Iterable[str], unique: str) -> list[str]:
    """User names to try. The last ones are only parts of ``unique``. E-mail addresses get no variants."""
    if isinstance(field, EmailField):
        return [normalized_email(name) for name in preferred]
    variants = [variant for name in preferred for variant in _variants(field, name, unique)]
    length = min(_max_length(field), _UNIQUE_LENGTH)
    # Short names are often taken. So each part of the unique text with that length is a name to try.
    starts = 1 if length == _UNIQUE_LENGTH else len(unique) - length + 1
    return [*variants, *(unique[start : start + length] for start in range(starts))]


def _variants(field: Field[Any, Any], preferred: str, unique: str) -> Iterator[str]:
    """``preferred`` as it is, and without characters that Django refuses; each with and without a unique suffix."""
    normalized = get_user_model().normalize_username(preferred)
    for name in (normalized, re.sub(r"[^\w.@+-]+", "-", normalized).strip("-")):
        if name:
            yield name
            start = name[: max(0, _max_length(field) - _SUFFIX_LENGTH - 1)]
            yield f"{start}-{unique[:_SUFFIX_LENGTH]}"  # too long, and so not valid, in a field of 8 or less


def _problem(field: Field[Any, Any], name: str) -> str:
    """Why ``name`` cannot be a user name; empty if it can."""
    subject = "the e-mail address" if isinstance(field, EmailField) else "the user name"
    if not _is_valid(field, name):
        return f"{subject} is not valid"
    try:
        with transaction.atomic(using=router.db_for_write(get_user_model())):
            return "" if is_free(name) else f"another account has {subject}"
    except UNSTORABLE:
        return f"{subject} cannot be stored"


def _is_valid(field: Field[Any, Any], name: str) -> bool:
    try:
        return bool(field.clean(name, None)) and name.isprintable()
    except ValidationError:
        return False
