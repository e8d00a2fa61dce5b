"""Which of our errors an exception becomes if a user cannot be created, saved or signed in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

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
)
from django.db.models import BaseConstraint, F, UniqueConstraint
from django.dispatch import dispatcher
from django.http import Http404

from ..database import broken_constraint, is_taken, model_of
from ..exceptions import OryLogoutError, SetupError, SignInRefused

#: Django answers these exceptions itself. Its page shows no code, and our log gets no line.
_ANSWERED_BY_DJANGO = (Http404, SuspiciousOperation, BadRequest)


@contextmanager
def receiver_faults() -> Iterator[None]:
    """Raise :func:`sign_in_error` for some exceptions.

    These are all exceptions of signal receivers, and ``Http404``, ``SuspiciousOperation`` and ``BadRequest``.
    """
    try:
        yield
    except (OryLogoutError, OperationalError, ProgrammingError, InterfaceError, InternalError):
        raise  # the caller gives the last four to database_fault(), which has better texts
    except Exception as error:
        if not _receiver_of(error) and not isinstance(error, _ANSWERED_BY_DJANGO):
            raise
        raise sign_in_error(error) from error


def sign_in_error(error: Exception) -> SignInRefused | SetupError:
    """Our error for ``error``, which stopped a sign-in. Its ``detail`` has no value of a field."""
    receiver, model = _receiver_of(error), model_of(error)
    if receiver and isinstance(error, PermissionDenied):
        return SignInRefused("user_refused", f"{receiver}, a receiver of a signal, raises PermissionDenied")
    if receiver:
        return SetupError("user_invalid", f"{receiver}, a receiver of a signal, fails: {_receiver_fault(error)}")
    if isinstance(error, _ANSWERED_BY_DJANGO):
        return SetupError("user_invalid", f"code of this site raises {type(error).__name__}")
    if isinstance(error, ValidationError):
        return validation_refusal(error)
    if model and not issubclass(get_user_model(), model):
        return SetupError("user_invalid", f"{model._meta.label} is not saved: {_reason(error)}")
    if is_taken(error):
        return SignInRefused("user_exists", _reason(error))
    return SetupError("user_invalid", _reason(error))


def _receiver_of(error: Exception) -> str:
    """The name of the signal receiver that raised ``error``; empty if none did."""
    receiver, caller = "", ""
    for frame, _line in walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        if caller == dispatcher.__name__ != module:
            receiver = f"{module}.{frame.f_code.co_qualname}"
        caller = module
    return receiver


def _receiver_fault(error: Exception) -> str:
    if isinstance(error, ImproperlyConfigured):
        return str(error)
    if isinstance(error, ValidationError):
        return _codes_text(_codes(error))
    return broken_constraint(error) if isinstance(error, IntegrityError) else type(error).__name__


def _reason(error: Exception) -> str:
    """Why a value was refused, in our own text: the text of the exception can hold values."""
    if isinstance(error, IntegrityError):
        return broken_constraint(error)
    is_storage = isinstance(error, DataError | UnicodeError)
    return "a value cannot be stored" if is_storage else "create_user, or the model, refuses a value"


# Validation errors

#: An empty text is equal to another empty text. NULL is not equal to NULL.
_EMPTY_TWICE = "%s: it must be unique, and another user has none. Write null=True in this field of the user model"
#: The same for a constraint in ``Meta``, for which ``null=True`` does not help.
_EMPTY_TWICE_IN_META = 'constraint %s: another user has no value either. Write condition=~Q(field="") in it'
#: The text for an error without a code. The model's ``clean()`` can raise it.
_NO_CODE = "refused without a code"


def validation_refusal(error: ValidationError, user: AbstractBaseUser | None = None) -> SignInRefused | SetupError:
    """Our error for ``error``: another account has the value, a rule of the site refuses it, or the set-up is wrong.

    ``user``: the user that ``full_clean()`` refused. Without it, ``create_user`` or ``save()`` raised ``error``.
    """
    codes = _codes(error)
    detail = _codes_text(codes)
    empty_twice = [name for name, found in codes.items() if found == ["unique"] and getattr(user, name, None) == ""]
    if empty_twice:
        return SetupError("user_invalid", "; ".join(_EMPTY_TWICE % name for name in empty_twice))
    if {code for found in codes.values() for code in found} <= {"unique", "unique_together"}:
        return SignInRefused("user_exists", detail)
    if _is_rule_of_site(user, codes):
        source = "the user model" if user else "create_user, or the model,"
        return SignInRefused("user_refused", f"{source} refuses: {detail}")
    constraint = _broken_in_meta(user) if user else None
    if constraint is None or codes.keys() != {NON_FIELD_ERRORS}:
        return SetupError("user_invalid", detail)
    if not isinstance(constraint, UniqueConstraint):
        return SetupError("user_invalid", f"constraint {constraint.name} does not hold")
    if all(getattr(user, name) == "" for name in _fields_of(constraint)):
        return SetupError("user_invalid", _EMPTY_TWICE_IN_META % constraint.name)
    return SignInRefused("user_exists", f"constraint {constraint.name}")


def _codes(error: ValidationError) -> dict[str, list[str]]:
    """The codes of ``error`` for each field. The texts are left out, because they can hold values."""
    by_field = error.update_error_dict({})
    return {name: sorted({each.code or _NO_CODE for each in errors}) for name, errors in by_field.items()}


def _codes_text(codes: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{name}: {', '.join(found)}" for name, found in codes.items())


def _is_rule_of_site(user: AbstractBaseUser | None, codes: Mapping[str, list[str]]) -> bool:
    """Whether a rule of the site raised ``codes``, and not Django's own validation.

    With ``user``, ``clean()`` must raise them again. Without it, every error belongs to the whole user, or no error
    has a code.
    """
    if user is None:
        return codes.keys() == {NON_FIELD_ERRORS} or all(found == [_NO_CODE] for found in codes.values())
    try:
        user.clean()
    except ValidationError as error:
        return _codes(error) == codes
    return False


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
    """The names of the fields that ``constraint`` compares, also those in expressions."""
    expressions: list[Any] = list(constraint.expressions)
    expressions += [part for each in expressions if hasattr(each, "flatten") for part in each.flatten()]
    return [*constraint.fields, *(str(vars(part)["name"]) for part in expressions if isinstance(part, F))]
