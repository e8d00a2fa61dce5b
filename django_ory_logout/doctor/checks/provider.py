"""The provider: its documents, its keys, its clock, and the kinds of logout that it announces."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...exceptions import ProviderUnavailable
from ...oidc.metadata import ProviderMetadata, parse_jwks
from ...oidc.provider import matching_keys
from ...oidc.tokens import CLOCK_SKEW_SECONDS
from ..findings import CheckResult, NotKnown, Scope, check, failed, passed, refer_to, unknown, warned
from ..redaction import redact_url, truncate
from ..targets import FetchResult, ProviderTarget, describe_error

#: Limits of the clock difference, in seconds. Above the first, the check fails, because the site refuses tokens. Above
#: the second, the check warns.
FAIL_SECONDS, WARN_SECONDS = CLOCK_SKEW_SECONDS, 10
#: The endpoints for browsers.
BROWSER_ENDPOINTS = ("authorization_endpoint", "end_session_endpoint")
#: The endpoints that this site calls itself.
BACKEND_ENDPOINTS = ("token_endpoint", "jwks_uri", "userinfo_endpoint", "revocation_endpoint")
#: Settings, and the discovery fields that must contain their values.
ALGORITHMS = {
    "id_token_signed_response_alg": "id_token_signing_alg_values_supported",
    "id_token_encrypted_response_alg": "id_token_encryption_alg_values_supported",
    "id_token_encrypted_response_enc": "id_token_encryption_enc_values_supported",
}
LOGOUT = (
    "backchannel_logout_supported",
    "backchannel_logout_session_supported",
    "frontchannel_logout_supported",
    "frontchannel_logout_session_supported",
)


@check("provider.discovery", gettext_lazy("Discovery document"), Scope.PROVIDER)
def discovery(target: ProviderTarget) -> CheckResult:
    """Whether this machine can fetch the discovery document, and it is a JSON object."""
    url = {"url": target.registration.discovery_url}
    outcome = target.discovery_result.outcome
    if isinstance(outcome, ProviderUnavailable):
        return failed(
            _("%(url)s does not answer: %(error)s.") % {**url, "error": describe_error(outcome)},
            _(
                "Check that the provider runs, that this machine reaches it by that name through firewall and proxy, "
                "and that it trusts the certificate (REQUESTS_CA_BUNDLE)."
            ),
        )
    if "Location" in outcome.headers:
        found = {**url, "status": outcome.status, "target": redact_url(outcome.headers["Location"])}
        return failed(
            _("%(url)s redirects (%(status)d) to %(target)s.") % found,
            _("Compare ISSUER, with its scheme and host: this site does not follow redirects."),
        )
    if not outcome.ok:
        return failed(
            _("%(url)s answers %(status)d.") % {**url, "status": outcome.status},
            _("Compare ISSUER: the path after it is fixed."),
        )
    return _read(target.discovery_result, url)


def _read(fetched: FetchResult, url: Mapping[str, str]) -> CheckResult:
    try:
        fetched.document()
    except ProviderUnavailable:
        return failed(
            _("The answer of %(url)s is not a JSON object.") % url,
            _("Open the URL: it may be a page of a proxy, or a login page. Compare ISSUER."),
        )
    return passed(_("%(url)s answers.") % url)


@check("provider.issuer", gettext_lazy("Issuer, byte for byte"), Scope.PROVIDER)
def issuer(target: ProviderTarget) -> CheckResult:
    """Whether the provider's ``issuer`` is exactly the issuer of the settings (Discovery 4.3)."""
    named, configured = target.discovery.get("issuer"), target.registration.issuer
    if named == configured:
        return passed(_("Both are %(issuer)s.") % {"issuer": configured})
    return failed(
        _("The provider's issuer is %(named)s, and ISSUER is %(configured)s.")
        % {"named": truncate(repr(named)), "configured": repr(configured)},
        _("Copy it to ISSUER exactly, also the last slash. Until then, this site refuses every token."),
    )


@check("provider.endpoints", gettext_lazy("Endpoints"), Scope.PROVIDER)
def endpoints(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether the endpoints are valid, and the pages for browsers are on the issuer's host."""
    issuer_url, document = target.registration.issuer, target.discovery
    try:
        ProviderMetadata.parse({**document, "issuer": issuer_url}, issuer_url)
    except ProviderUnavailable as error:
        yield failed(truncate(error.detail), _("Fix the provider's public URL. Until then, nobody can sign in."))
        return
    if not document.get("end_session_endpoint"):
        yield warned(
            _("There is no end_session_endpoint: a logout here cannot log users out at the provider."),
            _("Switch it on at the provider, if it has one. Until then, users stay signed in there."),
        )
    other_hosts = _on_other_hosts(BROWSER_ENDPOINTS, document, issuer_url)
    if other_hosts:
        yield warned(
            _("These endpoints for browsers are not on the issuer's host: %(names)s.")
            % {"names": ", ".join(other_hosts)},
            _("If you did not intend that, fix the public URL in the provider's configuration."),
        )
    elif document.get("end_session_endpoint"):
        yield _services(document, issuer_url)


def _services(document: Mapping[str, Any], issuer_url: str) -> CheckResult:
    host = {"host": urlsplit(issuer_url).hostname or ""}
    others = _on_other_hosts(BACKEND_ENDPOINTS, document, issuer_url)
    if others:
        return passed(
            _("Pages for browsers are on %(host)s. On other hosts: %(names)s.") % {**host, "names": ", ".join(others)}
        )
    return passed(_("All are on %(host)s.") % host)


def _on_other_hosts(names: Iterable[str], document: Mapping[str, Any], issuer_url: str) -> list[str]:
    return [name for name in names if document.get(name) and _host(document[name]) != _host(issuer_url)]


def _host(url: str) -> tuple[str | None, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or {"https": 443}.get(parts.scheme, 80)


@check("provider.algorithm", gettext_lazy("Algorithms"), Scope.PROVIDER)
def algorithm(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether the provider supports the registered algorithms for signatures and, if registered, encryption."""
    for name, field in ALGORITHMS.items():
        if name == "id_token_signed_response_alg" or target.registration.id_token_encrypted_response_alg:
            configured = getattr(target.registration, name)
            yield _offered(name.upper(), configured, target.discovery.get(field))


def _offered(setting: str, configured: str, offered: object) -> CheckResult:
    found = {"setting": setting, "configured": configured}
    if not isinstance(offered, list):
        return unknown(_("The provider does not say whether it supports %(configured)s (%(setting)s).") % found)
    if configured in offered:
        return passed(_("The provider supports %(configured)s.") % found)
    return failed(
        _("%(setting)s is %(configured)s, and the provider supports only: %(offered)s.")
        % {**found, "offered": truncate(", ".join(map(str, offered))) or _("none")},
        _("Set it to the value that is registered for this client. Until then, this site refuses every token."),
    )


@check("provider.keys", gettext_lazy("Signing keys"), Scope.PROVIDER)
def keys(target: ProviderTarget) -> CheckResult:
    """Whether the JWK Set has a key for the registered algorithm."""
    algorithm = target.registration.id_token_signed_response_alg
    if algorithm.startswith("HS"):
        return passed(_("%(algorithm)s needs none: the client secret is the key.") % {"algorithm": algorithm})
    url = target.endpoints.jwks_uri
    fetched = target.site.document(url)
    try:
        published = parse_jwks(fetched.document())
    except ProviderUnavailable as error:
        status = fetched.response.status if fetched.response else 0
        reason = _("status %(status)d") % {"status": status} if status not in {0, 200} else describe_error(error)
        return failed(
            _("%(url)s cannot be read: %(reason)s.") % {"url": redact_url(url), "reason": reason},
            _("This site cannot verify tokens without it. Check that this machine reaches the provider itself."),
        )
    count = len(matching_keys(published, None, algorithm))
    if count:
        found = ngettext("%(count)d key fits %(algorithm)s.", "%(count)d keys fit %(algorithm)s.", count)
        return passed(found % {"algorithm": algorithm, "count": count})
    return failed(
        _("The JWK Set has no key that fits %(algorithm)s.") % {"algorithm": algorithm},
        _("Compare ID_TOKEN_SIGNED_RESPONSE_ALG with the registration, and see the provider's keys."),
    )


@check("provider.clock", gettext_lazy("Clocks"), Scope.PROVIDER)
def clock(target: ProviderTarget) -> CheckResult:
    """Compare this machine's clock with the provider's ``Date``."""
    fetched = target.discovery_result
    if fetched.response is None:
        raise refer_to("provider.discovery")
    ahead = _ahead(fetched, _date(fetched.response.headers))
    found = (
        _("This machine's clock is %(seconds)d s ahead of the provider's.")
        if ahead > 0
        else _("This machine's clock is %(seconds)d s behind the provider's.")
    ) % {"seconds": round(abs(ahead))}
    if abs(ahead) > FAIL_SECONDS:
        return failed(
            found, _("Set both clocks by NTP: this site refuses tokens as expired, or as issued in the future.")
        )
    if abs(ahead) > WARN_SECONDS:
        return warned(found, _("Set both clocks by NTP."))
    return passed(_("The provider's clock agrees with this machine's."))


def _date(headers: Mapping[str, str]) -> float:
    """When the provider made its answer, by its own clock. A cache adds the ``Age`` of its copy (RFC 9111, 5.1)."""
    try:
        made = parsedate_to_datetime(headers.get("Date", ""))
        age = int(headers.get("Age", 0))
    except (ValueError, OverflowError) as error:
        raise NotKnown(_("The provider sends no valid Date header.")) from error
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp() + age


def _ahead(fetched: FetchResult, date: float) -> float:
    """The smallest possible lead of this machine, in seconds; negative if it is behind.

    ``date``: a moment between the request and the response, cut to whole seconds.
    """
    too_early, too_late = fetched.started_at - (date + 1), fetched.finished_at - date
    return max(too_early, 0) or min(too_late, 0)


@check("provider.logout", gettext_lazy("Announced kinds of logout"), Scope.PROVIDER)
def announced(target: ProviderTarget) -> CheckResult:
    """The four discovery fields about logout. Hydra always announces all of them."""
    document = target.discovery
    missing = [name for name in LOGOUT if document.get(name) is not True]
    names = {"names": ", ".join(missing)}
    if not missing and target.config.hydra:
        return passed(_("All of them. Hydra always announces all, so this does not show how the client is registered."))
    if not missing:
        return passed(_("Back channel and front channel, with sid."))
    if "backchannel_logout_supported" not in missing:
        return passed(_("A back channel. Not announced: %(names)s.") % names)
    if "frontchannel_logout_supported" not in missing:
        return warned(
            _("There is only a front channel. Not announced: %(names)s.") % names,
            _("A logout elsewhere reaches this site only if the user's browser loads the provider's frame."),
        )
    return warned(
        _("The provider announces no back channel and no front channel."),
        _("A logout elsewhere never reaches this site. Switch on a back channel at the provider, if it has one."),
    )
