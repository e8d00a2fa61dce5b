from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OryLogoutConfig(AppConfig):
    name = "django_ory_logout"
    label = "ory_logout"
    verbose_name = _("OpenID Connect sign-in and logout")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - registers itself
