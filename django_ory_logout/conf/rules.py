"""What ``settings.ORY_LOGOUT`` may hold, and what is wrong in it. Each setting is one line below."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from ..oidc.metadata import is_web_url, origin

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


#: What stands in a URL as it is (RFC 3986, 2.3), and is no dot segment.
_ALIAS = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")
#: A token (RFC 6265, 4.1.1).
_COOKIE_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


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
    if not are_texts or not RESERVED_PARAMETERS.isdisjoint(value):
        return False
    return re.fullmatch("[0-9]{1,9}", value.get("max_age", "0")) is not None


def _are_words(value: Sequence[Any]) -> bool:
    return all(isinstance(word, str) and len(word.split()) == 1 for word in value)


def _is_base_url(value: str) -> bool:
    return is_web_url(value) and not set("?#@") & set(value)


def _is_admin_url(value: str) -> bool:
    return _is_base_url(value) and not urlsplit(value).path.rstrip("/").endswith("/admin")


def _is_cookie_name(value: str) -> bool:
    return _COOKIE_NAME.fullmatch(value) is not None


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _choice(code: str, *values: str) -> Setting:
    return Setting(code, str, values[0], "one of " + ", ".join(values), lambda value: value in values)


def _switch(code: str, default: bool) -> Setting:
    return Setting(code, bool, default, "True or False")


SETTINGS = {
    "SITE_URL": Setting(
        "E010", str, ..., 'scheme and host of this site, without a path, as "https://www.example.org"', is_origin
    ),
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
    "SHARED_REDIRECT_URI": _switch("E075", False),
    "AUTHORIZATION_PARAMETERS": Setting(
        "E030",
        dict,
        {},
        "further parameters, names and values text, none that is sent anyway, max_age a number of seconds",
        _are_parameters,
    ),
    "ACR_VALUES_REQUIRED": Setting("E081", (list, tuple), (), "acr values, each a word", _are_words),
    "POST_LOGOUT_REDIRECT_URI": Setting(
        "E031", str, "", "an absolute URL", lambda value: not value or is_web_url(value)
    ),
    "END_SESSION_REQUEST_METHOD": _choice("E032", "GET", "POST"),
    "FRONTCHANNEL_LOGOUT_SESSION_REQUIRED": _switch("E033", True),
    "LOGOUT_TOKEN_EXP_REQUIRED": _switch("E034", False),
    "USERINFO": _switch("E035", False),
    "USERINFO_SIGNED_RESPONSE_ALG": Setting(
        "E080",
        str,
        "",
        "the JWS algorithm registered for userinfo of this client, never none; empty for JSON",
        lambda value: not value or _is_signing_algorithm(value),
    ),
    "CREATE_USERS": _switch("E036", True),
    "ASSOCIATE_BY_EMAIL": _switch("E037", False),
    "KEEP_TOKENS": _switch("E038", False),
    "REVOKE_TOKENS_AT_LOGOUT": _switch("E042", False),
    "HYDRA": Setting("E039", dict, None, "a dict with ADMIN_URL, where the provider is Ory Hydra"),
    "KRATOS": Setting("E043", dict, None, "a dict with PUBLIC_URL, where people sign in at Ory Kratos"),
}
SECRETS = frozenset({"ADMIN_TOKEN", "CLIENT_SECRET", "DECRYPTION_KEY"})
#: What an entry without ISSUER and CLIENT_ID may have: people sign in by Kratos alone.
KRATOS_ALONE = frozenset({"KRATOS", "CREATE_USERS", "ASSOCIATE_BY_EMAIL"})

HYDRA_SETTINGS = {
    "ADMIN_URL": Setting(
        "E040", str, ..., 'where Hydra\'s admin API is, without /admin, as "http://hydra:4445"', _is_admin_url
    ),
    "ADMIN_TOKEN": Setting("E041", str, "", "an API key, as Ory Network gives one", _is_header),
}

KRATOS_SETTINGS = {
    "PUBLIC_URL": Setting(
        "E044", str, ..., 'where browsers reach Kratos\' public API, as "https://login.example.org"', _is_base_url
    ),
    "INTERNAL_URL": Setting(
        "E045",
        str,
        "",
        "where this server reaches the public API, if elsewhere",
        lambda value: not value or _is_base_url(value),
    ),
    "ADMIN_URL": Setting(
        "E046",
        str,
        "",
        'where Kratos\' admin API is, without /admin, as "http://kratos:4434"',
        lambda value: not value or _is_admin_url(value),
    ),
    "ADMIN_TOKEN": Setting("E047", str, "", "an API key, as Ory Network gives one", _is_header),
    "COOKIE_NAME": Setting("E048", str, "ory_kratos_session", "the name of Kratos' session cookie", _is_cookie_name),
    "WHOAMI_SECONDS": Setting("E049", (int, float), 10, "0 or more seconds", lambda value: value >= 0),
}


def problems() -> list[Problem]:
    """All that is wrong in ``ORY_LOGOUT``."""
    given = getattr(settings, "ORY_LOGOUT", None)
    if not isinstance(given, dict):
        return [Problem("E001", "ORY_LOGOUT is missing or not a dict.", "It needs SITE_URL and PROVIDERS.")]
    found = list(problems_in(given, SETTINGS, "ORY_LOGOUT"))
    providers = given.get("PROVIDERS")
    if isinstance(providers, dict) and not PROVIDER_SETTINGS.keys().isdisjoint(providers):
        return [*found, _without_alias(providers)]
    for alias, entry in (providers if isinstance(providers, dict) else {}).items():
        found += _provider_problems(alias, entry)
    return found or [*_repeated(providers or {}), *_aliases_without_redirect_uri(providers or {})]


def _without_alias(providers: Mapping[Any, Any]) -> Problem:
    names = ", ".join(repr(name) for name in providers if name in PROVIDER_SETTINGS)
    return Problem(
        "E085",
        f"ORY_LOGOUT['PROVIDERS'] has {names}, and no alias of the provider that they belong to.",
        'Put them into a dict of their own: "PROVIDERS": {"default": {"ISSUER": …, "CLIENT_ID": …}}.',
    )


def problems_in(given: Mapping[str, Any], known: Mapping[str, Setting], where: str) -> Iterator[Problem]:
    """What is wrong in ``given``, of which ``known`` says what it may hold."""
    for name in given.keys() - known.keys():
        near = get_close_matches(str(name), known, 1)
        yield Problem("E002", f"{where} has no setting {name!r}.", f"Did you mean {near[0]!r}?" if near else "")
    for name, setting in known.items():
        if name not in given and setting.default is ...:
            yield Problem(setting.code, f"{where} lacks {name!r}.", f"It should be {setting.words}.")
        if name in given and not _fits(given[name], setting):
            yield Problem(
                setting.code,
                f"{where}[{name!r}] cannot be used{_seen(name, given[name])}.",
                f"It should be {setting.words}.",
            )


def _seen(name: str, value: Any) -> str:
    """``value`` for a message, if it is short and plain; never a secret, or a URL with a password."""
    is_plain = isinstance(value, str | int | float | None) and "@" not in str(value)
    return f": it is {value!r}" if is_plain and name not in SECRETS and len(str(value)) <= 100 else ""


def _fits(value: Any, setting: Setting) -> bool:
    # True and False are numbers to Python, and to nobody who writes settings.
    mistaken = isinstance(value, bool) and setting.type is not bool
    return isinstance(value, setting.type) and not mistaken and setting.holds(value)


def _provider_problems(alias: Any, entry: Any) -> Iterator[Problem]:
    where = f"ORY_LOGOUT['PROVIDERS'][{alias!r}]"
    if not isinstance(entry, dict):
        yield Problem("E007", f"{where} is not a dict.", "It needs ISSUER and CLIENT_ID.")
        return
    alone = is_kratos_alone(entry)
    names = KRATOS_ALONE if alone else PROVIDER_SETTINGS.keys()
    found = list(problems_in(entry, {name: PROVIDER_SETTINGS[name] for name in names}, where))
    for name, known in (("HYDRA", HYDRA_SETTINGS), ("KRATOS", KRATOS_SETTINGS)):
        if isinstance(entry.get(name), dict):
            found += _api_problems(entry[name], known, f"{where}[{name!r}]")
    yield from found
    if not found and not alone:
        yield from _registration_problems(entry, where)


def is_kratos_alone(entry: Mapping[str, Any]) -> bool:
    """Whether ``entry`` names no OpenID provider, but a Kratos."""
    return "KRATOS" in entry and "ISSUER" not in entry and "CLIENT_ID" not in entry


def kratos_issuer(public_url: str, providers: Mapping[str, Mapping[str, Any]]) -> str:
    """What names a Kratos in the index. On Ory Network, Hydra and Kratos have one URL, and must not be one issuer."""
    url = public_url.rstrip("/")
    return f"{url}/" if url in _issuers(providers) else url


def _issuers(providers: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {entry["ISSUER"] for entry in providers.values() if not is_kratos_alone(entry)}


def _registration_problems(entry: Mapping[str, Any], where: str) -> Iterator[Problem]:
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


def _api_problems(entry: Mapping[str, Any], known: Mapping[str, Setting], where: str) -> list[Problem]:
    found = list(problems_in(entry, known, where))
    if not found and entry.get("ADMIN_TOKEN") and not is_secure(entry.get("ADMIN_URL", "")):
        found.append(Problem("E008", f"{where}: the admin URL is not https.", "ADMIN_TOKEN would travel in the clear."))
    if not found and not is_secure(entry.get("PUBLIC_URL", "https:")):
        found.append(Problem("E015", f"{where}: the public URL is not https.", "Cookies would travel in the clear."))
    return found


def _needs_secret(entry: Mapping[str, Any]) -> bool:
    algorithms = (entry.get("ID_TOKEN_SIGNED_RESPONSE_ALG", ""), entry.get("USERINFO_SIGNED_RESPONSE_ALG", ""))
    symmetric = any(alg.startswith("HS") for alg in algorithms)
    return symmetric or entry.get("TOKEN_ENDPOINT_AUTH_METHOD") != "none"


def _repeated(providers: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    clients = [(entry["ISSUER"], entry["CLIENT_ID"]) for entry in providers.values() if not is_kratos_alone(entry)]
    if len(set(clients)) < len(clients):
        yield Problem(
            "E006", "Two PROVIDERS have the same ISSUER and CLIENT_ID.", "A notice could not tell them apart."
        )
    for alias, entry in providers.items():
        if "KRATOS" in entry and kratos_issuer(entry["KRATOS"]["PUBLIC_URL"], providers) in _issuers(providers):
            hint = "Its sessions could not be told from a provider's."
            yield Problem(
                "E016", f"The PUBLIC_URL of {alias!r} is the ISSUER of two providers, with and without a slash.", hint
            )


def _aliases_without_redirect_uri(providers: Mapping[Any, Mapping[str, Any]]) -> Iterator[Problem]:
    """Each of several providers has a redirect URI of its own, which ends with its alias."""
    aliases = [alias for alias, entry in providers.items() if not is_kratos_alone(entry)]
    for alias in aliases if len(aliases) > 1 else []:
        if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
            yield Problem(
                "E076",
                f"ORY_LOGOUT['PROVIDERS'][{alias!r}]: the alias cannot stand in a redirect URI.",
                "With several PROVIDERS, use letters, digits, hyphens and underscores.",
            )
