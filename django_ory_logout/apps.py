from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import post_delete
from django.utils.translation import gettext_lazy as _


class OryLogoutConfig(AppConfig):
    name = "django_ory_logout"
    label = "ory_logout"
    verbose_name = _("OpenID Connect sign-in and logout")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - the import registers the checks
        from .sessions.store import end_at_logout
        from .users.creation import delete_user_data

        user_logged_out.connect(end_at_logout, dispatch_uid="ory_logout_end_at_logout")
        for model in apps.get_models():
            if issubclass(model, get_user_model()):  # a proxy sends its own signal
                post_delete.connect(delete_user_data, model, dispatch_uid="ory_logout_delete_user_data")
