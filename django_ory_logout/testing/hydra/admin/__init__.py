"""The part of Hydra's admin API for login and logout."""

from .api import Admin
from .routes import answer

__all__ = ["Admin", "answer"]
