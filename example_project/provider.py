"""The provider of the settings: an OpenID provider, or Kratos alone."""

from typing import Any

from django.conf import settings


def entry() -> dict[str, Any]:
    """The only entry of ``PROVIDERS``."""
    found: dict[str, Any] = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    return found


def is_kratos_alone() -> bool:
    return "ISSUER" not in entry()


def url() -> str:
    """The URL where users sign in: the OpenID provider's issuer, or Kratos' public URL if there is none."""
    found: str = entry()["KRATOS"]["PUBLIC_URL"] if is_kratos_alone() else entry()["ISSUER"]
    return found
