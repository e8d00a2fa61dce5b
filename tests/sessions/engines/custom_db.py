"""A database engine with its own model, as in Django's documentation."""

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
