"""What is signed in, what was received, who is who: to be read. Deleting a login session ends it."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from . import local_logout
from .admin_actions import force_logout_everywhere
from .models import EndReason, EventKind, LoginSession, LogoutEvent, LogoutReceipt, RefusalCount, Subject

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OfUserAdmin(ReadOnlyAdmin):
    """Users may be in another database: they come by a query of their own, and nothing is joined with them."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("user")

    @admin.display(description=_("user"), ordering="user_id")
    def user_of(self, row: LoginSession | Subject) -> AbstractBaseUser:
        user: AbstractBaseUser = row.user
        return user


@admin.register(LoginSession)
class LoginSessionAdmin(OfUserAdmin):
    list_display = ["user_of", "issuer", "subject", "sid", "created_at", "last_seen_at", "ended_at"]
    list_filter = ["created_at", "end_reason"]
    search_fields = ["subject", "sid"]
    actions = [force_logout_everywhere]

    def delete_model(self, request: HttpRequest, obj: LoginSession) -> None:
        local_logout.end_row(str(obj.pk), EndReason.USER)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[LoginSession]) -> None:
        for obj in queryset:
            self.delete_model(request, obj)


@admin.register(LogoutReceipt)
class LogoutReceiptAdmin(ReadOnlyAdmin):
    list_display = ["jti", "issuer", "subject", "sid", "received_at", "completed_at"]
    list_filter = ["received_at", "completed_at"]


class LogAdmin(ReadOnlyAdmin):
    """What ``ory_purge`` alone deletes."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(LogoutEvent)
class LogoutEventAdmin(LogAdmin):
    list_display = ["at", "kind", "issuer", "subject", "sid", "ended", "seconds", "code"]
    list_filter = ["at", "kind"]
    search_fields = ["subject", "sid"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[LogoutEvent]:
        """Without who follows."""
        return super().get_queryset(request).exclude(kind=EventKind.FOLLOWED)


@admin.register(RefusalCount)
class RefusalCountAdmin(LogAdmin):
    list_display = ["hour", "channel", "code", "count"]
    list_filter = ["hour", "channel", "code"]


@admin.register(Subject)
class SubjectAdmin(OfUserAdmin):
    """Added by hand where ``CREATE_USERS`` is off."""

    raw_id_fields = ["user"]
    fields = ["user", "issuer", "subject"]
    list_display = ["subject", "issuer", "user_of", "created_at"]
    search_fields = ["subject"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return ModelAdmin.has_add_permission(self, request)
