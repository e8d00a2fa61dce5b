"""Create, find, save and delete users."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from inspect import Parameter, signature
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import IntegrityError, router, transaction
from django.views.decorators.debug import sensitive_variables

from ..exceptions import SetupError, SignInRefused, fault_name
from ..models import LoginSession, Subject
from .fields import UNSTORABLE, email_field_name, empty_text_as_null, unique_nullable_fields, unstorable_values
from .refusals import sign_in_error, validation_refusal

logger = logging.getLogger("django_ory_logout")

#: A user that this sign-in created and saved has this attribute.
_IS_NEW = "_ory_logout_is_new"
#: The exceptions for values that are taken, not valid or cannot be stored. Other values can succeed.
_VALUE_ERRORS = (IntegrityError, ValidationError, *UNSTORABLE)


@sensitive_variables()
def create(usernames: Iterable[str], values: Mapping[str, Any]) -> AbstractBaseUser:
    """A new user with the first of ``usernames`` that can be saved, and without a usable password.

    Raises the errors of ``usernames``, :exc:`SignInRefused` (``user_exists``, ``user_refused``) and :exc:`SetupError`
    (``user_invalid``). Their ``detail`` names the fields and what is wrong with them, and never a value.
    """
    failure: Exception = IntegrityError()
    for username in usernames:
        all_values = {**values, get_user_model().USERNAME_FIELD: username}
        required_values = {name: value for name, value in all_values.items() if name in _required_fields()}
        for attempt in (all_values, required_values):
            try:
                with unstorable_values():
                    return _create(_accepted_by_model(attempt))
            except _VALUE_ERRORS as error:
                failure = error
    raise sign_in_error(failure) from failure


def _required_fields() -> set[str]:
    model = get_user_model()
    return {model.USERNAME_FIELD, *model.REQUIRED_FIELDS}


@sensitive_variables()
def _accepted_by_model(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """``values`` without the optional ones that the model refuses.

    Raises if the model refuses a required one or the e-mail address.
    """
    user = get_user_model()(**values)
    user.set_unusable_password()
    try:
        user.full_clean(exclude={field.name for field in unique_nullable_fields()} - values.keys())
    except ValidationError as error:
        refused = error.error_dict.keys() - _required_fields() - {email_field_name()}
        accepted = {name: value for name, value in values.items() if name not in refused}
        if len(accepted) < len(values):
            with suppress(SignInRefused, SetupError):  # the first error has the cause: the model needs this value
                return _accepted_by_model(accepted)
        raise validation_refusal(error, user) from None
    return values


@sensitive_variables()
def _create(values: Mapping[str, Any]) -> AbstractBaseUser:
    """Call the manager's ``create_user``, or save a user if the manager has none."""
    model = get_user_model()
    with transaction.atomic(using=router.db_for_write(model)), empty_text_as_null():
        create_user = getattr(model._default_manager, "create_user", model)
        user: AbstractBaseUser = create_user(**_arguments(create_user, values))
        if user._state.adding or user.has_usable_password():
            user.set_unusable_password()
            user.save()
    # If the transaction is rolled back, another user can get the same key.
    transaction.on_commit(lambda: setattr(user, _IS_NEW, True), using=router.db_for_write(model))
    return user


def _arguments(create_user: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The ``values`` that ``create_user`` has a parameter for. :func:`save` saves the others."""
    called = signature(create_user)
    takes_all = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in called.parameters.values())
    arguments = {name: value for name, value in values.items() if takes_all or name in called.parameters}
    if "password" in called.parameters:
        arguments["password"] = None
    try:
        called.bind(**arguments)
    except TypeError as error:
        raise SetupError("user_invalid", f"create_user: {error}") from error
    return arguments


def find(pk: Any) -> AbstractBaseUser | None:
    """The user with this key. It reads from the database for writes, because a replica may not have a new user yet."""
    model = get_user_model()
    return model._base_manager.using(router.db_for_write(model)).filter(pk=pk).first()


@sensitive_variables()
def save(user: AbstractBaseUser, values: Mapping[str, Any]) -> list[str]:
    """Save all ``values`` at once, or each alone if that fails. Return log lines about those that are not saved."""
    try:
        for name, value in values.items():
            setattr(user, name, value)
        with unstorable_values(), transaction.atomic(using=router.db_for_write(type(user))):
            user.save(update_fields=list(values))
    except _VALUE_ERRORS as error:
        user.refresh_from_db(fields=list(values))
        if len(values) == 1:
            return [f"{next(iter(values))} left out: {sign_in_error(error).detail}"]
        return [line for name, value in values.items() for line in save(user, {name: value})]
    return []


def delete_if_new(user: AbstractBaseUser | None) -> None:
    """Delete ``user`` if this sign-in created it, because the sign-in failed. Raises nothing."""
    if user is None or not getattr(user, _IS_NEW, False):
        return
    try:
        user.delete()
    except Exception as error:
        logger.warning("user not deleted after a failed sign-in: %s", fault_name(error))


def delete_user_data(*, instance: AbstractBaseUser, using: str, **_kwargs: Any) -> None:
    """Receive ``post_delete`` of users, and delete their login sessions and links.

    Django's cascade looks for these rows only in the database of the user. If they are in another database, they are
    deleted after the commit, because the deletion of the user can still be rolled back.
    """
    pk = instance.pk

    def delete_rows(alias: str) -> None:
        for model in (LoginSession, Subject):
            model._default_manager.using(alias).filter(user_id=pk).delete()

    alias = router.db_for_write(LoginSession)
    if alias == using:
        delete_rows(alias)
    else:
        transaction.on_commit(lambda: delete_rows(alias), using=using, robust=True)
