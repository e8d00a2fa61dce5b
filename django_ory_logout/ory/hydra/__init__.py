"""Ory Hydra's admin API."""

from .admin import HydraAdmin
from .documents import ClientMetadata, ConsentRequest, ConsentSession, LoginRequest, LogoutRequest, OAuth2Client

__all__ = [
    "ClientMetadata",
    "ConsentRequest",
    "ConsentSession",
    "HydraAdmin",
    "LoginRequest",
    "LogoutRequest",
    "OAuth2Client",
]
