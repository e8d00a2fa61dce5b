from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.utils.translation import gettext_lazy as _


class OryHydraUIConfig(AppConfig):
    name = "django_ory_logout.hydra_ui"
    label = "ory_hydra_ui"
    verbose_name = _("Login, consent and logout pages for Ory Hydra")

    def ready(self) -> None:
        from . import checks, hydra_logins, revocation

        checks.register_all()
        user_logged_in.connect(hydra_logins.note_sign_in, dispatch_uid="ory_hydra_ui.note_sign_in")
        user_logged_out.connect(revocation.revoke_at_logout, dispatch_uid="ory_hydra_ui.revoke_at_logout")
