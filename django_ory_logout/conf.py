"""The one reader of ``settings.ORY_LOGOUT``: read lazily, checked whole, handed out as frozen values.

Each setting is one line below. What is wrong is a :class:`Problem`, which the system checks report and
:func:`get` raises.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.urls import reverse
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from .exceptions import InvalidMessage
from .oidc.cache import SharedCache
from .oidc.metadata import Registration, is_web_url, origin
from .oidc.provider import Provider
from .ory.hydra import HydraAdmin

RESERVED_PARAMETERS = frozenset(
    {
        "uri",  # the name that Authlib has for the endpoint itself
        "response_type",
        "response_mode",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    }
)


@dataclass(frozen=True)
class ProviderConfig:
    """One entry of ``PROVIDERS``."""

    alias: str
    registration: Registration
    scope: str
    response_mode: str
    authorization_parameters: Mapping[str, str]
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

    @property
    def provider(self) -> Provider:
        return Provider(self.registration, self.cache)

    @property
    def cache(self) -> SharedCache:
        return SharedCache(caches[get().cache_alias])


@dataclass(frozen=True)
class Config:
    """``ORY_LOGOUT``, read."""

    site_url: str
    cache_alias: str
    session_recheck_seconds: float
    next_allowed_hosts: frozenset[str]
    providers: Mapping[str, ProviderConfig]

    def absolute(self, name: str) -> str:
        """The absolute URL of this app's view ``name``. Nothing in a request chooses our own host."""
        return self.site_url + reverse(f"ory_logout:{name}")

    def of_alias(self, alias: str) -> ProviderConfig:
        """The provider that the settings call ``alias``. Raises :exc:`InvalidMessage` (``provider_unknown``)."""
        try:
            return self.providers[alias]
        except KeyError as error:
            raise InvalidMessage("provider_unknown", f"no provider {alias[:40]!r} in the settings") from error

    def of_client(self, issuer: str, client_id: str) -> ProviderConfig | None:
        """The provider at which ``client_id`` is registered."""
        return next((one for one in self.of_issuer(issuer) if one.registration.client_id == client_id), None)

    def of_issuer(self, issuer: object) -> list[ProviderConfig]:
        """The providers of ``issuer``: one, or several registrations at the same."""
        return [one for one in self.providers.values() if one.registration.issuer == issuer]


@dataclass(frozen=True)
class Problem:
    """Something wrong in the settings. ``code`` is the number of its system check."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Setting:
    """One key: the number of its check, its type, its default (``...``: required), and what it must hold, in words."""

    code: str
    type: type | tuple[type, ...]
    default: Any
    words: str
    holds: Callable[[Any], bool] = lambda _value: True


def is_origin(value: str) -> bool:
    """Whether ``value`` is scheme and host (and port) of a web site, without a path."""
    return is_web_url(value) and "@" not in value and value.rstrip("/") == origin(value)


def is_secure(url: str) -> bool:
    """Whether ``url`` is https, or stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_signing_algorithm(value: str) -> bool:
    return value != "none" and value in JWSRegistry.algorithms


def _is_key(value: dict[str, Any]) -> bool:
    try:
        return not value or JWKRegistry.import_key(value).is_private
    except (JoseError, ValueError, TypeError, LookupError):
        return False


def _are_parameters(value: dict[Any, Any]) -> bool:
    are_texts = all(isinstance(text, str) for pair in value.items() for text in pair)
    return are_texts and RESERVED_PARAMETERS.isdisjoint(value)


def _is_admin_url(value: str) -> bool:
    parts = urlsplit(value) if is_web_url(value) else None
    return bool(parts and not parts.path.rstrip("/").endswith("/admin") and not set("?#@") & set(value))


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _choice(code: str, *values: str) -> Setting:
    return Setting(code, str, values[0], "one of " + ", ".join(values), lambda value: value in values)


def _switch(code: str, default: bool) -> Setting:
    return Setting(code, bool, default, "True or False")


SETTINGS = {
    "SITE_URL": Setting("E010", str, ..., 'scheme and host of this site, as "https://www.example.org"', is_origin),
    "PROVIDERS": Setting("E011", dict, ..., "a dict of at least one provider", bool),
    "SESSION_RECHECK_SECONDS": Setting("E012", (int, float), 10, "0 or more seconds", lambda value: value >= 0),
    "NEXT_ALLOWED_HOSTS": Setting(
        "E014", (list, tuple, set), (), "host names", lambda value: all(isinstance(host, str) for host in value)
    ),
    "CACHE_ALIAS": Setting("E013", str, "default", "a key of CACHES", lambda value: value in settings.CACHES),
}

PROVIDER_SETTINGS = {
    "ISSUER": Setting("E020", str, ..., "the provider's issuer, byte for byte", is_web_url),
    "CLIENT_ID": Setting("E021", str, ..., "the client id that the provider gave this site", bool),
    "CLIENT_SECRET": Setting("E022", str, "", "the client secret that the provider gave this site"),
    "TOKEN_ENDPOINT_AUTH_METHOD": _choice("E023", "client_secret_basic", "client_secret_post", "none"),
    "ID_TOKEN_SIGNED_RESPONSE_ALG": Setting(
        "E024", str, "RS256", "the JWS algorithm registered for this client, never none", _is_signing_algorithm
    ),
    "ID_TOKEN_ENCRYPTED_RESPONSE_ALG": Setting(
        "E025",
        str,
        "",
        "a JWE key management algorithm",
        lambda value: not value or value in JWERegistry.algorithms["alg"],
    ),
    "ID_TOKEN_ENCRYPTED_RESPONSE_ENC": Setting(
        "E026",
        str,
        "A128CBC-HS256",
        "a JWE content encryption algorithm",
        lambda value: value in JWERegistry.algorithms["enc"],
    ),
    "DECRYPTION_KEY": Setting("E027", dict, {}, "a private key as JSON Web Key", _is_key),
    "SCOPE": Setting("E028", str, "openid", "scopes with openid among them", lambda value: "openid" in value.split()),
    "RESPONSE_MODE": _choice("E029", "query", "form_post"),
    "AUTHORIZATION_PARAMETERS": Setting(
        "E030", dict, {}, "further parameters, names and values text, none that is sent anyway", _are_parameters
    ),
    "POST_LOGOUT_REDIRECT_URI": Setting(
        "E031", str, "", "an absolute URL", lambda value: not value or is_web_url(value)
    ),
    "END_SESSION_REQUEST_METHOD": _choice("E032", "GET", "POST"),
    "FRONTCHANNEL_LOGOUT_SESSION_REQUIRED": _switch("E033", True),
    "LOGOUT_TOKEN_EXP_REQUIRED": _switch("E034", False),
    "USERINFO": _switch("E035", False),
    "CREATE_USERS": _switch("E036", True),
    "ASSOCIATE_BY_EMAIL": _switch("E037", False),
    "KEEP_TOKENS": _switch("E038", False),
    "REVOKE_TOKENS_AT_LOGOUT": _switch("E042", False),
    "HYDRA": Setting("E039", dict, None, "a dict with ADMIN_URL, where the provider is Ory Hydra"),
}

HYDRA_SETTINGS = {
    "ADMIN_URL": Setting(
        "E040", str, ..., 'where Hydra\'s admin API is, without /admin, as "http://hydra:4445"', _is_admin_url
    ),
    "ADMIN_TOKEN": Setting("E041", str, "", "an API key, as Ory Network gives one", _is_header),
}


def problems() -> list[Problem]:
    """All that is wrong in ``ORY_LOGOUT``."""
    given = getattr(settings, "ORY_LOGOUT", None)
    if not isinstance(given, dict):
        return [Problem("E001", "ORY_LOGOUT is missing or not a dict.", "It needs SITE_URL and PROVIDERS.")]
    found = list(_problems(given, SETTINGS, "ORY_LOGOUT"))
    providers = given.get("PROVIDERS")
    for alias, entry in (providers if isinstance(providers, dict) else {}).items():
        found += _provider_problems(alias, entry)
    return found or list(_repeated(providers or {}))


def _problems(given: Mapping[str, Any], known: Mapping[str, Setting], where: str) -> Iterator[Problem]:
    for name in given.keys() - known.keys():
        near = get_close_matches(str(name), known, 1)
        yield Problem("E002", f"{where} has no setting {name!r}.", f"Did you mean {near[0]!r}?" if near else "")
    for name, setting in known.items():
        if name not in given and setting.default is ...:
            yield Problem(setting.code, f"{where} lacks {name!r}.", f"It should be {setting.words}.")
        if name in given and not _fits(given[name], setting):
            yield Problem(setting.code, f"{where}[{name!r}] cannot be used.", f"It should be {setting.words}.")


def _fits(value: Any, setting: Setting) -> bool:
    # True and False are numbers to Python, and to nobody who writes settings.
    mistaken = isinstance(value, bool) and setting.type is not bool
    return isinstance(value, setting.type) and not mistaken and setting.holds(value)


def _provider_problems(alias: Any, entry: Any) -> Iterator[Problem]:
    where = f"ORY_LOGOUT['PROVIDERS'][{alias!r}]"
    if not isinstance(entry, dict):
        yield Problem("E007", f"{where} is not a dict.", "It needs ISSUER and CLIENT_ID.")
        return
    found = list(_problems(entry, PROVIDER_SETTINGS, where))
    if isinstance(entry.get("HYDRA"), dict):
        found += _hydra_problems(entry["HYDRA"], f"{where}['HYDRA']")
    yield from found
    if found:
        return
    if not is_secure(entry["ISSUER"]):
        yield Problem("E003", f"{where}: the issuer is not https.", "Tokens and codes would travel in the clear.")
    if not entry.get("CLIENT_SECRET") and _needs_secret(entry):
        yield Problem(
            "E004",
            f"{where} needs CLIENT_SECRET.",
            "Only TOKEN_ENDPOINT_AUTH_METHOD 'none' without HS256 does without.",
        )
    if entry.get("ID_TOKEN_ENCRYPTED_RESPONSE_ALG") and not entry.get("DECRYPTION_KEY"):
        yield Problem("E005", f"{where} registers encrypted ID tokens and has no DECRYPTION_KEY.")
    if entry.get("REVOKE_TOKENS_AT_LOGOUT") and not entry.get("KEEP_TOKENS"):
        yield Problem("E009", f"{where}: REVOKE_TOKENS_AT_LOGOUT needs KEEP_TOKENS.", "Switch both on, or none.")


def _hydra_problems(entry: Mapping[str, Any], where: str) -> list[Problem]:
    found = list(_problems(entry, HYDRA_SETTINGS, where))
    if not found and entry.get("ADMIN_TOKEN") and not is_secure(entry["ADMIN_URL"]):
        found.append(Problem("E008", f"{where}: the admin URL is not https.", "ADMIN_TOKEN would travel in the clear."))
    return found


def _needs_secret(entry: Mapping[str, Any]) -> bool:
    symmetric = entry.get("ID_TOKEN_SIGNED_RESPONSE_ALG", "RS256").startswith("HS")
    return symmetric or entry.get("TOKEN_ENDPOINT_AUTH_METHOD") != "none"


def _repeated(providers: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    clients = [(entry["ISSUER"], entry["CLIENT_ID"]) for entry in providers.values()]
    if len(set(clients)) < len(clients):
        yield Problem(
            "E006", "Two PROVIDERS have the same ISSUER and CLIENT_ID.", "A notice could not tell them apart."
        )


@cache
def get() -> Config:
    """``ORY_LOGOUT``, read and checked. Raises ``ImproperlyConfigured`` with the first problem."""
    found = problems()
    if found:
        raise ImproperlyConfigured(f"{found[0].message} {found[0].hint}".strip())
    given = {name: settings.ORY_LOGOUT.get(name, setting.default) for name, setting in SETTINGS.items()}
    return Config(
        site_url=given["SITE_URL"].rstrip("/"),
        cache_alias=given["CACHE_ALIAS"],
        session_recheck_seconds=given["SESSION_RECHECK_SECONDS"],
        next_allowed_hosts=frozenset({urlsplit(given["SITE_URL"]).netloc, *given["NEXT_ALLOWED_HOSTS"]}),
        providers={alias: _provider(alias, entry) for alias, entry in given["PROVIDERS"].items()},
    )


def _provider(alias: str, entry: Mapping[str, Any]) -> ProviderConfig:
    given = {name.lower(): entry.get(name, setting.default) for name, setting in PROVIDER_SETTINGS.items()}
    key, hydra = given.pop("decryption_key"), given.pop("hydra")
    registered = {name: given.pop(name) for name in Registration.__dataclass_fields__ if name in given}
    registration = Registration(**registered, decryption_key=JWKRegistry.import_key(key) if key else None)
    admin = HydraAdmin(hydra["ADMIN_URL"], hydra.get("ADMIN_TOKEN")) if hydra else None
    return ProviderConfig(alias=alias, registration=registration, hydra=admin, **given)


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting in {"ORY_LOGOUT", "CACHES"}:
        get.cache_clear()


setting_changed.connect(_forget)
