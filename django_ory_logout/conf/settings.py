"""The rules for ``settings.ORY_LOGOUT``: one line for each setting, and :func:`problems`, which checks them all."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from math import inf
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from ..oidc.metadata import DISCOVERY_PATH, is_web_url, origin
from .validation import Problem, Setting, in_the_clear, named, not_a_dict, problems_in, shown

RESERVED_PARAMETERS = frozenset(
    {
        "uri",  # Authlib passes the endpoint by this name
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


#: A path segment that needs no percent-encoding (RFC 3986, 2.3) and is no dot segment.
_ALIAS = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")
#: Host and port as in a URL. ``next`` is compared with the whole of it: there are no patterns.
_HOST = re.compile(r"[^\s/?#@\\*,.][^\s/?#@\\*,]*")
#: A token (RFC 6265, 4.1.1).
_COOKIE_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def is_origin(value: str) -> bool:
    """Whether ``value`` is the scheme, host and perhaps port of a web site, without a path."""
    return is_web_url(value) and "@" not in value and value.rstrip("/") == origin(value)


def is_secure(url: str) -> bool:
    """Whether ``url`` is https, or its host is this machine."""
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
        return JWKRegistry.import_key(value).is_private
    except (JoseError, ValueError, TypeError, LookupError):
        return False


def _are_parameters(value: dict[Any, Any]) -> bool:
    are_texts = all(isinstance(text, str) for pair in value.items() for text in pair)
    if not are_texts or not RESERVED_PARAMETERS.isdisjoint(value):
        return False
    return re.fullmatch("[0-9]{1,9}", value.get("max_age", "0")) is not None


def _are_words(value: Sequence[Any]) -> bool:
    return all(isinstance(word, str) and len(word.split()) == 1 for word in value)


def _is_issuer(value: str) -> bool:
    return is_web_url(value) and not value.rstrip("/").endswith(DISCOVERY_PATH)


def _is_base_url(value: str) -> bool:
    return is_web_url(value) and not set("?#@") & set(value)


def _is_admin_url(value: str) -> bool:
    return _is_base_url(value) and not urlsplit(value).path.rstrip("/").endswith("/admin")


def _are_seconds(value: float) -> bool:
    return 0 <= value < inf


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _required(code: str, description: str, is_valid: Callable[[str], bool], example: str) -> Setting:
    return Setting(code, str, ..., description, is_valid, example)


def _optional(code: str, description: str, is_valid: Callable[[str], bool], example: str = "") -> Setting:
    return Setting(code, str, "", description, is_valid, example)


def _choice(code: str, *values: str) -> Setting:
    return Setting(code, str, values[0], "one of " + ", ".join(values), lambda value: value in values)


def _token(code: str, variable: str) -> Setting:
    description = "an API key, as from Ory Network, in printable ASCII"
    return _optional(code, description, _is_header, f"os.environ[{variable!r}]")


def _switch(code: str, default: bool) -> Setting:
    return Setting(code, bool, default, "True or False")


_PROVIDER = """{'ISSUER': 'https://login.example.org', 'CLIENT_ID': os.environ['OIDC_CLIENT_ID'], """
_PROVIDER += """'CLIENT_SECRET': os.environ['OIDC_CLIENT_SECRET']}"""
_PROVIDERS = f"{{'default': {_PROVIDER}}}"

SETTINGS = {
    "SITE_URL": _required(
        "E010", "scheme and host of this site, without a path", is_origin, "'https://www.example.org'"
    ),
    "PROVIDERS": Setting("E011", dict, ..., "a dict of at least one provider", bool, example=_PROVIDERS),
    "SESSION_RECHECK_SECONDS": Setting("E012", (int, float), 10, "0 or more seconds", _are_seconds),
    "NEXT_ALLOWED_HOSTS": Setting(
        "E014",
        (list, tuple, set),
        (),
        "host names, without scheme, path or wildcard",
        lambda value: all(isinstance(host, str) and _HOST.fullmatch(host) for host in value),
        example="['shop.example.org']",
    ),
    "CACHE_ALIAS": Setting("E013", str, "default", "a key of CACHES", lambda value: value in settings.CACHES),
}

PROVIDER_SETTINGS = {
    "ISSUER": _required(
        "E020",
        f"the provider's issuer, byte for byte, with https:// and without {DISCOVERY_PATH}",
        _is_issuer,
        "'https://login.example.org'",
    ),
    "CLIENT_ID": _required(
        "E021", "the client id that the provider gave this site", bool, "os.environ['OIDC_CLIENT_ID']"
    ),
    "CLIENT_SECRET": Setting(
        "E022",
        str,
        "",
        "the client secret that the provider gave this site",
        example="os.environ['OIDC_CLIENT_SECRET']",
    ),
    "TOKEN_ENDPOINT_AUTH_METHOD": _choice("E023", "client_secret_basic", "client_secret_post", "none"),
    "ID_TOKEN_SIGNED_RESPONSE_ALG": Setting(
        "E024", str, "RS256", "the JWS algorithm registered for this client, never none", _is_signing_algorithm
    ),
    "ID_TOKEN_ENCRYPTED_RESPONSE_ALG": _optional(
        "E025", "a JWE key management algorithm", lambda value: value in JWERegistry.algorithms["alg"]
    ),
    "ID_TOKEN_ENCRYPTED_RESPONSE_ENC": Setting(
        "E026",
        str,
        "A128CBC-HS256",
        "a JWE content encryption algorithm",
        lambda value: value in JWERegistry.algorithms["enc"],
    ),
    "DECRYPTION_KEY": Setting(
        "E027", dict, {}, "a private key as JSON Web Key", _is_key, example="json.loads(os.environ['OIDC_KEY'])"
    ),
    "SCOPE": Setting(
        "E028",
        str,
        "openid",
        "scopes, openid among them, in one text and separated by spaces",
        lambda value: "openid" in value.split(),
        example="'openid profile email'",
    ),
    "RESPONSE_MODE": _choice("E029", "query", "form_post"),
    "SHARED_REDIRECT_URI": _switch("E075", False),
    "AUTHORIZATION_PARAMETERS": Setting(
        "E030",
        dict,
        {},
        "further parameters: names and values are texts, max_age is a number of seconds, and none is one that this "
        "app sets",
        _are_parameters,
        example="{'max_age': '60'}",
    ),
    "ACR_VALUES_REQUIRED": Setting(
        "E081", (list, tuple), (), "acr values without spaces", _are_words, example="['phr']"
    ),
    "POST_LOGOUT_REDIRECT_URI": _optional("E031", "an absolute URL", is_web_url, "'https://www.example.org/'"),
    "END_SESSION_REQUEST_METHOD": _choice("E032", "GET", "POST"),
    "FRONTCHANNEL_LOGOUT_SESSION_REQUIRED": _switch("E033", True),
    "LOGOUT_TOKEN_EXP_REQUIRED": _switch("E034", False),
    "USERINFO": _switch("E035", False),
    "USERINFO_SIGNED_RESPONSE_ALG": _optional(
        "E080",
        "the JWS algorithm registered for userinfo of this client, never none; empty for JSON",
        _is_signing_algorithm,
    ),
    "CREATE_USERS": _switch("E036", True),
    "ASSOCIATE_BY_EMAIL": _switch("E037", False),
    "KEEP_TOKENS": _switch("E038", False),
    "REVOKE_TOKENS_AT_LOGOUT": _switch("E042", False),
    "HYDRA": Setting(
        "E039",
        dict,
        None,
        "a dict with ADMIN_URL if the provider is Ory Hydra, and otherwise left out",
        example="{'ADMIN_URL': 'http://hydra:4445'}",
    ),
    "KRATOS": Setting(
        "E043",
        dict,
        None,
        "a dict with PUBLIC_URL if users sign in at Ory Kratos, and otherwise left out",
        example="{'PUBLIC_URL': 'https://login.example.org'}",
    ),
}
#: The settings of an entry without ISSUER and CLIENT_ID: users sign in only at Kratos.
KRATOS_ALONE = frozenset({"KRATOS", "CREATE_USERS", "ASSOCIATE_BY_EMAIL"})

HYDRA_SETTINGS = {
    "ADMIN_URL": _required(
        "E040", "the URL of Hydra's admin API, without /admin", _is_admin_url, "'http://hydra:4445'"
    ),
    "ADMIN_TOKEN": _token("E041", "HYDRA_ADMIN_TOKEN"),
}

KRATOS_SETTINGS = {
    "PUBLIC_URL": _required(
        "E044", "the URL of Kratos' public API for browsers", _is_base_url, "'https://login.example.org'"
    ),
    "INTERNAL_URL": _optional(
        "E045", "the URL of Kratos' public API for this server, if it is another", _is_base_url, "'http://kratos:4433'"
    ),
    "ADMIN_URL": _optional(
        "E046", "the URL of Kratos' admin API, without /admin", _is_admin_url, "'http://kratos:4434'"
    ),
    "ADMIN_TOKEN": _token("E047", "KRATOS_ADMIN_TOKEN"),
    "COOKIE_NAME": Setting(
        "E048", str, "ory_kratos_session", "the name of Kratos' session cookie", _COOKIE_NAME.fullmatch
    ),
    "WHOAMI_SECONDS": Setting("E049", (int, float), 10, "0 or more seconds", _are_seconds),
}


def problems() -> list[Problem]:
    """All problems in ``ORY_LOGOUT``."""
    given = getattr(settings, "ORY_LOGOUT", None)
    if not isinstance(given, dict):
        line = f"ORY_LOGOUT = {{'SITE_URL': {SETTINGS['SITE_URL'].example}, 'PROVIDERS': {_PROVIDERS}}}"
        return [not_a_dict("E001", "ORY_LOGOUT", given, line)]
    at_top = [name for name in given if isinstance(name, str) and name.upper() in PROVIDER_SETTINGS]
    if at_top:
        rest = {"PROVIDERS": {"default": {}}, **{name: given[name] for name in given.keys() - at_top}}
        return [*problems_in(rest, SETTINGS, "ORY_LOGOUT"), _without_alias(at_top, "ORY_LOGOUT")]
    result = list(problems_in(given, SETTINGS, "ORY_LOGOUT"))
    providers = given.get("PROVIDERS")
    if not isinstance(providers, dict):
        return result
    misplaced = [name for name, entry in providers.items() if _is_misplaced(name, entry)]
    if misplaced:
        return [*result, _without_alias(misplaced, "ORY_LOGOUT['PROVIDERS']")]
    for alias, entry in providers.items():
        result += _provider_problems(alias, entry)
    return result or [*_repeated(providers), *_aliases_without_redirect_uri(providers)]


def _is_misplaced(name: Any, entry: Any) -> bool:
    """Whether ``name`` is a setting in the place of an alias. An alias may have the name of a setting."""
    if isinstance(entry, dict) and (name not in PROVIDER_SETTINGS or not PROVIDER_SETTINGS.keys().isdisjoint(entry)):
        return False
    return isinstance(name, str) and name.upper() in PROVIDER_SETTINGS


def _without_alias(names: Sequence[str], where: str) -> Problem:
    line = ", ".join(f"{name.upper()!r}: …" for name in names)
    return Problem(
        "E085",
        f"{where} has {', '.join(map(repr, names))} in the place of an alias.",
        f"Put the settings of the provider into a dict. Write: 'PROVIDERS': {{'default': {{{line}}}}}",
    )


def _provider_problems(alias: Any, entry: Any) -> Iterator[Problem]:
    where = f"ORY_LOGOUT['PROVIDERS'][{named(alias)}]"
    if not isinstance(entry, dict):
        yield not_a_dict("E007", where, entry, f"{named(alias)}: {_PROVIDER}")
        return
    alone = is_kratos_alone(entry)
    names = KRATOS_ALONE if alone else PROVIDER_SETTINGS.keys()
    result = list(problems_in(entry, {name: PROVIDER_SETTINGS[name] for name in names}, where))
    for name, known in (("HYDRA", HYDRA_SETTINGS), ("KRATOS", KRATOS_SETTINGS)):
        if isinstance(entry.get(name), dict):
            result += _api_problems(entry[name], known, f"{where}[{name!r}]")
    yield from result
    if not result and not alone:
        yield from _registration_problems(entry, where)


def is_kratos_alone(entry: Mapping[str, Any]) -> bool:
    """Whether ``entry`` has a Kratos and no OpenID provider."""
    return "KRATOS" in entry and "ISSUER" not in entry and "CLIENT_ID" not in entry


def kratos_issuer(public_url: str, providers: Mapping[str, Mapping[str, Any]]) -> str:
    """The issuer of a Kratos in the session index. It must not equal Hydra's: on Ory Network both have one URL."""
    url = public_url.rstrip("/")
    return f"{url}/" if url in _issuers(providers) else url


def _issuers(providers: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {entry["ISSUER"] for entry in providers.values() if not is_kratos_alone(entry)}


def _registration_problems(entry: Mapping[str, Any], where: str) -> Iterator[Problem]:
    if not is_secure(entry["ISSUER"]):
        yield in_the_clear("E003", where, "ISSUER", entry, "Tokens and codes")
    if not entry.get("CLIENT_SECRET") and _needs_secret(entry):
        yield Problem(
            "E004",
            f"{where} needs CLIENT_SECRET.",
            f"Write: 'CLIENT_SECRET': {PROVIDER_SETTINGS['CLIENT_SECRET'].example}. It is optional if the client is "
            "registered with TOKEN_ENDPOINT_AUTH_METHOD 'none' and without HS256.",
        )
    if entry.get("ID_TOKEN_ENCRYPTED_RESPONSE_ALG") and not entry.get("DECRYPTION_KEY"):
        yield Problem(
            "E005",
            f"{where} has ID_TOKEN_ENCRYPTED_RESPONSE_ALG ({entry['ID_TOKEN_ENCRYPTED_RESPONSE_ALG']}), but no "
            "DECRYPTION_KEY.",
            f"Write: 'DECRYPTION_KEY': {PROVIDER_SETTINGS['DECRYPTION_KEY'].example}",
        )
    if entry.get("REVOKE_TOKENS_AT_LOGOUT") and not entry.get("KEEP_TOKENS"):
        hint = "Write: 'KEEP_TOKENS': True, or 'REVOKE_TOKENS_AT_LOGOUT': False"
        yield Problem("E009", f"{where}: REVOKE_TOKENS_AT_LOGOUT is True, and KEEP_TOKENS is False.", hint)


def _api_problems(entry: Mapping[str, Any], known: Mapping[str, Setting], where: str) -> Iterator[Problem]:
    result = list(problems_in(entry, known, where))
    yield from result
    if not result and entry.get("ADMIN_TOKEN"):
        if not entry.get("ADMIN_URL"):
            hint = f"Write: 'ADMIN_URL': {known['ADMIN_URL'].example}, or remove ADMIN_TOKEN."
            yield Problem(known["ADMIN_URL"].code, f"{where} has ADMIN_TOKEN, but no ADMIN_URL.", hint)
        elif not is_secure(entry["ADMIN_URL"]):
            yield in_the_clear("E008", where, "ADMIN_URL", entry, "ADMIN_TOKEN")
    if not result and not is_secure(entry.get("PUBLIC_URL", "https:")):
        yield in_the_clear("E015", where, "PUBLIC_URL", entry, "Cookies")


def _needs_secret(entry: Mapping[str, Any]) -> bool:
    algorithms = (entry.get("ID_TOKEN_SIGNED_RESPONSE_ALG", ""), entry.get("USERINFO_SIGNED_RESPONSE_ALG", ""))
    symmetric = any(alg.startswith("HS") for alg in algorithms)
    return symmetric or entry.get("TOKEN_ENDPOINT_AUTH_METHOD") != "none"


def _repeated(providers: Mapping[Any, Mapping[str, Any]]) -> Iterator[Problem]:
    aliases: dict[tuple[str, str], Any] = {}
    for alias, entry in providers.items():
        if is_kratos_alone(entry):
            continue
        first = aliases.setdefault((entry["ISSUER"], entry["CLIENT_ID"]), alias)
        if first != alias:
            yield Problem(
                "E006",
                f"The PROVIDERS {named(first)} and {named(alias)} have the same ISSUER and CLIENT_ID, "
                f"{shown(entry['CLIENT_ID'])}.",
                f"A logout notice fits both. Remove {named(alias)}, or write the CLIENT_ID of another client.",
            )
    for alias, entry in providers.items():
        if "KRATOS" in entry and kratos_issuer(entry["KRATOS"]["PUBLIC_URL"], providers) in _issuers(providers):
            url = shown(entry["KRATOS"]["PUBLIC_URL"])
            yield Problem(
                "E016",
                f"The PUBLIC_URL of {named(alias)}, {url}, is the ISSUER of two providers, with and without a slash.",
                "Then sessions of Kratos and of a provider have the same issuer. Remove the provider with the wrong "
                "ISSUER.",
            )


def _aliases_without_redirect_uri(providers: Mapping[Any, Mapping[str, Any]]) -> Iterator[Problem]:
    """Of several providers, each has its own redirect URI, which ends with its alias."""
    aliases = [alias for alias, entry in providers.items() if not is_kratos_alone(entry)]
    for alias in aliases if len(aliases) > 1 else []:
        if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
            suggestion = re.sub(r"[^A-Za-z0-9_-]+", "-", str(alias)).strip("-") or "another"
            yield Problem(
                "E076",
                f"ORY_LOGOUT['PROVIDERS'][{named(alias)}]: the alias cannot be part of a redirect URI.",
                "With several PROVIDERS, use letters, digits, hyphens and underscores in each alias. Write: "
                f"{suggestion!r}: {{…}}",
            )
