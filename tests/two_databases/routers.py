"""Routers as in Django's documentation: they choose a database for some models, and allow no relations."""

from typing import Any

from django.db.models import Model

ELSEWHERE = "elsewhere"


class Router:
    labels: frozenset[str]

    def db_for_read(self, model: type[Model], **_hints: Any) -> str | None:
        return ELSEWHERE if model._meta.app_label in self.labels else None

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return self.db_for_read(model, **hints)

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool:
        return (db == ELSEWHERE) == (app_label in self.labels)


class AppElsewhere(Router):
    labels = frozenset({"ory_logout"})


class UsersElsewhere(Router):
    labels = frozenset({"auth", "contenttypes", "admin", "sessions", "members"})


class AllHere(Router):
    labels = frozenset()


class Apart(Router):
    """Separates models that belong together."""

    labels = frozenset({"ory_logout"})

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return None if model.__name__ == "LogoutReceipt" else super().db_for_write(model, **hints)


class WithoutTables(Router):
    """Writes to a database without tables."""

    labels = frozenset({"ory_logout"})

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool:
        return app_label not in self.labels
