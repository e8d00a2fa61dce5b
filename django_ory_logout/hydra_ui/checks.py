"""System checks of the pages."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse

from . import conf


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """E001 to E018: ``ORY_HYDRA_UI`` itself."""
    return [Error(problem.message, hint=problem.hint, id=f"ory_hydra_ui.{problem.code}") for problem in conf.problems()]


def check_subject(**_kwargs: Any) -> list[CheckMessage]:
    """W030: a user who takes over another user's old name would also get that user's accounts."""
    given = getattr(settings, "ORY_HYDRA_UI", None)
    name = given.get("SUBJECT") if isinstance(given, dict) else None
    user = get_user_model()
    if name and name in {user.USERNAME_FIELD, user.get_email_field_name()}:
        message = f"ORY_HYDRA_UI['SUBJECT'] is {name!r}, which users can change."
        hint = (
            "Use a field that never changes, such as a UUID. Otherwise relying parties do not recognize a user after a "
            "change. If another user takes the old name, relying parties give that user the first user's accounts."
        )
        return [checks.Warning(message, hint=hint, id="ory_hydra_ui.W030")]
    return []


def check_urls(**_kwargs: Any) -> list[CheckMessage]:
    """E031: Hydra needs the URLs of these pages."""
    try:
        reverse("hydra_ui:login")
    except NoReverseMatch:
        message = "The URLs of django_ory_logout.hydra_ui are not included."
        hint = 'Add path("hydra/", include("django_ory_logout.hydra_ui.urls")) to the root URLconf.'
        return [Error(message, hint=hint, id="ory_hydra_ui.E031")]
    return []


def check_session_cookie(**_kwargs: Any) -> list[CheckMessage]:
    """E032: browsers must send the session cookie after a redirect from an application."""
    if str(settings.SESSION_COOKIE_SAMESITE).lower() != "strict":
        return []
    message = 'SESSION_COOKIE_SAMESITE is "Strict".'
    hint = 'Use "Lax". Otherwise users who come from an application have no session, and must sign in each time.'
    return [Error(message, hint=hint, id="ory_hydra_ui.E032")]


def check_templates(**_kwargs: Any) -> list[CheckMessage]:
    """E033: the pages, those of errors too, need their templates."""
    try:
        get_template("ory_hydra_ui/error.html")
    except TemplateDoesNotExist:
        message = "TEMPLATES does not find the templates of django_ory_logout.hydra_ui."
        hint = "Write in TEMPLATES: {'BACKEND': 'django.template.backends.django.DjangoTemplates', 'APP_DIRS': True}"
        return [Error(message, hint=hint, id="ory_hydra_ui.E033")]
    return []


ALL = (check_settings, check_subject, check_urls, check_session_cookie, check_templates)


def register_all() -> None:
    """Register the checks. The app config calls this, so that a mere import registers nothing."""
    for check in ALL:
        checks.register(check, Tags.security)
