"""What an authorization request asks of the login and consent pages beyond its scopes (Core 3.1.2.1)."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlencode, urlsplit

#: A request object has parameters of its own (Core 6), which count more than those beside it.
REQUEST_OBJECTS = {"request", "request_uri"}
#: Python makes no number of thousands of digits.
MAX_DIGITS = 18


@dataclass(frozen=True)
class AuthorizationPrompt:
    """``prompt`` and ``max_age`` of the authorization request. ``opaque``: they may stand where we cannot read them."""

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
        """No page may be shown."""
        return "none" in self.prompt

    @property
    def anew(self) -> bool:
        """Somebody shall sign in, whoever is signed in already."""
        return self.opaque or not self.prompt.isdisjoint({"login", "select_account"})

    @property
    def consent(self) -> bool:
        """The person shall be asked, whatever was agreed before. Unread where ``opaque``."""
        return "consent" in self.prompt


def with_prompt_login(request_url: str) -> str:
    """The same authorization request, for somebody who signs in anew."""
    parts = urlsplit(request_url)
    prompt = "login consent" if AuthorizationPrompt.parse(request_url).consent else "login"
    query = {**parse_qs(parts.query, keep_blank_values=True), "prompt": [prompt]}
    return parts._replace(query=urlencode(query, doseq=True)).geturl()


def _seconds(text: str) -> int | None:
    """Hydra refuses what is no number; if it lets one pass, it is the strictest."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0
