"""The only reader of ``settings.ORY_HYDRA_UI``: it reads lazily, checks everything, and returns frozen values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from ..conf import HYDRA_SETTINGS, Problem, Setting, in_the_clear, is_secure, not_a_dict, problems_in
from ..ory.hydra import HydraAdmin
from .hooks import SCOPES, AuthenticationContext
from .subjects import SubjectOf, field_reader, is_unique_field

HERE = "django_ory_logout.hydra_ui"


@dataclass(frozen=True)
class Config:
    admin: HydraAdmin
    subject_of: SubjectOf
    login_form: type[AuthenticationForm]
    remember_for: int
    consent_remember_for: int
    claims: Callable[..., Mapping[str, Any]]
    authentication: Callable[..., AuthenticationContext]
    scopes: Mapping[str, str | Promise]


def _settings() -> Any:
    return getattr(settings, "ORY_HYDRA_UI", None)


def _imported(path: str) -> Any:
    try:
        return import_string(path)
    except (ImportError, TypeError, ValueError):  # as "..a" and ".a" raise
        return None


def _names_callable(path: str) -> bool:
    return callable(_imported(path))


def _names_form(path: str) -> bool:
    form = _imported(path)
    return isinstance(form, type) and issubclass(form, AuthenticationForm)


def _names_subject(value: str) -> bool:
    return _names_callable(value) or is_unique_field(value)


def _are_descriptions(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) and isinstance(text, str | Promise) for name, text in value.items())


def _seconds(code: str) -> Setting:
    return Setting(code, int, 0, "0 or more seconds", lambda value: value >= 0)


def _hook(code: str, default: str) -> Setting:
    return Setting(code, str, f"{HERE}.hooks.{default}", "the dotted path of a callable", _names_callable)


SETTINGS = {
    "ADMIN_URL": replace(HYDRA_SETTINGS["ADMIN_URL"], code="E010"),
    "ADMIN_TOKEN": replace(HYDRA_SETTINGS["ADMIN_TOKEN"], code="E011"),
    "SUBJECT": Setting(
        "E012",
        str,
        "pk",
        "a unique field of the user model, or the dotted path of a callable that takes a user",
        _names_subject,
    ),
    "LOGIN_FORM": Setting(
        "E013",
        str,
        f"{HERE}.forms.LoginForm",
        "the dotted path of a subclass of django.contrib.auth.forms.AuthenticationForm",
        _names_form,
    ),
    "REMEMBER_FOR": _seconds("E014"),
    "CONSENT_REMEMBER_FOR": _seconds("E015"),
    "CLAIMS": _hook("E016", "standard_claims"),
    "AUTHENTICATION": _hook("E017", "by_password"),
    "SCOPES": Setting(
        "E018", dict, {}, "scopes and their descriptions", _are_descriptions, example="{'orders': 'Your orders'}"
    ),
}


def problems() -> list[Problem]:
    given = _settings()
    if not isinstance(given, dict):
        line = f"ORY_HYDRA_UI = {{'ADMIN_URL': {SETTINGS['ADMIN_URL'].example}}}"
        return [not_a_dict("E001", "ORY_HYDRA_UI", given, line)]
    found = list(problems_in(given, SETTINGS, "ORY_HYDRA_UI"))
    if not found and given.get("ADMIN_TOKEN") and not is_secure(given["ADMIN_URL"]):
        return [in_the_clear("E003", "ORY_HYDRA_UI", "ADMIN_URL", given, "ADMIN_TOKEN")]
    return found


@cache
def get() -> Config:
    """``ORY_HYDRA_UI``, read and checked. Raises ``ImproperlyConfigured`` with the first problem."""
    found = problems()
    if found:
        raise ImproperlyConfigured(f"{found[0].message} {found[0].hint}")
    written = _settings()
    given = {name: written.get(name, setting.default) for name, setting in SETTINGS.items()}
    return Config(
        admin=HydraAdmin(given["ADMIN_URL"], given["ADMIN_TOKEN"]),
        subject_of=_imported(given["SUBJECT"]) or field_reader(given["SUBJECT"]),
        login_form=import_string(given["LOGIN_FORM"]),
        remember_for=given["REMEMBER_FOR"],
        consent_remember_for=given["CONSENT_REMEMBER_FOR"],
        claims=import_string(given["CLAIMS"]),
        authentication=import_string(given["AUTHENTICATION"]),
        scopes={**SCOPES, **given["SCOPES"]},
    )


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"ORY_HYDRA_UI", "AUTH_USER_MODEL"}:
        get.cache_clear()


setting_changed.connect(_forget)
