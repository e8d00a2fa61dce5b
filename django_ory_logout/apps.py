from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_out
from django.utils.translation import gettext_lazy as _


class OryLogoutConfig(AppConfig):
    name = "django_ory_logout"
    label = "ory_logout"
    verbose_name = _("OpenID Connect sign-in and logout")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - registers itself
        from .stores import end_at_logout

        user_logged_out.connect(end_at_logout, dispatch_uid="ory_logout_end_at_logout")
