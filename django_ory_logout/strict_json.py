"""A strict JSON parser. It refuses everything that parsers read differently (RFC 8259, RFC 7493)."""

import json
import math
import re
from typing import Any

#: The deepest nesting of arrays and objects. Tokens, discovery documents and Ory's responses need fewer than ten.
MAX_DEPTH = 64
#: A string, complete or not, or a bracket. It never backtracks: each character is read once.
_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


class NotJSON(ValueError):
    """The content is refused. Callers turn ``reason`` into an error code. The message has no value of the content."""

    def __init__(self, reason: str) -> None:
        super().__init__(_MESSAGES[reason])
        self.reason = reason


_MESSAGES = {
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
    for token in _STRUCTURE.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise NotJSON("depth")
        elif token[0] in "]}":
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
    except ValueError as error:  # more digits than Python converts
        raise NotJSON("number") from error
