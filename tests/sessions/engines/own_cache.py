"""A database engine with its own cache, which Django's classes do not know."""

from typing import Any

from django.contrib.sessions.backends import db

copies: dict[str, dict[str, Any]] = {}


class SessionStore(db.SessionStore):
    def load(self) -> dict[str, Any]:
        key = self.session_key or ""
        if key not in copies and (data := super().load()):
            copies[key] = data
        return dict(copies.get(key, {}))

    def save(self, must_create: bool = False) -> None:
        super().save(must_create)
        copies[self.session_key or ""] = dict(self.items())

    def delete(self, session_key: str | None = None) -> None:
        super().delete(session_key)
        copies.pop(session_key or self.session_key or "", None)
