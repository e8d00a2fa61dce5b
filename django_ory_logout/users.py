"""Users as the site's own model wants them: names that are valid and free, and values that can be stored."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter, signature
from threading import get_ident
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, router, transaction
from django.db.models import EmailField, Field
from django.db.models.signals import pre_save
from django.views.decorators.debug import sensitive_variables

from .exceptions import OryLogoutError, fault_name
from .models import LoginSession, Subject

logger = logging.getLogger("django_ory_logout")

#: The Unicode categories of what no name shows: control characters, NUL among them, and halves of surrogate pairs.
_UNSHOWN = frozenset({"Cc", "Cs"})
#: What a database, or its driver, says of a value that it cannot store.
UNSTORABLE = (DataError, ValueError)


class UserInvalid(OryLogoutError):
    """No user can be made. ``detail`` names fields and what is wrong with them, and never a value."""


class Fitted(NamedTuple):
    """Values for fields that the user model has, and what had to be done to them, as lines for the log."""

    values: dict[str, Any]
    notes: list[str]


@sensitive_variables()
def fitted(fields: Mapping[str, Any]) -> Fitted:
    """``fields`` as the user model can store them: cleaned and cut, or left out where a part would be another value."""
    values, notes = {}, []
    for field in get_user_model()._meta.concrete_fields:
        if field.name not in fields:
            continue
        value, note = _fitted(field, fields[field.name])
        if note:
            notes.append(f"{field.name} {note}")
        if note != "left out":
            values[field.name] = value
    return Fitted(values, notes)


def _fitted(field: Field[Any, Any], value: Any) -> tuple[Any, str]:
    if not isinstance(value, str):
        return value, ""
    storable = "".join(one for one in value if unicodedata.category(one) not in _UNSHOWN).strip()
    cut = storable[: field.max_length].strip()
    # A part of an address is the address of somebody else.
    if isinstance(field, EmailField):
        cut = normalized_email(storable) if storable == value.strip() else ""
    if value and not cut:
        return None, "left out"
    try:
        field.clean(cut, None)
    except ValidationError:
        return None, "left out"
    return cut, "" if storable == value.strip() and len(cut) == len(storable) else "cut or cleaned"


def verified_email(claims: Mapping[str, Any]) -> str | None:
    """The e-mail address, if the provider verified it and it is text that can be stored."""
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or not email.isprintable():
        return None
    return email or None


def normalized_email(email: str) -> str:
    """``email`` as the model's manager writes it."""
    normalize = getattr(get_user_model()._default_manager, "normalize_email", None)
    return str(normalize(email)) if normalize else email


# Names


@sensitive_variables()
def names(wishes: Iterable[str], unique: str) -> Iterator[str]:
    """User names that the model allows and nobody has, the best first. ``unique``: a long text of this person alone."""
    field = _name_field()
    forms = [form for wish in wishes for form in _forms(field, wish, unique)]
    for name in dict.fromkeys([*forms, *_parts(field, unique)]):
        if _is_valid(field, name) and _is_storable_and_free(name):
            yield name


#: How many characters of what is unique make a name another, and how long a name of these alone is.
_SUFFIX_LENGTH, _UNIQUE_LENGTH = 8, 30
#: The length of names where the field of the model says none: that of Django's own.
_NAME_LENGTH = 150


def _parts(field: Field[Any, Any], unique: str) -> list[str]:
    """Names of what is unique alone: in a short field, each part of it is one."""
    length = min(field.max_length or _NAME_LENGTH, _UNIQUE_LENGTH)
    starts = 1 if length == _UNIQUE_LENGTH else len(unique) - length + 1
    return [] if isinstance(field, EmailField) else [unique[at : at + length] for at in range(starts)]


def _forms(field: Field[Any, Any], wish: str, unique: str) -> Iterator[str]:
    if isinstance(field, EmailField):
        yield normalized_email(wish)
        return
    normalized = get_user_model().normalize_username(wish)
    for form in (normalized, re.sub(r"[^\w.@+-]+", "-", normalized).strip("-")):
        if form:
            yield form
            kept = form[: max(0, (field.max_length or _NAME_LENGTH) - _SUFFIX_LENGTH - 1)]
            yield f"{kept}-{unique[:_SUFFIX_LENGTH]}"  # not valid where nothing is kept and the field is shorter


def _is_valid(field: Field[Any, Any], name: str) -> bool:
    try:
        return bool(field.clean(name, None)) and name.isprintable()
    except ValidationError:
        return False


def _is_storable_and_free(name: str) -> bool:
    try:
        with transaction.atomic(using=router.db_for_write(get_user_model())):
            return is_free(name)
    except UNSTORABLE:
        return False


def is_free(name: str, besides: AbstractBaseUser | None = None) -> bool:
    """Whether no other account has ``name`` as its name or address, in capitals or small letters."""
    model = get_user_model()
    fields = {model.USERNAME_FIELD, _email_field()} - {None}
    others = model._default_manager.using(router.db_for_write(model))
    if besides is not None:
        others = others.exclude(pk=besides.pk)
    return not any(others.filter(**{f"{field}__iexact": name}).exists() for field in fields)


def is_name(field_name: str) -> bool:
    return field_name == get_user_model().USERNAME_FIELD


def names_are_addresses() -> bool:
    """Whether people are called by their e-mail addresses here."""
    return isinstance(_name_field(), EmailField)


def _name_field() -> Field[Any, Any]:
    model = get_user_model()
    return model._meta.get_field(model.USERNAME_FIELD)  # type: ignore[return-value]


def _email_field() -> str | None:
    model = get_user_model()
    name = model.get_email_field_name()
    return name if any(field.name == name for field in model._meta.concrete_fields) else None


# Users

#: The attribute of a user whom this very sign-in made, and whom the database has by now.
IS_NEW = "_ory_logout_is_new"


def find(pk: Any) -> AbstractBaseUser | None:
    """The user with this key, in the database that is written: a replica may not know a new one yet."""
    model = get_user_model()
    return model._base_manager.using(router.db_for_write(model)).filter(pk=pk).first()


def discard(user: AbstractBaseUser | None) -> None:
    """Delete ``user`` if this very sign-in made them, because it has failed. Raises nothing."""
    if user is None or not getattr(user, IS_NEW, False):
        return
    try:
        user.delete()
    except Exception as error:
        logger.warning("user not deleted after a failed sign-in: %s", fault_name(error))


def forget_deleted(*, instance: AbstractBaseUser, using: str, **_kwargs: Any) -> None:
    """Receive ``post_delete`` of users: their login sessions and links go too.

    Django's own cascade would look for these in the database of the user. In another database they go after the
    deletion is committed: it may yet be rolled back.
    """
    pk = instance.pk

    def forget(alias: str) -> None:
        for model in (LoginSession, Subject):
            model._default_manager.using(alias).filter(user_id=pk).delete()

    alias = router.db_for_write(LoginSession)
    if alias == using:
        forget(alias)
    else:
        transaction.on_commit(lambda: forget(alias), using=using, robust=True)


@sensitive_variables()
def create(candidates: Iterable[str], values: Mapping[str, Any]) -> AbstractBaseUser:
    """A new user, by the model's own manager, without a usable password. Raises :exc:`UserInvalid`."""
    refusal: Exception | None = None
    for name in candidates:
        named = {**values, get_user_model().USERNAME_FIELD: name}
        for given in (named, _required_of(named)):
            try:
                return _created(_valid(given))
            except (IntegrityError, *UNSTORABLE) as error:  # taken meanwhile, or not to be stored: the next one may do
                refusal = error
    if refusal is None:
        length = _name_field().max_length or _NAME_LENGTH
        short = f" of at most {length} characters" if length < _UNIQUE_LENGTH else ""
        raise UserInvalid("username_unusable", f"no user name{short} is valid and free")
    raise UserInvalid("user_invalid", reason(refusal)) from refusal


def _required_of(values: Mapping[str, Any]) -> dict[str, Any]:
    model = get_user_model()
    required = {model.USERNAME_FIELD, *model.REQUIRED_FIELDS}
    return {name: value for name, value in values.items() if name in required}


@sensitive_variables()
def _valid(values: Mapping[str, Any]) -> Mapping[str, Any]:
    user = get_user_model()(**values)
    user.set_unusable_password()
    try:
        user.full_clean(exclude={field.name for field in _null_for_nothing()} - values.keys())
    except ValidationError as error:
        wrong = {name: sorted({str(one.code) for one in errors}) for name, errors in error.error_dict.items()}
        raise UserInvalid("user_invalid", "; ".join(_wrong(user, *one) for one in wrong.items())) from None
    return values


#: Two empty texts are equal, and two NULL are not.
_NOTHING_TWICE = "%s: it must be unique, and another user has none. Write null=True in this field of the user model"


def _wrong(user: AbstractBaseUser, name: str, codes: Sequence[str]) -> str:
    is_nothing = codes == ["unique"] and getattr(user, name, None) == ""
    return _NOTHING_TWICE % name if is_nothing else f"{name}: {', '.join(codes)}"


def _null_for_nothing() -> list[Field[Any, Any]]:
    """The fields of the user model in which NULL has to stand for no text, because they are unique."""
    fields = get_user_model()._meta.concrete_fields
    return [field for field in fields if field.unique and field.null and field.empty_strings_allowed]


@contextmanager
def _nulls() -> Iterator[None]:
    """Django's own ``create_user`` makes an empty text of no address."""
    model, fields, thread = get_user_model(), _null_for_nothing(), get_ident()

    def put(instance: Any, **_kwargs: Any) -> None:
        for field in fields if get_ident() == thread else []:
            if getattr(instance, field.attname) == "":
                setattr(instance, field.attname, None)

    pre_save.connect(put, model, weak=False)
    try:
        yield
    finally:
        pre_save.disconnect(put, model)


@sensitive_variables()
def _created(values: Mapping[str, Any]) -> AbstractBaseUser:
    model = get_user_model()
    with transaction.atomic(using=router.db_for_write(model)), _nulls():
        make = getattr(model._default_manager, "create_user", model)
        user: AbstractBaseUser = make(**_accepted(make, values))
        if user._state.adding or user.has_usable_password():
            user.set_unusable_password()
            user.save()
    # In a transaction that is rolled back, the key of the user is free for somebody else.
    transaction.on_commit(lambda: setattr(user, IS_NEW, True), using=router.db_for_write(model))
    return user


def _accepted(make: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """What of ``values`` a ``create_user`` takes; :func:`save` brings the others."""
    called = signature(make)
    takes_all = any(one.kind is Parameter.VAR_KEYWORD for one in called.parameters.values())
    accepted = {name: value for name, value in values.items() if takes_all or name in called.parameters}
    if "password" in called.parameters:
        accepted["password"] = None
    try:
        called.bind(**accepted)
    except TypeError as error:
        raise UserInvalid("user_invalid", f"create_user: {error}") from error
    return accepted


@sensitive_variables()
def save(user: AbstractBaseUser, values: Mapping[str, Any]) -> list[str]:
    """Save ``values``, together or else one by one; says what could not be saved, as lines for the log."""
    try:
        _save(user, values)
    except (IntegrityError, *UNSTORABLE) as error:
        user.refresh_from_db(fields=list(values))
        if len(values) == 1:
            return [f"{next(iter(values))} left out: {reason(error)}"]
        return [line for name, value in values.items() for line in save(user, {name: value})]
    return []


def _save(user: AbstractBaseUser, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(user, name, value)
    with transaction.atomic(using=router.db_for_write(type(user))):
        user.save(update_fields=list(values))


#: What databases say first of a constraint, without the value that they say next.
_REASONS = {
    "unique|duplicate": "a field must be unique, and its value is taken",
    "null|default value": "a required field has no value",
    "foreign key": "what a field refers to is not there",
    "check": "a value is not allowed",
}


def reason(error: Exception) -> str:
    """Why the database took no user, in our words: its own can hold values."""
    if not isinstance(error, IntegrityError):
        is_storage = isinstance(error, DataError | UnicodeError)
        return "a value cannot be stored" if is_storage else "create_user, or the model, refuses a value"
    said = str(error).partition("\n")[0].lower()
    found = (words for pattern, words in _REASONS.items() if re.search(pattern, said))
    return next(found, f"the database refuses it ({type(error).__name__})")
