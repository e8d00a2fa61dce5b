"""Ory Kratos' public and admin APIs for sessions."""

from .admin import KratosAdmin
from .credential import Credential
from .documents import Address, Device, Identity, LogoutFlow, Session
from .public import KratosPublic

__all__ = ["Address", "Credential", "Device", "Identity", "KratosAdmin", "KratosPublic", "LogoutFlow", "Session"]
