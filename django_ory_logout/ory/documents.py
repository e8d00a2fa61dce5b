"""JSON objects that Ory's servers answer, as values: the reading that Hydra and Kratos share.

Every field bears the server's own name for it. They leave empty and false fields out, or answer ``null``: both are
read as the empty value of the field's type.
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
#: A URL that can be taken apart, and stand in a header.
URL = NewType("URL", str)


class Unreadable(ValueError):
    """Why a JSON object is not the document that it should be, without a value of it."""


@dataclass(frozen=True)
class Document(ABC):
    """A JSON object, read. ``raw`` is all that the server said, for what has no field here."""

    raw: Mapping[str, Any] = field(repr=False, compare=False)

    #: The fields without which the document is none.
    required: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @sensitive_variables()
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """Read ``raw``. Raises :exc:`SetupError`, as :meth:`invalid` makes it, for another document."""
        try:
            for name in cls.required:
                if raw.get(name) in (None, ""):
                    raise Unreadable(f"{name} is missing")
            known = {one.name: _read(raw.get(one.name), one.type, one.name) for one in fields(cls) if one.name != "raw"}
        except Unreadable as error:
            raise cls.invalid(str(error)) from error
        return cls(raw=raw, **known)

    @staticmethod
    @abstractmethod
    def invalid(what: str) -> SetupError:
        """The error for a document that cannot be read."""


def _a(kind: type[T], value: object, name: str) -> T:
    """``value``, if it is a ``kind``; the empty one for none. Raises :exc:`Unreadable`."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise Unreadable(f"{name} is no {kind.__name__}")
    if isinstance(value, str) and not _is_storable(value):
        raise Unreadable(f"{name} is no text that can be stored")
    return value


def _is_storable(text: str) -> bool:
    """JSON can spell half of a surrogate pair, which has no UTF-8, and NUL, which PostgreSQL refuses."""
    return "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)


def _read(value: object, kind: Any, name: str) -> Any:
    if kind is object:
        return value
    if kind is URL:
        return _url(_a(str, value, name), name)
    if kind is datetime:
        return _time(_a(str, value, name), name)
    if isinstance(kind, UnionType):
        return _read(value, get_args(kind)[0], name) if value else None
    if get_origin(kind) is tuple:
        ones = [_read(one, get_args(kind)[0], name) for one in _a(list, value, name)]
        return tuple(ones)
    if get_origin(kind) is Mapping:
        return _a(dict, value, name)
    return kind.parse(_a(dict, value, name)) if issubclass(kind, Document) else _a(kind, value, name)


def _url(text: str, name: str) -> str:
    try:
        urlsplit(text)
    except ValueError as error:
        raise Unreadable(f"{name} is no URL") from error
    if not text.isprintable():
        raise Unreadable(f"{name} is no URL")
    return text


#: Go writes no time as the year 1, and "never" as 9999. Nearer times leave room to add to and to take from.
_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _time(text: str, name: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        time.astimezone(UTC)  # fails where it is the year 0 or 10000 there
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"{name} is no time") from error
    if time.tzinfo is None:
        raise Unreadable(f"{name} is a time of no zone")
    return min(max(time, _EARLIEST), _LATEST)
