"""The admin pages for login sessions, receipts, events and subjects. Nothing can be changed; deleting ends a session.

``force_logout_everywhere`` is an action for login sessions, and for the site's own admin of users.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
from .models import EndReason, EventKind, LoginSession, LogoutEvent, LogoutReceipt, RefusalCount, Subject
from .sessions import ending

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

#: Each user needs several calls, so a request handles at most this many.
MAX_USERS = 20


@admin.action(description=_("Log out everywhere"))
def force_logout_everywhere(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
    """Log out the selected users, or the users of the selected login sessions. A first page asks for confirmation.

    Raises ``PermissionDenied`` if the administrator may not delete login sessions.
    """
    if not request.user.has_perm("ory_logout.delete_loginsession"):
        raise PermissionDenied
    chosen = _chosen(queryset)
    if not chosen:
        messages.error(request, _("No user was logged out: the selected entries no longer exist."))
        return None
    if len(chosen) > MAX_USERS:
        messages.error(request, _("Select at most %(count)d users.") % {"count": MAX_USERS})
        return None
    return _page(modeladmin, request, chosen, _is_confirmed(request, chosen))


def _is_confirmed(request: HttpRequest, chosen: Mapping[AbstractBaseUser, Any]) -> bool:
    """Whether the administrator confirmed exactly these users."""
    shown = request.POST.getlist("confirmed")
    if not shown:
        return False
    if set(shown) == {str(user.pk) for user in chosen}:
        return True
    messages.warning(request, _("No user was logged out yet: these users are not the same as on the page before."))
    return False


def _page(
    modeladmin: Any, request: HttpRequest, chosen: Mapping[AbstractBaseUser, Any], confirmed: bool
) -> HttpResponse:
    """The page with the planned steps; if ``confirmed``, do them and show the results."""
    results = [(user, force_logout(user=user, dry_run=not confirmed)) for user in chosen]
    if confirmed:
        for user in chosen:
            modeladmin.log_change(request, user, str(_("Logged out everywhere.")))  # the history of the user
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": _("Log out everywhere"),
        "opts": modeladmin.opts,
        "media": modeladmin.media,
        "results": results,
        "confirmed": confirmed,
        "people": [str(user.pk) for user in chosen],
        "chosen": [str(pk) for pk in chosen.values()],
        "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/ory_logout/force_logout.html", context)


def _chosen(queryset: QuerySet[Any]) -> Mapping[AbstractBaseUser, Any]:
    """The users, each with the key of a selected row; at most ``MAX_USERS + 1``."""
    if queryset.model is not LoginSession:
        return {user: user.pk for user in queryset[: MAX_USERS + 1]}
    rows = dict(queryset.values_list("user_id", "pk"))
    users = get_user_model()._default_manager.filter(pk__in=list(rows)[: MAX_USERS + 1])
    return {user: rows[user.pk] for user in users}


class ReadOnlyAdmin(ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OfUserAdmin(ReadOnlyAdmin):
    """Loads users by a separate query: they may be in another database, where no join is possible."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("user")

    @admin.display(description=_("user"), ordering="user_id")
    def user_of(self, row: LoginSession | Subject) -> Any:
        return row.user


@admin.register(LoginSession)
class LoginSessionAdmin(OfUserAdmin):
    list_display = ["user_of", "issuer", "subject", "sid", "created_at", "last_seen_at", "ended_at"]
    list_filter = ["created_at", "end_reason"]
    search_fields = ["subject", "sid"]
    actions = [force_logout_everywhere]

    def delete_model(self, request: HttpRequest, obj: LoginSession) -> None:
        ending.end_row(str(obj.pk), EndReason.USER)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[LoginSession]) -> None:
        for obj in queryset:
            self.delete_model(request, obj)


@admin.register(LogoutReceipt)
class LogoutReceiptAdmin(ReadOnlyAdmin):
    list_display = ["jti", "issuer", "subject", "sid", "received_at", "completed_at"]
    list_filter = ["received_at", "completed_at"]


class LogAdmin(ReadOnlyAdmin):
    """Rows that only ``ory_purge`` deletes."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(LogoutEvent)
class LogoutEventAdmin(LogAdmin):
    list_display = ["at", "kind", "issuer", "subject", "sid", "ended", "seconds", "code"]
    list_filter = ["at", "kind"]
    search_fields = ["subject", "sid"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[LogoutEvent]:
        """Leave out the rows of doctors that follow a logout."""
        return super().get_queryset(request).exclude(kind=EventKind.FOLLOWED)


@admin.register(RefusalCount)
class RefusalCountAdmin(LogAdmin):
    list_display = ["hour", "channel", "code", "count"]
    list_filter = ["hour", "channel", "code"]


@admin.register(Subject)
class SubjectAdmin(OfUserAdmin):
    """Administrators add subjects here if ``CREATE_USERS`` is off."""

    raw_id_fields = ["user"]
    fields = ["user", "issuer", "subject"]
    list_display = ["subject", "issuer", "user_of", "created_at"]
    search_fields = ["subject"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return ModelAdmin.has_add_permission(self, request)
