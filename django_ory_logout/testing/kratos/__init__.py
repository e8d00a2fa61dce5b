"""A server for tests and for the demo that behaves like Ory Kratos at login and logout."""

from .hydra import login_session, sign_in_by
from .kratos import Kratos
from .network import KratosNetwork, connect_kratos
from .records import Address, Identity, Session

__all__ = ["Address", "Identity", "Kratos", "KratosNetwork", "Session", "connect_kratos", "login_session", "sign_in_by"]
