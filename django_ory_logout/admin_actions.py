"""``force_logout_everywhere``: an action for the admin of login sessions, and for a site's own admin of users."""

import logging
from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from .force import force_logout
from .models import LoginSession

logger = logging.getLogger("django_ory_logout")

#: Each person costs several calls; so many can be waited for.
MAX_PEOPLE = 20


@admin.action(description=_("Log out everywhere"))
def force_logout_everywhere(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
    """Log out the users that are chosen, or whose login sessions are: shown first, done when that is confirmed.

    For those who may delete login sessions; ``PermissionDenied`` for others.
    """
    if not request.user.has_perm("ory_logout.delete_loginsession"):
        raise PermissionDenied
    people = _people(queryset)
    if len(people) > MAX_PEOPLE:
        messages.error(request, _("Choose at most %(count)d people.") % {"count": MAX_PEOPLE})
        return None
    confirmed = request.POST.get("confirmed") == "yes"
    results = [(user, force_logout(user=user, dry_run=not confirmed)) for user in people]
    if confirmed:
        _note(modeladmin, request, people)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": _("Log out everywhere"),
        "opts": modeladmin.opts,
        "media": modeladmin.media,
        "results": results,
        "confirmed": confirmed,
        "select_across": request.POST.get("select_across", "0"),
        "chosen": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
        "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/ory_logout/force_logout.html", context)


def _people(queryset: QuerySet[Any]) -> list[AbstractBaseUser]:
    """The users, each once; no more than it takes to see that they are too many."""
    users = get_user_model()._default_manager
    if queryset.model is LoginSession:
        queryset = users.filter(pk__in=list(queryset.values_list("user_id", flat=True)))
    return list(queryset[: MAX_PEOPLE + 1])


def _note(modeladmin: Any, request: HttpRequest, people: Iterable[AbstractBaseUser]) -> None:
    """What was done to whom, in the admin's own history."""
    for user in people:
        modeladmin.log_change(request, user, str(_("Logged out everywhere.")))
