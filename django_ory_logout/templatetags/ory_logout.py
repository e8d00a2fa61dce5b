"""``{% load ory_logout %}``: ``logout_button``, ``logout_link``, ``logout_url``."""

from typing import Any

from django import template
from django.template.context import RequestContext
from django.urls import reverse
from django.utils.translation import gettext as _

from .. import logout
from ..sessions import LOGIN

register = template.Library()


@register.inclusion_tag("ory_logout/logout_button.html", takes_context=True)
def logout_button(context: RequestContext, label: str = "", next: str = "") -> dict[str, Any]:  # noqa: A002 - Django's word
    """A form that posts to this site's logout: it ends the session here first, then at the provider."""
    return {"label": label or _("Log out"), "next": next, "csrf_token": context.get("csrf_token")}


@register.inclusion_tag("ory_logout/logout_link.html", takes_context=True)
def logout_link(context: RequestContext, label: str = "") -> dict[str, Any]:
    """A plain link to :func:`logout_url`."""
    return {"label": label or _("Log out"), "url": logout_url(context)}


@register.simple_tag(takes_context=True)
def logout_url(context: RequestContext) -> str:
    """The provider's end session URL with hint, redirect URI and ``state`` (RP-Initiated Logout 2).

    The session here ends when the browser comes back, so :func:`logout_button` is the better choice. Where no provider
    can be told, or the URL would be too long, it is this site's own logout page.
    """
    login = context["request"].session.get(LOGIN)
    request = logout.end_session_request(login, login["logout_state"]) if login else None
    return reverse("ory_logout:logout") if request is None or request.by_post else request.url
