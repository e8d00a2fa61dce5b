"""A database engine with a model of its own, as Django's documentation shows."""

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session


class OurSession(Session):
    class Meta:
        app_label = "sessions"
        proxy = True


class SessionStore(db.SessionStore):
    @classmethod
    def get_model_class(cls) -> type[Session]:
        return OurSession
