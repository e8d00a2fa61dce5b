"""JSON that others wrote, read strictly: whatever parsers read differently is refused (RFC 8259, RFC 7493)."""

import json
import math
import re
from typing import Any

#: Arrays and objects inside one another. Tokens, discovery documents and Ory's answers need fewer than ten.
MAX_DEPTH = 64
#: A whole string, closed or not, or one bracket. It never backtracks: each character is read once.
_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


class NotJSON(ValueError):
    """Why the content is refused: a ``reason`` that callers give a code, and never a value of the content."""

    def __init__(self, reason: str) -> None:
        super().__init__(_SAID[reason])
        self.reason = reason


_SAID = {
    "encoding": "is not UTF-8 without a byte order mark",
    "depth": f"is nested more than {MAX_DEPTH} deep",
    "member": "has an object with a member twice",
    "number": "has a number that is NaN, infinite or too long",
    "syntax": "is not JSON",
}


def parse(content: bytes) -> object:
    """The value of ``content``. Raises :exc:`NotJSON`; never ``RecursionError``."""
    text = _decoded(content)
    _check_depth(text)
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_integer
        )
    except NotJSON:
        raise
    except ValueError as error:
        raise NotJSON("syntax") from error


def _decoded(content: bytes) -> str:
    if json.detect_encoding(content) != "utf-8":
        raise NotJSON("encoding")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise NotJSON("encoding") from error


def _check_depth(text: str) -> None:
    depth = 0
    for found in _STRUCTURE.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise NotJSON("depth")
        elif found[0] in "]}":
            depth -= 1


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise NotJSON("member")
    return value


def _constant(_name: str) -> float:
    raise NotJSON("number")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise NotJSON("number")
    return value


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError as error:  # more digits than Python turns into a number
        raise NotJSON("number") from error
