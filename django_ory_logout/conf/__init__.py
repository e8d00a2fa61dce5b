"""The one reader of ``settings.ORY_LOGOUT``: read lazily, checked whole, handed out as frozen values.

What is wrong is a :class:`Problem`, which the system checks report and :func:`get` raises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.urls import NoReverseMatch, reverse
from joserfc.jwk import JWKRegistry

from ..cache import SharedCache
from ..exceptions import InvalidMessage
from ..oidc.metadata import Registration
from ..oidc.provider import Provider
from ..ory.hydra import HydraAdmin
from ..ory.kratos import KratosAdmin, KratosPublic
from .rules import (
    HYDRA_SETTINGS,
    KRATOS_SETTINGS,
    PROVIDER_SETTINGS,
    RESERVED_PARAMETERS,
    SETTINGS,
    is_kratos_alone,
    is_origin,
    is_secure,
    kratos_issuer,
    problems,
)
from .setting import Problem, Setting, in_the_clear, named, not_a_dict, problems_in

__all__ = [
    "HYDRA_SETTINGS",
    "KRATOS_SETTINGS",
    "PROVIDER_SETTINGS",
    "RESERVED_PARAMETERS",
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


#: What is wrong where a site has none of our URLs, and the line to write.
URLS_LINE = 'path("auth/", include("django_ory_logout.urls"))'
URLS_MISSING = f"ROOT_URLCONF does not include the URLs of django_ory_logout. Write in its urlpatterns: {URLS_LINE}"


@dataclass(frozen=True)
class KratosConfig:
    """``KRATOS`` of one entry of ``PROVIDERS``. ``whoami_seconds``: how long an answer of ``whoami`` holds."""

    alias: str
    #: What names this Kratos in our index: its public URL, with a slash at the end if a provider has that name.
    issuer: str
    public: KratosPublic
    admin: KratosAdmin | None
    cookie_name: str
    whoami_seconds: float
    create_users: bool
    associate_by_email: bool

    @property
    def public_url(self) -> str:
        """Where browsers reach it, without a slash at the end."""
        return self.issuer.rstrip("/")

    @property
    def cache(self) -> SharedCache:
        return get().cache


@dataclass(frozen=True)
class ProviderConfig:
    """One entry of ``PROVIDERS``."""

    alias: str
    registration: Registration
    scope: str
    response_mode: str
    shared_redirect_uri: bool
    authorization_parameters: Mapping[str, str]
    acr_values_required: Sequence[str]
    post_logout_redirect_uri: str
    end_session_request_method: str
    frontchannel_logout_session_required: bool
    logout_token_exp_required: bool
    userinfo: bool
    create_users: bool
    associate_by_email: bool
    keep_tokens: bool
    revoke_tokens_at_logout: bool
    hydra: HydraAdmin | None
    kratos: KratosConfig | None

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends the browser back to."""
        return self.own_redirect_uri if self.callback_alias else get().absolute("callback")

    @property
    def own_redirect_uri(self) -> str:
        return get().absolute("provider_callback", self.alias)

    @property
    def callback_alias(self) -> str:
        """With what the redirect URI ends: with several providers, each has its own (RFC 9700, 4.4.2)."""
        return "" if self.is_alone or self.shared_redirect_uri else self.alias

    @property
    def iss_required(self) -> bool:
        """Whether only ``iss`` (RFC 9207) tells the provider's answers from those of another provider."""
        return self.shared_redirect_uri and not self.is_alone

    @property
    def is_alone(self) -> bool:
        return len(get().providers) == 1

    @property
    def provider(self) -> Provider:
        return Provider(self.registration, self.cache)

    @property
    def cache(self) -> SharedCache:
        return get().cache


@dataclass(frozen=True)
class Config:
    """``ORY_LOGOUT``, read."""

    site_url: str
    cache_alias: str
    session_recheck_seconds: float
    next_allowed_hosts: frozenset[str]
    #: The OpenID providers; entries with a Kratos alone are none.
    providers: Mapping[str, ProviderConfig]
    #: Every Kratos, the one that people sign in at first.
    kratos: Sequence[KratosConfig]

    @property
    def cache(self) -> SharedCache:
        return SharedCache(caches[self.cache_alias])

    def absolute(self, name: str, *args: str) -> str:
        """The absolute URL of this app's view ``name``. Nothing in a request chooses our own host.

        Raises ``ImproperlyConfigured`` where the site does not include our URLs.
        """
        try:
            return self.site_url + reverse(f"ory_logout:{name}", args=args)
        except NoReverseMatch as error:
            raise ImproperlyConfigured(URLS_MISSING) from error

    def of_alias(self, alias: str) -> ProviderConfig:
        """The provider that the settings call ``alias``. Raises :exc:`InvalidMessage` (``provider_unknown``)."""
        try:
            return self.providers[alias]
        except KeyError as error:
            raise InvalidMessage("provider_unknown", f"no provider {alias[:40]!r} in the settings") from error

    def of_client(self, issuer: str, client_id: str) -> ProviderConfig | None:
        """The provider at which ``client_id`` is registered."""
        return next((one for one in self.of_issuer(issuer) if one.registration.client_id == client_id), None)

    def kratos_of(self, issuer: str) -> KratosConfig | None:
        """The Kratos at that public URL."""
        return next((one for one in self.kratos if one.issuer == issuer), None)

    def of_issuer(self, issuer: object) -> list[ProviderConfig]:
        """The providers of ``issuer``: one, or several registrations at the same."""
        return [one for one in self.providers.values() if one.registration.issuer == issuer]


@cache
def get() -> Config:
    """``ORY_LOGOUT``, read and checked. Raises ``ImproperlyConfigured`` with the first problem."""
    found = problems()
    if found:
        raise ImproperlyConfigured(f"{found[0].message} {found[0].hint}")
    given = {name: settings.ORY_LOGOUT.get(name, setting.default) for name, setting in SETTINGS.items()}
    return Config(
        site_url=given["SITE_URL"].rstrip("/"),
        cache_alias=given["CACHE_ALIAS"],
        session_recheck_seconds=given["SESSION_RECHECK_SECONDS"],
        next_allowed_hosts=frozenset({urlsplit(given["SITE_URL"]).netloc, *given["NEXT_ALLOWED_HOSTS"]}),
        providers={
            alias: _provider(alias, entry) for alias, entry in given["PROVIDERS"].items() if not is_kratos_alone(entry)
        },
        kratos=[_kratos(alias, entry) for alias, entry in given["PROVIDERS"].items() if "KRATOS" in entry],
    )


def _provider(alias: str, entry: Mapping[str, Any]) -> ProviderConfig:
    given = {name.lower(): entry.get(name, setting.default) for name, setting in PROVIDER_SETTINGS.items()}
    key, hydra, kratos = given.pop("decryption_key"), given.pop("hydra"), given.pop("kratos")
    registered = {name: given.pop(name) for name in Registration.__dataclass_fields__ if name in given}
    registration = Registration(**registered, decryption_key=JWKRegistry.import_key(key) if key else None)
    admin = HydraAdmin(hydra["ADMIN_URL"], hydra.get("ADMIN_TOKEN")) if hydra else None
    return ProviderConfig(
        alias=alias,
        registration=registration,
        hydra=admin,
        kratos=_kratos(alias, entry) if kratos else None,
        **given,
    )


def _kratos(alias: str, entry: Mapping[str, Any]) -> KratosConfig:
    given = {name: entry["KRATOS"].get(name, setting.default) for name, setting in KRATOS_SETTINGS.items()}
    return KratosConfig(
        alias=alias,
        issuer=kratos_issuer(given["PUBLIC_URL"], settings.ORY_LOGOUT["PROVIDERS"]),
        public=KratosPublic(given["INTERNAL_URL"] or given["PUBLIC_URL"]),
        admin=KratosAdmin(given["ADMIN_URL"], given["ADMIN_TOKEN"]) if given["ADMIN_URL"] else None,
        cookie_name=given["COOKIE_NAME"],
        whoami_seconds=given["WHOAMI_SECONDS"],
        create_users=entry.get("CREATE_USERS", PROVIDER_SETTINGS["CREATE_USERS"].default),
        associate_by_email=entry.get("ASSOCIATE_BY_EMAIL", PROVIDER_SETTINGS["ASSOCIATE_BY_EMAIL"].default),
    )


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"ORY_LOGOUT", "CACHES"}:
        get.cache_clear()


setting_changed.connect(_forget)
