"""Read ``settings.ORY_LOGOUT`` into frozen dataclasses, at the first use."""

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
from .settings import KRATOS_SETTINGS, PROVIDER_SETTINGS, SETTINGS, is_kratos_alone, kratos_issuer, problems

#: The line to write if a site has none of our URLs, and the message that says so.
URLS_LINE = 'path("auth/", include("django_ory_logout.urls"))'
URLS_MISSING = f"ROOT_URLCONF does not include the URLs of django_ory_logout. Write in its urlpatterns: {URLS_LINE}"


@dataclass(frozen=True)
class KratosConfig:
    """``KRATOS`` of one entry of ``PROVIDERS``. ``whoami_seconds``: how long a ``whoami`` response is cached."""

    alias: str
    #: Its issuer in our session index: the public URL; with a slash at the end if that URL is a provider's issuer.
    issuer: str
    public: KratosPublic
    admin: KratosAdmin | None
    cookie_name: str
    whoami_seconds: float
    create_users: bool
    associate_by_email: bool

    @property
    def public_url(self) -> str:
        """The URL for browsers, without a slash at the end."""
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
        """The redirect URI that this site registers and sends."""
        return self.own_redirect_uri if self.callback_alias else get().absolute("callback")

    @property
    def own_redirect_uri(self) -> str:
        return get().absolute("provider_callback", self.alias)

    @property
    def callback_alias(self) -> str:
        """The end of the redirect URI. With several providers, each has its own redirect URI (RFC 9700, 4.4.2)."""
        return "" if self.is_alone or self.shared_redirect_uri else self.alias

    @property
    def iss_required(self) -> bool:
        """Whether only ``iss`` (RFC 9207) says which provider sent an authorization response."""
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
    """The values of ``ORY_LOGOUT``."""

    site_url: str
    cache_alias: str
    session_recheck_seconds: float
    next_allowed_hosts: frozenset[str]
    #: The OpenID providers by alias; not the entries that have only a Kratos.
    providers: Mapping[str, ProviderConfig]
    #: All ``KRATOS`` of the settings, in their order. The login page uses the first.
    kratos: Sequence[KratosConfig]

    @property
    def cache(self) -> SharedCache:
        return SharedCache(caches[self.cache_alias])

    @property
    def is_https(self) -> bool:
        """Whether browsers open this site by https."""
        return self.site_url.startswith("https:")

    def absolute(self, name: str, *args: str) -> str:
        """The absolute URL of this app's view ``name``, at ``SITE_URL``: never at a host that a request names.

        Raises ``ImproperlyConfigured`` if the site does not include our URLs.
        """
        try:
            return self.site_url + reverse(f"ory_logout:{name}", args=args)
        except NoReverseMatch as error:
            raise ImproperlyConfigured(URLS_MISSING) from error

    def of_alias(self, alias: str) -> ProviderConfig:
        """The provider with that ``alias``. Raises :exc:`InvalidMessage` (``provider_unknown``)."""
        try:
            return self.providers[alias]
        except KeyError as error:
            raise InvalidMessage("provider_unknown", f"no provider {alias[:40]!r} in the settings") from error

    def of_client(self, issuer: str, client_id: str) -> ProviderConfig | None:
        """The provider at which ``client_id`` is registered."""
        providers = self.of_issuer(issuer)
        return next((provider for provider in providers if provider.registration.client_id == client_id), None)

    def kratos_of(self, issuer: str) -> KratosConfig | None:
        """The Kratos with that :attr:`KratosConfig.issuer`."""
        return next((kratos for kratos in self.kratos if kratos.issuer == issuer), None)

    def of_issuer(self, issuer: object) -> list[ProviderConfig]:
        """The registrations at ``issuer``: none, one or several."""
        return [provider for provider in self.providers.values() if provider.registration.issuer == issuer]


@cache
def get() -> Config:
    """The checked values of ``ORY_LOGOUT``. Raises ``ImproperlyConfigured`` with the first problem."""
    all_problems = problems()
    if all_problems:
        raise ImproperlyConfigured(f"{all_problems[0].message} {all_problems[0].hint}")
    values = {name: settings.ORY_LOGOUT.get(name, setting.default) for name, setting in SETTINGS.items()}
    entries = values["PROVIDERS"].items()
    return Config(
        site_url=values["SITE_URL"].rstrip("/"),
        cache_alias=values["CACHE_ALIAS"],
        session_recheck_seconds=values["SESSION_RECHECK_SECONDS"],
        next_allowed_hosts=frozenset({urlsplit(values["SITE_URL"]).netloc, *values["NEXT_ALLOWED_HOSTS"]}),
        providers={alias: _provider(alias, entry) for alias, entry in entries if not is_kratos_alone(entry)},
        kratos=[_kratos(alias, entry) for alias, entry in entries if "KRATOS" in entry],
    )


def _provider(alias: str, entry: Mapping[str, Any]) -> ProviderConfig:
    values = {name.lower(): entry.get(name, setting.default) for name, setting in PROVIDER_SETTINGS.items()}
    key, hydra, kratos = values.pop("decryption_key"), values.pop("hydra"), values.pop("kratos")
    metadata = {name: values.pop(name) for name in Registration.__dataclass_fields__ if name in values}
    registration = Registration(**metadata, decryption_key=JWKRegistry.import_key(key) if key else None)
    admin = HydraAdmin(hydra["ADMIN_URL"], hydra.get("ADMIN_TOKEN")) if hydra else None
    return ProviderConfig(
        alias=alias,
        registration=registration,
        hydra=admin,
        kratos=_kratos(alias, entry) if kratos else None,
        **values,
    )


def _kratos(alias: str, entry: Mapping[str, Any]) -> KratosConfig:
    values = {name: entry["KRATOS"].get(name, setting.default) for name, setting in KRATOS_SETTINGS.items()}
    return KratosConfig(
        alias=alias,
        issuer=kratos_issuer(values["PUBLIC_URL"], settings.ORY_LOGOUT["PROVIDERS"]),
        public=KratosPublic(values["INTERNAL_URL"] or values["PUBLIC_URL"]),
        admin=KratosAdmin(values["ADMIN_URL"], values["ADMIN_TOKEN"]) if values["ADMIN_URL"] else None,
        cookie_name=values["COOKIE_NAME"],
        whoami_seconds=values["WHOAMI_SECONDS"],
        create_users=entry.get("CREATE_USERS", PROVIDER_SETTINGS["CREATE_USERS"].default),
        associate_by_email=entry.get("ASSOCIATE_BY_EMAIL", PROVIDER_SETTINGS["ASSOCIATE_BY_EMAIL"].default),
    )


def _clear_cache(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"ORY_LOGOUT", "CACHES"}:
        get.cache_clear()


setting_changed.connect(_clear_cache)
