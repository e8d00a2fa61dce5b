"""The parameters of an authorization request for the login and consent pages (Core 3.1.2.1)."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlencode, urlsplit

#: Parameters in a request object (Core 6) take precedence over those in the query.
REQUEST_OBJECTS = {"request", "request_uri"}
#: Python refuses to convert thousands of digits to a number.
MAX_DIGITS = 18


@dataclass(frozen=True)
class AuthorizationPrompt:
    """``prompt`` and ``max_age``. ``opaque``: a request object may have others, which these pages cannot read."""

    prompt: frozenset[str]
    max_age: int | None
    opaque: bool

    @classmethod
    def parse(cls, request_url: str) -> Self:
        query = parse_qs(urlsplit(request_url).query)
        return cls(
            prompt=frozenset(query.get("prompt", [""])[0].split()),
            max_age=_seconds(query.get("max_age", [""])[0]),
            opaque=not REQUEST_OBJECTS.isdisjoint(query),
        )

    @property
    def silent(self) -> bool:
        """Whether the pages must not be shown."""
        return "none" in self.prompt

    @property
    def reauthenticate(self) -> bool:
        """Whether the user must sign in again."""
        return self.opaque or not self.prompt.isdisjoint({"login", "select_account"})

    @property
    def consent(self) -> bool:
        """Whether the consent page must be shown, even after an earlier consent. Not known if ``opaque``."""
        return "consent" in self.prompt


def with_prompt_login(request_url: str) -> str:
    parts = urlsplit(request_url)
    prompt = "login consent" if AuthorizationPrompt.parse(request_url).consent else "login"
    query = {**parse_qs(parts.query, keep_blank_values=True), "prompt": [prompt]}
    return parts._replace(query=urlencode(query, doseq=True)).geturl()


def _seconds(text: str) -> int | None:
    """Hydra refuses a ``max_age`` that is no number. If one arrives here, it counts as 0, the strictest."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0
