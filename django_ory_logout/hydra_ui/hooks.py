"""The hooks that a site can replace, and their defaults: ``CLAIMS``, ``AUTHENTICATION``, ``SCOPES``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ..ory.hydra import LoginRequest, OAuth2Client
from . import hydra_logins


@dataclass(frozen=True)
class AuthenticationContext:
    """How a user was authenticated (Core 2): ``acr``, and ``amr`` with the values of RFC 8176."""

    acr: str = ""
    amr: Sequence[str] = ()


#: The descriptions of scopes on the consent page.
SCOPES: Mapping[str, str | Promise] = {
    "openid": _("Know that it is you"),
    "profile": _("See your name and user name"),
    "email": _("See your e-mail address"),
    "offline_access": _("Keep this access while you are away"),
}


def standard_claims(user: Any, *, scopes: Sequence[str], client: OAuth2Client) -> dict[str, Any]:
    """``CLAIMS``: the claims about a user in the ID token and userinfo, beyond the subject.

    Those of the scopes ``profile`` and ``email`` that Django's user model has (Core 5.4). It has no ``email_verified``.
    """
    claims: dict[str, Any] = {}
    if "profile" in scopes:
        claims |= {
            "preferred_username": user.get_username(),
            "name": getattr(user, "get_full_name", user.get_username)(),
            "given_name": getattr(user, "first_name", ""),
            "family_name": getattr(user, "last_name", ""),
        }
    if "email" in scopes:
        claims |= {"email": getattr(user, user.get_email_field_name(), "")}
    return {name: value for name, value in claims.items() if value}


def by_password(request: HttpRequest, *, login: LoginRequest) -> AuthenticationContext:
    """``AUTHENTICATION``: ``pwd`` for users who used the login form of these pages; nothing for other sign-ins."""
    return AuthenticationContext(amr=("pwd",) if hydra_logins.read(request.session).by_form else ())
