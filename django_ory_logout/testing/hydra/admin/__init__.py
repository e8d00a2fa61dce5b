"""Hydra's admin API, as far as signing in and out needs it."""

from .api import Admin
from .routes import answer

__all__ = ["Admin", "answer"]
