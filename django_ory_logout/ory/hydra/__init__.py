"""Ory Hydra's admin API."""

from .admin import HydraAdmin
from .documents import (
    ClientMetadata,
    ConsentRequest,
    ConsentSession,
    Introspection,
    LoginRequest,
    LogoutRequest,
    OAuth2Client,
    OpenIDConnectContext,
)

__all__ = [
    "ClientMetadata",
    "ConsentRequest",
    "ConsentSession",
    "HydraAdmin",
    "Introspection",
    "LoginRequest",
    "LogoutRequest",
    "OAuth2Client",
    "OpenIDConnectContext",
]
