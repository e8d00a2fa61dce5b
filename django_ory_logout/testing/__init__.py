"""An OpenID provider for tests and for the demo. For development only: no other package imports this one.

:class:`Provider` holds keys, clients, persons and login sessions. It makes ID tokens and logout tokens as Ory Hydra
does. :func:`connect` lets calls of this app reach the provider and its admin API without a socket. The command
``python -m django_ory_logout.testing`` serves them over HTTP.
"""

from .hydra.provider import Provider
from .hydra.records import Client, Delivery, LoginSession, Person
from .kratos import Identity, Kratos, KratosNetwork, connect_kratos
from .network import Network, connect

__all__ = [
    "Client",
    "Delivery",
    "Identity",
    "Kratos",
    "KratosNetwork",
    "LoginSession",
    "Network",
    "Person",
    "Provider",
    "connect",
    "connect_kratos",
]
