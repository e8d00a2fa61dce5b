"""Values that the fields of the user model can store."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DataError, OperationalError
from django.db.models import EmailField, Field
from django.db.models.signals import pre_save
from django.views.decorators.debug import sensitive_variables

#: The Unicode categories of characters that are removed: control characters and halves of surrogate pairs.
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


@sensitive_variables()
def storable_values(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """``values`` by field name, as the user model can store them, and log lines about the changes.

    Control characters are removed, and long texts are cut. A value that is still not valid is left out, and so is
    a name that the user model has no field for.
    """
    storable, messages = {}, []
    for field in get_user_model()._meta.concrete_fields:
        if field.name not in values:
            continue
        value, change = _storable_value(field, values[field.name])
        if change:
            messages.append(f"{field.name} {change}")
        if change != "left out":
            storable[field.name] = value
    return storable, messages


def _storable_value(field: Field[Any, Any], value: Any) -> tuple[Any, str]:
    """``value`` as ``field`` can store it, and how it changed: ``cut or cleaned``, ``left out`` or empty."""
    if not isinstance(value, str):
        return value, ""
    cleaned = "".join(char for char in value if unicodedata.category(char) not in _REMOVED_CATEGORIES).strip()
    is_cleaned = cleaned != value.strip()
    if isinstance(field, EmailField):
        # Part of an address can be the address of another user.
        storable = "" if is_cleaned else normalized_email(cleaned)
    else:
        storable = cleaned[: field.max_length].strip()
    if value and not storable:
        return None, "left out"
    try:
        field.clean(storable, None)
    except ValidationError:
        return None, "left out"
    return storable, "cut or cleaned" if is_cleaned or len(storable) != len(cleaned) else ""


def verified_email(claims: Mapping[str, Any]) -> str | None:
    """The e-mail address, if the provider verified it and it is printable text."""
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or not email.isprintable():
        return None
    return email or None


def normalized_email(email: str) -> str:
    """``email`` as the manager of the user model normalizes it."""
    normalize = getattr(get_user_model()._default_manager, "normalize_email", None)
    return str(normalize(email)) if normalize else email


def email_field_name() -> str | None:
    """The name of the user model's e-mail field, if it has one."""
    model = get_user_model()
    name = model.get_email_field_name()
    return name if any(field.name == name for field in model._meta.concrete_fields) else None


def unique_nullable_fields() -> list[Field[Any, Any]]:
    """The unique text fields of the user model that can be NULL. Two users can have NULL, but not an empty text."""
    fields = get_user_model()._meta.concrete_fields
    return [field for field in fields if field.unique and field.null and field.empty_strings_allowed]


@contextmanager
def empty_text_as_null() -> Iterator[None]:
    """Save NULL for an empty text in :func:`unique_nullable_fields`. ``create_user`` of Django saves an empty text."""
    model, fields, thread = get_user_model(), unique_nullable_fields(), get_ident()

    def replace_empty_texts(instance: Any, **_kwargs: Any) -> None:
        for field in fields if get_ident() == thread else []:
            if getattr(instance, field.attname) == "":
                setattr(instance, field.attname, None)

    pre_save.connect(replace_empty_texts, model, weak=False)
    try:
        yield
    finally:
        pre_save.disconnect(replace_empty_texts, model)
