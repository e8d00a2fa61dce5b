"""The settings of ``ORY_LOGOUT``: :func:`get` returns them, and :func:`problems` finds their errors."""

from .lookup import URLS_LINE, URLS_MISSING, Config, KratosConfig, ProviderConfig, get
from .settings import (
    HYDRA_SETTINGS,
    KRATOS_SETTINGS,
    PROVIDER_SETTINGS,
    SETTINGS,
    is_origin,
    is_secure,
    problems,
)
from .validation import Problem, Setting, in_the_clear, named, not_a_dict, problems_in

__all__ = [
    "HYDRA_SETTINGS",
    "KRATOS_SETTINGS",
    "PROVIDER_SETTINGS",
    "SETTINGS",
    "URLS_LINE",
    "URLS_MISSING",
    "Config",
    "KratosConfig",
    "Problem",
    "ProviderConfig",
    "Setting",
    "get",
    "in_the_clear",
    "is_origin",
    "is_secure",
    "named",
    "not_a_dict",
    "problems",
    "problems_in",
]
