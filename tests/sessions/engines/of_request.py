"""Database engines whose constructors need more than a key, and the middleware that passes it."""

from typing import Any, cast

from django.contrib.sessions.backends import cached_db, db
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest


class RequestMiddleware(SessionMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        request.session = cast(Any, self.SessionStore).of(request)


class Noting:
    """Stores in each session the browser that its middleware saw."""

    user_agent: str

    def save(self, must_create: bool = False) -> None:
        session: Any = self
        session["browser"] = self.user_agent
        super().save(must_create)  # type: ignore[misc]


def key_of(request: HttpRequest) -> str | None:
    return request.COOKIES.get("sessionid")


class KeywordStore(Noting, db.SessionStore):
    def __init__(self, *, user_agent: str, session_key: str | None = None) -> None:
        self.user_agent = user_agent
        super().__init__(session_key)

    @classmethod
    def of(cls, request: HttpRequest) -> "KeywordStore":
        return cls(user_agent=request.headers["User-Agent"], session_key=key_of(request))


class RequestStore(Noting, cached_db.SessionStore):
    """Its first argument is not the key."""

    def __init__(self, request: HttpRequest) -> None:
        self.user_agent = request.headers["User-Agent"]
        super().__init__(key_of(request))

    @classmethod
    def of(cls, request: HttpRequest) -> "RequestStore":
        return cls(request)


class OtherNameStore(Noting, db.SessionStore):
    """Uses another name for the key."""

    def __init__(self, key: str | None = None, user_agent: str = "") -> None:
        self.user_agent = user_agent
        super().__init__(key)

    @classmethod
    def of(cls, request: HttpRequest) -> "OtherNameStore":
        return cls(key_of(request), request.headers["User-Agent"])


class RestStore(Noting, db.SessionStore):
    """Its constructor has no named parameters."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.user_agent = options.pop("user_agent", "")
        super().__init__(*args, **options)

    @classmethod
    def of(cls, request: HttpRequest) -> "RestStore":
        return cls(key_of(request), user_agent=request.headers["User-Agent"])


SessionStore: type[Any] = KeywordStore
