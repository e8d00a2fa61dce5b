"""One setting and its check. A problem says which value was seen, and which line to write."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from django.utils.functional import Promise

from ..oidc.metadata import DISCOVERY_PATH, is_web_url, origin

#: Settings whose value is a secret or contains one.
SECRETS = frozenset({"ADMIN_TOKEN", "CLIENT_SECRET", "DECRYPTION_KEY", "HYDRA", "KRATOS", "PROVIDERS"})
#: The longest value that a message shows.
LONGEST_SHOWN = 100
_SECRET_NAME = re.compile("secret|token|passw|key", re.IGNORECASE)
#: Messages show only smaller numbers. Python refuses to convert much longer ones to text.
_LONGEST_NUMBER: int = 10**LONGEST_SHOWN
#: The start of a URL whose scheme lacks its colon, or a slash.
_SCHEME = re.compile("(?:(https?)(?::/?|//))?(.*)", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?")
_SWITCHES = {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}


@dataclass(frozen=True)
class Problem:
    """An error in the settings. ``code`` is the number of its system check."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class Setting:
    """One key: the number of its check, its type, its default (``...``: required), and a description of its values.

    ``example`` is the value in the line to write, as Python code; without it, the default is shown.
    """

    code: str
    type: type | tuple[type, ...]
    default: Any
    description: str
    is_valid: Callable[[Any], object] = lambda _value: True
    example: str = ""


def fits(value: Any, setting: Setting) -> bool:
    """Whether ``value`` is valid for ``setting``. An empty default is always valid: it means that nothing is set."""
    if not _is_of_type(value, setting):
        return False
    return (not value and value == setting.default) or bool(setting.is_valid(value))


def _is_of_type(value: Any, setting: Setting) -> bool:
    # In Python, True and False are numbers.
    is_wrong_bool = isinstance(value, bool) and setting.type is not bool
    return isinstance(value, setting.type) and not is_wrong_bool


def problems_in(given: Mapping[Any, Any], known: Mapping[str, Setting], where: str) -> Iterator[Problem]:
    """The problems in the settings ``given``. ``known``: the settings that it may have."""
    for name in given.keys() - known.keys():
        near = get_close_matches(name.upper(), known, 1) if isinstance(name, str) else []
        hint = f"Did you mean {near[0]!r}?" if near else f"Remove it. The settings here are {', '.join(known)}."
        yield Problem("E002", f"{where} has no setting {named(name)}.", hint)
    for name, setting in known.items():
        if name not in given and setting.default is ...:
            yield Problem(setting.code, f"{where} lacks {name!r}.", _hint(name, setting))
        if name in given and not fits(given[name], setting):
            yield _unusable(name, given[name], setting, where)


def not_a_dict(code: str, where: str, value: Any, line: str) -> Problem:
    """``value`` should be a dict of settings."""
    seen = "is missing" if value is None else f"is of the type {kind(value)}, not a dict"
    return Problem(code, f"{where} {seen}.", f"Write: {line}")


def _unusable(name: str, value: Any, setting: Setting, where: str) -> Problem:
    seen = "" if name in SECRETS and value else shown(value)
    description = f"it is {seen}" if seen else f"it is of the type {kind(value)}, and is not shown"
    if seen and value is not None and not _is_of_type(value, setting):
        description += f", of the type {kind(value)}"
    return Problem(
        setting.code,
        f"{where}[{name!r}] cannot be used: {description}.",
        _hint(name, setting, _corrections(value) if seen and value and value is not True else ()),
    )


def _hint(name: str, setting: Setting, corrections: Iterator[Any] | tuple[()] = ()) -> str:
    example = setting.example or repr(setting.default)
    value = next((repr(value) for value in corrections if fits(value, setting)), example)
    return f"It should be {setting.description}. Write: {name!r}: {value}"


def in_the_clear(code: str, where: str, name: str, entry: Mapping[str, Any], what: str) -> Problem:
    """The problem that ``what`` would be sent to an http URL."""
    seen = shown(entry[name]) or "an http URL, and is not shown"
    line = shown(f"https://{entry[name].partition('://')[2]}") or "'https://…'"
    hint = f"{what} would be sent without encryption. Write: {name!r}: {line}"
    return Problem(code, f"{where}[{name!r}] is not https: it is {seen}.", hint)


def kind(value: Any) -> str:
    """The type of ``value``, for a message."""
    return "lazy text" if isinstance(value, Promise) else type(value).__name__


def shown(value: Any) -> str:
    """``value`` for a message, or an empty text if it is long, is not a simple value, or can contain a secret."""
    if not _is_plain(value):
        return ""
    text = repr(value)
    return text if "@" not in text and len(text) <= LONGEST_SHOWN else ""


def named(value: Any) -> str:
    """A key of a dict, for a message."""
    return shown(value) or f"<{kind(value)}>"


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        are_names = all(isinstance(name, str) and not _SECRET_NAME.search(name) for name in value)
        return are_names and all(map(_is_plain_scalar, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(isinstance(item, str) for item in value)
    return _is_plain_scalar(value)


def _is_plain_scalar(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) < _LONGEST_NUMBER
    return value is None or isinstance(value, str | bytes | float)


def _corrections(value: Any) -> Iterator[Any]:
    """Values to suggest in place of ``value``, which :func:`shown` shows. The best suggestion comes first."""
    if isinstance(value, Mapping):
        yield {name: str(item) for name, item in value.items()}
        return
    if isinstance(value, list | tuple | set | frozenset):
        yield sorted(value)
        yield _hosts(value)
        yield from _text_corrections(" ".join(value))
        return
    text = (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).strip()
    yield _SWITCHES.get(text.lower())
    if not isinstance(value, str | bytes):
        yield text
        return
    if _NUMBER.fullmatch(text):
        yield float(text) if "." in text else int(text)
    yield from _text_corrections(text)
    words = re.split(r"[\s,]+", text)
    yield words
    yield _hosts(words)


def _hosts(urls: Iterable[str]) -> list[str]:
    return [url.partition("://")[2].partition("/")[0] or url for url in urls]


def _text_corrections(text: str) -> Iterator[str]:
    scheme, rest = _SCHEME.findall(text)[0]
    at_home = rest.startswith(("localhost", "127.0.0.1", "[::1]"))
    url = text if "://" in text else f"{(scheme or ('http' if at_home else 'https')).lower()}://{rest}"
    if is_web_url(url):
        url = re.split("[?#]", url)[0].rstrip("/")
        yield from (url, url.removesuffix(DISCOVERY_PATH), url.removesuffix("/admin"), origin(url))
    yield from (text, text.upper(), text.lower())
    scopes = re.split(r"[\s,+;|]+" if re.search(r"\bopenid\b", text) else r"[\s,]+", text)
    if "openid" in scopes or "openid" not in text:
        yield " ".join(scopes if "openid" in scopes else ["openid", *scopes]).strip()
