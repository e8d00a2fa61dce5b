"""The provider: its documents, its keys, its clock, and what it announces about logout."""

from collections.abc import Iterator, Mapping
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
from ..findings import CheckResult, NotKnown, Scope, address, check, failed, passed, quoted, see, unknown, warned
from ..targets import Fetched, ProviderTarget, fault

#: Tokens are refused by a clock that is further off than is allowed for; less is worth a word. In seconds.
WRONG, OFF = CLOCK_SKEW_SECONDS, 10
#: Where browsers are sent.
PAGES = ("authorization_endpoint", "end_session_endpoint")
#: What this site calls.
SERVICES = ("token_endpoint", "jwks_uri", "userinfo_endpoint", "revocation_endpoint")
#: Which setting has to be among which values of discovery.
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
def discovery(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether it can be fetched, and is a JSON object."""
    url = {"url": target.registration.discovery_url}
    answer = target.fetched_discovery.answer
    if isinstance(answer, ProviderUnavailable):
        yield failed(
            _("%(url)s does not answer: %(error)s.") % {**url, "error": fault(answer)},
            _(
                "Does the provider run, and does this machine reach it by that name, through firewall and proxy, and "
                "trust its certificate (REQUESTS_CA_BUNDLE)?"
            ),
        )
    elif "Location" in answer.headers:
        found = {**url, "status": answer.status, "target": address(answer.headers["Location"])}
        yield failed(
            _("%(url)s redirects (%(status)d) to %(target)s.") % found,
            _("Compare ISSUER, scheme and host too: a redirect is not followed."),
        )
    elif not answer.ok:
        yield failed(
            _("%(url)s answers %(status)d.") % {**url, "status": answer.status},
            _("Compare ISSUER: the path behind it is fixed."),
        )
    else:
        yield _read(target.fetched_discovery, url)


def _read(fetched: Fetched, url: Mapping[str, str]) -> CheckResult:
    try:
        fetched.document()
    except ProviderUnavailable:
        return failed(
            _("%(url)s answers with something else than a JSON object.") % url,
            _("See what answers there: a proxy's page, a login page? Compare ISSUER."),
        )
    return passed(_("%(url)s answers.") % url)


@check("provider.issuer", gettext_lazy("Issuer, byte for byte"), Scope.PROVIDER)
def issuer(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether the provider calls itself as the settings do (Discovery 4.3)."""
    named, configured = target.discovery.get("issuer"), target.registration.issuer
    if named == configured:
        yield passed(_("Both say %(issuer)s.") % {"issuer": configured})
    else:
        yield failed(
            _("The provider calls itself %(named)s, and ISSUER is %(configured)s.")
            % {"named": quoted(repr(named)), "configured": repr(configured)},
            _("Copy it, with or without its last slash: discovery and each token are refused."),
        )


@check("provider.endpoints", gettext_lazy("Endpoints"), Scope.PROVIDER)
def endpoints(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether they can be used, and browsers are sent to where the issuer is."""
    home, document = target.registration.issuer, target.discovery
    try:
        ProviderMetadata.parse({**document, "issuer": home}, home)
    except ProviderUnavailable as error:
        yield failed(quoted(error.detail), _("Mend the provider's public URL: nobody can sign in."))
        return
    if not document.get("end_session_endpoint"):
        yield warned(
            _("There is no end_session_endpoint: the provider cannot be told of a logout here."),
            _("Switch it on at the provider, if it has one. Until then people stay signed in there."),
        )
    strange = [name for name in PAGES if document.get(name) and _host(document[name]) != _host(home)]
    if strange:
        yield warned(
            _("Browsers are sent to another host than the issuer's: %(names)s.") % {"names": ", ".join(strange)},
            _("If that is not meant, the provider's public URL is wrong."),
        )
    elif document.get("end_session_endpoint"):
        yield _services(document, home)


def _services(document: Mapping[str, Any], home: str) -> CheckResult:
    host = {"host": urlsplit(home).hostname or ""}
    others = [name for name in SERVICES if document.get(name) and _host(document[name]) != _host(home)]
    if others:
        return passed(_("Pages are on %(host)s; on other hosts: %(names)s.") % {**host, "names": ", ".join(others)})
    return passed(_("All are on %(host)s.") % host)


def _host(url: str) -> tuple[str | None, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or {"https": 443}.get(parts.scheme, 80)


@check("provider.algorithm", gettext_lazy("Algorithms"), Scope.PROVIDER)
def algorithm(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether the provider signs, and encrypts where that is registered, by the registered algorithms."""
    for name, field in ALGORITHMS.items():
        if name == "id_token_signed_response_alg" or target.registration.id_token_encrypted_response_alg:
            pinned = getattr(target.registration, name)
            yield _offered(name.upper(), pinned, target.discovery.get(field))


def _offered(setting: str, pinned: str, offered: object) -> CheckResult:
    found = {"setting": setting, "pinned": pinned}
    if not isinstance(offered, list):
        return unknown(_("The provider does not say whether it can do %(pinned)s (%(setting)s).") % found)
    if pinned in offered:
        return passed(_("%(pinned)s, as the provider offers.") % found)
    return failed(
        _("%(setting)s is %(pinned)s, and the provider offers %(offered)s.")
        % {**found, "offered": quoted(", ".join(map(str, offered))) or _("none")},
        _("Set it to what is registered for this client: each token is refused."),
    )


@check("provider.keys", gettext_lazy("Signing keys"), Scope.PROVIDER)
def keys(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether the JWK Set has a key that can verify the registered algorithm."""
    pinned = {"algorithm": target.registration.id_token_signed_response_alg}
    if pinned["algorithm"].startswith("HS"):
        yield passed(_("%(algorithm)s needs none: the client secret is the key.") % pinned)
        return
    fetched = target.fetched_jwks
    try:
        published = parse_jwks(fetched.document())
    except ProviderUnavailable as error:
        status = fetched.response.status if fetched.response else 0
        reason = _("it answers %(status)d") % {"status": status} if status not in {0, 200} else fault(error)
        yield failed(
            _("%(url)s cannot be read: %(reason)s.") % {"url": address(target.endpoints.jwks_uri), "reason": reason},
            _("No token can be verified without the JWK Set. Does this machine reach it, and who answers there?"),
        )
        return
    count = len(matching_keys(published, None, pinned["algorithm"]))
    if count:
        words = ngettext("%(count)d key fits %(algorithm)s.", "%(count)d keys fit %(algorithm)s.", count)
        yield passed(words % {**pinned, "count": count})
    else:
        yield failed(
            _("The JWK Set has no key that fits %(algorithm)s.") % pinned,
            _("Compare ID_TOKEN_SIGNED_RESPONSE_ALG with the registration, and see the provider's keys."),
        )


@check("provider.clock", gettext_lazy("Clocks"), Scope.PROVIDER)
def clock(target: ProviderTarget) -> Iterator[CheckResult]:
    """This machine's clock against the provider's ``Date``."""
    fetched = target.fetched_discovery
    if fetched.response is None:
        raise see("provider.discovery")
    ahead = _ahead(fetched, _date(fetched.response.headers))
    found = {"seconds": round(abs(ahead))}
    words = (
        _("This machine's clock is %(seconds)d s ahead of the provider's.")
        if ahead > 0
        else _("This machine's clock is %(seconds)d s behind the provider's.")
    ) % found
    if abs(ahead) > WRONG:
        yield failed(words, _("Set both clocks by NTP: tokens are refused as expired, or as issued in the future."))
    elif abs(ahead) > OFF:
        yield warned(words, _("Set both clocks by NTP."))
    else:
        yield passed(_("The provider's clock agrees with this machine's."))


def _date(headers: Mapping[str, str]) -> float:
    """When the provider made its answer, by its own clock; a cache on the way adds its ``Age`` (RFC 9111, 5.1)."""
    try:
        made = parsedate_to_datetime(headers.get("Date", ""))
        age = int(headers.get("Age", 0))
    except (ValueError, OverflowError) as error:
        raise NotKnown(_("The provider sends no Date that can be read.")) from error
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp() + age


def _ahead(fetched: Fetched, date: float) -> float:
    """By how many seconds this machine is ahead at least; ``date`` lies between question and answer, to the second."""
    too_early, too_late = fetched.asked_at - (date + 1), fetched.came_at - date
    return max(too_early, 0) or min(too_late, 0)


@check("provider.logout", gettext_lazy("What it announces about logout"), Scope.PROVIDER)
def announced(target: ProviderTarget) -> Iterator[CheckResult]:
    """The four fields of discovery. Hydra announces all of them, whatever its configuration."""
    document = target.discovery
    missing = [name for name in LOGOUT if document.get(name) is not True]
    names = {"names": ", ".join(missing)}
    if not missing and target.config.hydra:
        yield passed(_("Everything, as Hydra always does: it says nothing about this client's registration."))
    elif not missing:
        yield passed(_("Back channel and front channel, with sid."))
    elif "backchannel_logout_supported" not in missing:
        yield passed(_("A back channel. Not announced: %(names)s.") % names)
    elif "frontchannel_logout_supported" not in missing:
        yield warned(
            _("A front channel alone. Not announced: %(names)s.") % names,
            _("A logout elsewhere reaches this site only while a browser is there, and only if it shows the frame."),
        )
    else:
        yield warned(
            _("Neither back channel nor front channel."),
            _("A logout elsewhere never reaches this site: switch on a back channel at the provider, if it has one."),
        )
