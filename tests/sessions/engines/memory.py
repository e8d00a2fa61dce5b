"""An engine written from scratch. Its class has another name than Django's."""

from typing import Any

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError

stored: dict[str, str] = {}


class MemoryStore(SessionBase):
    def exists(self, session_key: str) -> bool:
        return session_key in stored

    def create(self) -> None:
        base: Any = super()
        self._session_key = base._get_new_session_key()
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            return self.create()
        if must_create and self.session_key in stored:
            raise CreateError
        if not must_create and self.session_key not in stored:
            raise UpdateError
        base: Any = super()
        stored[self.session_key] = self.encode(base._get_session(no_load=must_create))
        return None

    def delete(self, session_key: str | None = None) -> None:
        stored.pop(session_key or self.session_key or "", None)

    def load(self) -> dict[str, Any]:
        if self.session_key in stored:
            return self.decode(stored[self.session_key])
        self._session_key = None
        return {}


SessionStore = MemoryStore
