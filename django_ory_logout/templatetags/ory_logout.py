"""The template tags ``logout_button``, ``logout_link`` and ``logout_url``, and the filter ``browser_name``."""

import logging
from typing import Any

from django import template
from django.http import HttpRequest
from django.template.context import RequestContext
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..exceptions import OryLogoutError
from ..flows import logout
from ..kratos import logout as kratos_logout
from ..sessions.stored_login import StoredLogin

logger = logging.getLogger("django_ory_logout")

register = template.Library()

#: A part of ``User-Agent``, and the name to show. The first match counts, because browsers also send older names.
BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "FxiOS": "Firefox",
    "Chrome": "Chrome",
    "CriOS": "Chrome",
    "Safari": "Safari",
}
SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS": "Mac",
    "CrOS": "Chromebook",
    "Linux": "Linux",
}


@register.inclusion_tag("ory_logout/logout_button.html", takes_context=True)
def logout_button(context: RequestContext, label: str = "", next: str = "") -> dict[str, Any]:  # noqa: A002 - Django's name
    """A form that posts to this site's logout, which ends the session here first, and then at the provider."""
    return {"label": label or _("Log out"), "next": next, "csrf_token": context.get("csrf_token")}


@register.inclusion_tag("ory_logout/logout_link.html", takes_context=True)
@sensitive_variables()
def logout_link(context: RequestContext, label: str = "") -> dict[str, Any]:
    """A plain link to :func:`logout_url`."""
    return {"label": label or _("Log out"), "url": logout_url(context)}


@register.simple_tag(takes_context=True)
@sensitive_variables()
def logout_url(context: RequestContext) -> str:
    """The provider's end session URL with hint, redirect URI and ``state`` (RP-Initiated Logout 2).

    The session here ends only when the browser returns, so :func:`logout_button` is the better choice.

    It is the URL of this site's logout page if the provider's metadata is not cached, the end session URL would be too
    long, or the template has no ``request``. For a session that Kratos opened, it is a URL of this site that ends the
    session here first, and then at Kratos.
    """
    login = StoredLogin.read(context["request"].session) if "request" in context else None
    if login and conf.get().kratos_of(login.issuer):
        return _kratos_logout_url(context["request"])
    request = logout.held_end_session_request(login, login.logout_state) if login else None
    return reverse("ory_logout:logout") if request is None or request.by_post else request.url


@sensitive_variables()
def _kratos_logout_url(request: HttpRequest) -> str:
    """Our URL that ends the session here and at Kratos. Its logout token is fetched once for each session."""
    try:
        return kratos_logout.logout_url(kratos_logout.logout_token(request))
    except OryLogoutError as error:
        logger.warning("logout link without Kratos' token: %s", error)
        return reverse("ory_logout:logout")


@register.filter
def browser_name(user_agent: str) -> str:
    """The browser and the system of a ``User-Agent``, such as *Firefox on Linux*; if unknown, its beginning."""
    browser, system = _first(BROWSERS, user_agent), _first(SYSTEMS, user_agent)
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or user_agent[:60] or _("Unknown browser")


def _first(names: dict[str, str], user_agent: str) -> str:
    return next((name for part, name in names.items() if part in user_agent), "")
