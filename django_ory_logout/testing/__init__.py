"""An OpenID provider for tests and for the demo. Development only: nothing outside this package imports it.

The core (:class:`Provider`) holds keys, clients, persons and login sessions, and makes tokens and logout tokens as
Ory Hydra does. :func:`connect` lets this app's calls reach it and its admin API without a socket, and
``python -m django_ory_logout.testing`` serves them.
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
