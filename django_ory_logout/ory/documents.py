"""Parse the JSON objects of Ory's servers into values. Hydra and Kratos share this module.

Each field has the server's own name. The servers leave out empty and false fields, or send ``null``: we read both as
the empty value of the field's type.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from types import UnionType
from typing import Any, ClassVar, NewType, Self, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

from django.views.decorators.debug import sensitive_variables

from ..exceptions import SetupError

T = TypeVar("T")
#: A URL that can be split into its parts, and written into a header.
URL = NewType("URL", str)


class Unreadable(ValueError):
    """The reason why a JSON object is not the expected document. It contains no value of the object."""


@dataclass(frozen=True)
class Document(ABC):
    """A parsed JSON object. ``raw`` is the whole object, for members that have no field here."""

    raw: Mapping[str, Any] = field(repr=False, compare=False)

    #: The fields that must have a value.
    required: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @sensitive_variables()
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """Read ``raw``. Raises :exc:`SetupError` if it is not such a document."""
        try:
            for name in cls.required:
                if raw.get(name) in (None, ""):
                    raise Unreadable(f"{name} is missing")
            names = {attribute.name: attribute.type for attribute in fields(cls) if attribute.name != "raw"}
            values = {name: _read(raw.get(name), kind, name) for name, kind in names.items()}
        except Unreadable as error:
            raise cls.invalid(str(error)) from error
        return cls(raw=raw, **values)

    @staticmethod
    @abstractmethod
    def invalid(what: str) -> SetupError:
        """The error for a document that cannot be read."""


def _of_type(kind: type[T], value: object, name: str) -> T:
    """``value``, if it is a ``kind``. For ``None``, the empty ``kind``. Raises :exc:`Unreadable`."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise Unreadable(f"{name} is not of type {kind.__name__}")
    if isinstance(value, str) and not _is_storable(value):
        raise Unreadable(f"{name} has characters that cannot be stored")
    return value


def _is_storable(text: str) -> bool:
    """Whether every database can store ``text``.

    JSON can contain half of a surrogate pair, which UTF-8 cannot encode, and NUL, which PostgreSQL refuses.
    """
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _read(value: object, kind: Any, name: str) -> Any:
    if kind is object:
        return value
    if kind is URL:
        return _url(_of_type(str, value, name), name)
    if kind is datetime:
        return _time(_of_type(str, value, name), name)
    if isinstance(kind, UnionType):
        return _read(value, get_args(kind)[0], name) if value else None
    if get_origin(kind) is tuple:
        items = [_read(item, get_args(kind)[0], name) for item in _of_type(list, value, name)]
        return tuple(items)
    if get_origin(kind) is Mapping:
        return _of_type(dict, value, name)
    return kind.parse(_of_type(dict, value, name)) if issubclass(kind, Document) else _of_type(kind, value, name)


def _url(text: str, name: str) -> str:
    try:
        urlsplit(text)
    except ValueError as error:
        raise Unreadable(f"{name} is not a URL") from error
    if not text.isprintable():
        raise Unreadable(f"{name} is not a URL")
    return text


#: Go writes a missing time as year 1, and "never" as year 9999. We limit times, so that we can add and subtract.
_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _time(text: str, name: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        time.astimezone(UTC)  # fails if the year in UTC is 0 or 10000
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"{name} is not a time") from error
    if time.tzinfo is None:
        raise Unreadable(f"{name} is a time without a time zone")
    return min(max(time, _EARLIEST), _LATEST)
