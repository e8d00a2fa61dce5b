"""Users as the site's own model wants them: names that are valid and free, and values that can be stored."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from inspect import Parameter, signature
from threading import get_ident
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import (
    NON_FIELD_ERRORS,
    BadRequest,
    ImproperlyConfigured,
    PermissionDenied,
    SuspiciousOperation,
    ValidationError,
)
from django.db import (
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    router,
    transaction,
)
from django.db.models import BaseConstraint, EmailField, F, Field, UniqueConstraint
from django.db.models.signals import pre_save
from django.http import Http404
from django.views.decorators.debug import sensitive_variables

from .database import broken_constraint, is_taken, model_of, receiver_of
from .exceptions import OryLogoutError, SetupError, SignInRefused, fault_name
from .models import LoginSession, Subject

logger = logging.getLogger("django_ory_logout")

#: The Unicode categories of characters that a name must not have: control characters and halves of surrogate pairs.
_REMOVED_CATEGORIES = frozenset({"Cc", "Cs"})
#: The exceptions of a database, or of its driver, for a value that it cannot store.
UNSTORABLE = (DataError, ValueError)
#: The error codes of MySQL and MariaDB for a character that a column cannot store. Django raises OperationalError.
_UNSTORABLE_CODES = {1267, 1271, 1366, 3988}


@contextmanager
def unstorable_values() -> Iterator[None]:
    """Raise one of :data:`UNSTORABLE` for each value that the database cannot store."""
    try:
        yield
    except OperationalError as error:
        if error.args and error.args[0] in _UNSTORABLE_CODES:
            raise DataError(error.args[0]) from error
        raise


class CleanedFields(NamedTuple):
    """Values for fields that the user model has, and what had to be done to them, as lines for the log."""

    values: dict[str, Any]
    notes: list[str]


@sensitive_variables()
def clean_fields(fields: Mapping[str, Any]) -> CleanedFields:
    """``fields`` as the user model can store them: cleaned and cut, or left out where a part would be another value."""
    values, notes = {}, []
    for field in get_user_model()._meta.concrete_fields:
        if field.name not in fields:
            continue
        value, note = _clean(field, fields[field.name])
        if note:
            notes.append(f"{field.name} {note}")
        if note != "left out":
            values[field.name] = value
    return CleanedFields(values, notes)


def _clean(field: Field[Any, Any], value: Any) -> tuple[Any, str]:
    if not isinstance(value, str):
        return value, ""
    storable = "".join(one for one in value if unicodedata.category(one) not in _REMOVED_CATEGORIES).strip()
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
    """User names that the model allows and nobody has, the best first. ``unique``: a long text of this person alone.

    Raises :exc:`SignInRefused` (``username_unusable``) if there is none.
    """
    field = _name_field()
    forms = [form for wish in wishes for form in _forms(field, wish, unique)]
    obstacles = []
    is_found = False
    for name in dict.fromkeys([*forms, *_parts(field, unique)]):
        obstacle = _obstacle(field, name)
        if obstacle:
            obstacles.append(obstacle)
        else:
            is_found = True
            yield name
    if not is_found:
        is_short = (field.max_length or _NAME_LENGTH) < _UNIQUE_LENGTH
        length = f" (max_length is {field.max_length})" if is_short else ""
        raise SignInRefused("username_unusable", (obstacles[-1] if obstacles else "there is none") + length)


def address_missing(claims: Mapping[str, Any]) -> str:
    """Why ``claims`` have no address that can be a user name."""
    if not claims.get("email"):
        return "the provider sent no e-mail address"
    if claims.get("email_verified") is not True:
        return "the provider has not verified the e-mail address"
    if verified_email(claims) is None:
        return "the e-mail address is not valid"
    return "username() gives none"


def _obstacle(field: Field[Any, Any], name: str) -> str:
    """Why ``name`` cannot be a user name here; empty: it can."""
    what = "the e-mail address" if isinstance(field, EmailField) else "the user name"
    if not _is_valid(field, name):
        return f"{what} is not valid"
    try:
        with transaction.atomic(using=router.db_for_write(get_user_model())):
            return "" if is_free(name) else f"another account has {what}"
    except UNSTORABLE:
        return f"{what} cannot be stored"


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


def is_free(name: str, besides: AbstractBaseUser | None = None) -> bool:
    """Whether no other account has ``name`` as its name or address, in capitals or small letters."""
    model = get_user_model()
    fields = {model.USERNAME_FIELD, _email_field()} - {None}
    others = model._default_manager.using(router.db_for_write(model))
    if besides is not None:
        others = others.exclude(pk=besides.pk)
    with unstorable_values():
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

#: The attribute of a user that this sign-in created and saved.
IS_NEW = "_ory_logout_is_new"


def find(pk: Any) -> AbstractBaseUser | None:
    """The user with this key, in the database that is written: a replica may not know a new one yet."""
    model = get_user_model()
    return model._base_manager.using(router.db_for_write(model)).filter(pk=pk).first()


def delete_if_new(user: AbstractBaseUser | None) -> None:
    """Delete ``user`` if this very sign-in made them, because it has failed. Raises nothing."""
    if user is None or not getattr(user, IS_NEW, False):
        return
    try:
        user.delete()
    except Exception as error:
        logger.warning("user not deleted after a failed sign-in: %s", fault_name(error))


def delete_user_data(*, instance: AbstractBaseUser, using: str, **_kwargs: Any) -> None:
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
    """A new user, by the model's own manager, without a usable password.

    Raises as ``candidates`` do, and :exc:`SignInRefused` (``user_exists``, ``user_refused``) or :exc:`SetupError`
    (``user_invalid``), whose ``detail`` names fields and what is wrong with them, and never a value.
    """
    failure: Exception = IntegrityError()
    for name in candidates:
        named = {**values, get_user_model().USERNAME_FIELD: name}
        for given in (named, _required_of(named)):
            try:
                with unstorable_values():
                    return _created(_valid(given))
            except (
                IntegrityError,
                ValidationError,
                *UNSTORABLE,
            ) as error:  # taken meanwhile, or not to be stored: the next one may do
                failure = error
    raise refusal(failure) from failure


def _required_of(values: Mapping[str, Any]) -> dict[str, Any]:
    required = _required()
    return {name: value for name, value in values.items() if name in required}


def _required() -> set[str]:
    model = get_user_model()
    return {model.USERNAME_FIELD, *model.REQUIRED_FIELDS}


@sensitive_variables()
def _valid(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """``values`` without those that are only for display and that the model refuses. The e-mail address is none."""
    user = get_user_model()(**values)
    user.set_unusable_password()
    try:
        user.full_clean(exclude={field.name for field in _null_for_nothing()} - values.keys())
    except ValidationError as error:
        refused = error.error_dict.keys() - _required() - {_email_field()}
        kept = {name: value for name, value in values.items() if name not in refused}
        if len(kept) < len(values):
            with suppress(SignInRefused, SetupError):  # where the model wants a value, the first reason is the true one
                return _valid(kept)
        raise _invalid(user, error) from None
    return values


#: Two empty texts are equal, and two NULL are not.
_NOTHING_TWICE = "%s: it must be unique, and another user has none. Write null=True in this field of the user model"


def _invalid(user: AbstractBaseUser | None, error: ValidationError) -> SignInRefused | SetupError:
    """The error for a user that the model refuses: a value of another account, a rule, or a wrong set-up."""
    wrong = _codes(error)
    detail = _named(wrong)
    nothing_twice = [name for name, codes in wrong.items() if codes == ["unique"] and getattr(user, name, None) == ""]
    if nothing_twice:
        return SetupError("user_invalid", "; ".join(_NOTHING_TWICE % name for name in nothing_twice))
    if {code for codes in wrong.values() for code in codes} <= {"unique", "unique_together"}:
        return SignInRefused("user_exists", detail)
    if _is_rule(user, wrong):
        who = "the user model" if user else "create_user, or the model,"
        return SignInRefused("user_refused", f"{who} refuses: {detail}")
    constraint = _broken_in_meta(user) if user else None
    if constraint is None or wrong.keys() != {NON_FIELD_ERRORS}:
        return SetupError("user_invalid", detail)
    if not isinstance(constraint, UniqueConstraint):
        return SetupError("user_invalid", f"constraint {constraint.name} does not hold")
    if all(getattr(user, name) == "" for name in _fields_of(constraint)):
        return SetupError("user_invalid", _NOTHING_TWICE_IN_META % constraint.name)
    return SignInRefused("user_exists", f"constraint {constraint.name}")


def _is_rule(user: AbstractBaseUser | None, wrong: Mapping[str, list[str]]) -> bool:
    """Whether ``wrong`` is what ``clean()`` says; without a ``user``, whether it is nothing that Django says itself."""
    if user is None:
        return wrong.keys() == {NON_FIELD_ERRORS} or all(codes == [_NO_CODE] for codes in wrong.values())
    try:
        user.clean()
    except ValidationError as error:
        return _codes(error) == wrong
    return False


#: The same for a constraint in ``Meta``, which an empty text breaks even where the field is ``null=True``.
_NOTHING_TWICE_IN_META = 'constraint %s: another user has no value either. Write condition=~Q(field="") in it'


def _broken_in_meta(user: AbstractBaseUser) -> BaseConstraint | None:
    """The first constraint of the model that ``user`` breaks."""
    for model, constraints in user.get_constraints():
        for constraint in constraints:
            try:
                constraint.validate(model, user, using=router.db_for_write(model))
            except ValidationError:
                return constraint
    return None


def _fields_of(constraint: UniqueConstraint) -> list[str]:
    parts: list[Any] = list(constraint.expressions)
    parts += [part for one in parts if hasattr(one, "flatten") for part in one.flatten()]
    return [*constraint.fields, *(str(vars(part)["name"]) for part in parts if isinstance(part, F))]


#: The text for an error of the model's ``clean()`` that has no code.
_NO_CODE = "refused without a code"


def _codes(error: ValidationError) -> dict[str, list[str]]:
    """The codes of ``error`` for each field. Texts are left out: they can hold values."""
    by_field = error.update_error_dict({})
    return {name: sorted({one.code or _NO_CODE for one in errors}) for name, errors in by_field.items()}


def _named(codes: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{name}: {', '.join(found)}" for name, found in codes.items())


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
    """The ``values`` that ``create_user`` has a parameter for. :func:`save` saves the others."""
    called = signature(make)
    takes_all = any(one.kind is Parameter.VAR_KEYWORD for one in called.parameters.values())
    accepted = {name: value for name, value in values.items() if takes_all or name in called.parameters}
    if "password" in called.parameters:
        accepted["password"] = None
    try:
        called.bind(**accepted)
    except TypeError as error:
        raise SetupError("user_invalid", f"create_user: {error}") from error
    return accepted


@sensitive_variables()
def save(user: AbstractBaseUser, values: Mapping[str, Any]) -> list[str]:
    """Save ``values``, together or else one by one; says what could not be saved, as lines for the log."""
    try:
        _save(user, values)
    except (IntegrityError, ValidationError, *UNSTORABLE) as error:
        user.refresh_from_db(fields=list(values))
        if len(values) == 1:
            return [f"{next(iter(values))} left out: {refusal(error).detail}"]
        return [line for name, value in values.items() for line in save(user, {name: value})]
    return []


def _save(user: AbstractBaseUser, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(user, name, value)
    with unstorable_values(), transaction.atomic(using=router.db_for_write(type(user))):
        user.save(update_fields=list(values))


def reason(error: Exception) -> str:
    """Why the database, or other code, took no value, in our words: its own can hold values."""
    if isinstance(error, IntegrityError):
        return broken_constraint(error)
    is_storage = isinstance(error, DataError | UnicodeError)
    return "a value cannot be stored" if is_storage else "create_user, or the model, refuses a value"


def refusal(error: Exception) -> SignInRefused | SetupError:
    """``error``, which kept a user from being made or from signing in, as what it is."""
    receiver, model = receiver_of(error), model_of(error)
    if receiver and isinstance(error, PermissionDenied):
        return SignInRefused("user_refused", f"{receiver}, a receiver of a signal, raises PermissionDenied")
    if receiver:
        return SetupError("user_invalid", f"{receiver}, a receiver of a signal, fails: {_described(error)}")
    if isinstance(error, _ANSWERS):
        return SetupError("user_invalid", f"code of this site raises {type(error).__name__}")
    if isinstance(error, ValidationError):
        return _invalid(None, error)
    if model and not issubclass(get_user_model(), model):
        return SetupError("user_invalid", f"{model._meta.label} is not saved: {reason(error)}")
    if is_taken(error):
        return SignInRefused("user_exists", reason(error))
    return SetupError("user_invalid", reason(error))


def _described(error: Exception) -> str:
    if isinstance(error, ImproperlyConfigured):
        return str(error)
    if isinstance(error, ValidationError):
        return _named(_codes(error))
    return broken_constraint(error) if isinstance(error, IntegrityError) else type(error).__name__


#: Django answers these itself, with a page that shows no code, and without a line in our log.
_ANSWERS = (Http404, SuspiciousOperation, BadRequest)


@contextmanager
def receiver_faults() -> Iterator[None]:
    """Raise :func:`refusal` for exceptions of signal receivers, and for those that Django would answer itself."""
    try:
        yield
    except (OryLogoutError, OperationalError, ProgrammingError, InterfaceError, InternalError):
        raise  # of the last four, database_fault() knows more
    except Exception as error:
        if not receiver_of(error) and not isinstance(error, _ANSWERS):
            raise
        raise refusal(error) from error
