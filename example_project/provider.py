"""By what this site signs people in, as its settings say."""

from typing import Any

from django.conf import settings


def entry() -> dict[str, Any]:
    """The one of ``PROVIDERS``."""
    found: dict[str, Any] = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    return found


def is_kratos_alone() -> bool:
    return "ISSUER" not in entry()


def url() -> str:
    """Where people sign in: the OpenID provider's, or Kratos' for want of one."""
    found: str = entry()["KRATOS"]["PUBLIC_URL"] if is_kratos_alone() else entry()["ISSUER"]
    return found
