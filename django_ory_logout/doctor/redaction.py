"""Texts for the report, without secrets and of bounded length."""

import re

#: In this order: name and password of a URL, values of a query, JSON Web Tokens, and Ory's tokens and codes.
_SECRET = re.compile(
    r"(?<=://)\S+(?=@)|(?P<name>[?&#][\w.~%\[\]-]+=)[^\s&#]+|\beyJ[\w-]+\.[\w.-]+|\bory_[a-z]{2,3}_[\w.-]+"
)
#: The longest text from outside that is shown, in characters.
_MAX_LENGTH = 120


def redact(text: str) -> str:
    """Replace what could be a secret by ``***``, and characters that control a terminal by ``?``."""
    return "".join(char if char.isprintable() else "?" for char in _SECRET.sub(r"\g<name>***", text))


def redact_url(url: str) -> str:
    """``url`` without name, password, query and fragment: each can hold a secret."""
    return truncate(re.split(r"[?#]", redact(url))[0])


def truncate(value: object) -> str:
    """``value`` as text, cut to 120 characters. For texts that come from outside."""
    text = str(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}..."
