"""This site's client at Hydra, read by the admin API."""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import http
from ...exceptions import HydraError, OryLogoutError, ProviderUnavailable
from ...flows.client_registration import client_urls
from ...flows.notices import DOCTOR_PROBE_CODE
from ..findings import CheckResult, NotKnown, Scope, check, failed, passed, refer_to, warned
from ..redaction import redact_url
from ..targets import ProviderTarget, document_in, send_probe
from .history import count_unanswered_logouts, has_notices
from .logout_probe import is_login_forgotten

REGISTER_CLIENT = gettext_lazy("Run manage.py ory_register_client.")


@check("registration.client", gettext_lazy("Client at Hydra"), Scope.HYDRA)
def client(target: ProviderTarget) -> CheckResult:
    """Whether Hydra has the client, with the authentication method of the settings."""
    client_id = target.registration.client_id
    try:
        registered = target.hydra.client(client_id)
    except OryLogoutError as error:
        found = _("The client %(id)r cannot be read from Hydra's admin API: %(error)s.")
        return failed(found % {"id": client_id, "error": error}, _what_to_do(error))
    configured, method = target.registration.token_endpoint_auth_method, registered.token_endpoint_auth_method
    if method and configured != method:
        return failed(
            _("The registered method is %(registered)s, and the settings have %(configured)s.")
            % {"registered": method, "configured": configured},
            _("Set TOKEN_ENDPOINT_AUTH_METHOD to the registered method. Until then, nobody can sign in."),
        )
    return passed(client_id)


def _what_to_do(error: OryLogoutError) -> str:
    if error.code == "client_unknown":
        return _("Run manage.py ory_register_client, or compare CLIENT_ID.")
    if isinstance(error, HydraError):
        return _("Compare HYDRA: ADMIN_URL, and ADMIN_TOKEN.")
    return _("Compare HYDRA: ADMIN_URL. Check that Hydra runs, and that this machine reaches its admin API.")


@check("registration.redirect_uri", gettext_lazy("Redirect URI"), Scope.HYDRA)
def redirect_uri(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether the redirect URI is registered exactly. Otherwise no sign-in comes back to this site."""
    yield _registered_exactly(client_urls(target.config).redirect_uri, target.client.redirect_uris)
    if target.config.iss_required and not target.metadata.authorization_response_iss_parameter_supported:
        yield failed(
            _("%(alias)s shares its redirect URI with other providers, and does not announce iss (RFC 9207).")
            % {"alias": target.config.alias},
            _("Nobody can sign in there. Remove SHARED_REDIRECT_URI and run manage.py ory_register_client."),
        )


@check("registration.post_logout_redirect_uri", gettext_lazy("Post-logout redirect URI"), Scope.HYDRA)
def post_logout_redirect_uri(target: ProviderTarget) -> CheckResult:
    """Whether the post-logout redirect URI is registered exactly. Otherwise each logout ends on Hydra's error page."""
    wanted = client_urls(target.config).post_logout_redirect_uri
    return _registered_exactly(wanted, target.client.post_logout_redirect_uris)


@check("registration.backchannel", gettext_lazy("Back-channel URI"), Scope.HYDRA)
def backchannel(target: ProviderTarget) -> CheckResult:
    """Whether this site's URI is registered, or another URI at which this site answers."""
    registered, wanted = target.client.backchannel_logout_uri, client_urls(target.config).backchannel_logout_uri
    if not registered and target.client.frontchannel_logout_uri:
        return warned(
            _("None is registered, only a front channel. A notice arrives only by a frame in the user's browser."),
            _("No notice comes for logouts in other browsers, or if frames get no cookies.") + f" {REGISTER_CLIENT}",
        )
    if not registered:
        return failed(_("None is registered: Hydra sends this site no notices."), str(REGISTER_CLIENT))
    if _is_same(registered, wanted):
        return passed(registered)
    return _other_uri(target, registered, wanted)


def _other_uri(target: ProviderTarget, registered: str, wanted: str) -> CheckResult:
    """The URI may be an internal name of this site, or another site. This site alone recognizes its own probe."""
    uris = {"registered": redact_url(registered), "wanted": wanted}
    is_this_site = _answers_to_own_probe(registered)
    if is_this_site:
        return passed(_("%(registered)s is this site too.") % uris)
    if is_this_site is None and has_notices(target) and not count_unanswered_logouts(target):
        return passed(_("This machine does not reach %(registered)s, but notices arrive.") % uris)
    if is_this_site is None:
        return warned(
            _("%(registered)s is not SITE_URL's %(wanted)s, and this machine does not reach it.") % uris,
            _("If it is an internal name of this site, check that ALLOWED_HOSTS has it. Otherwise:")
            + f" {REGISTER_CLIENT}",
        )
    return failed(_("%(registered)s is not this site's %(wanted)s.") % uris, str(REGISTER_CLIENT))


def _answers_to_own_probe(url: str) -> bool | None:
    """Whether ``url`` answers as this site's receiver does; ``None`` if there is no answer."""
    try:
        response = send_probe(url)
    except ProviderUnavailable:
        return None
    return bool(document_in(response).get("error_description") == DOCTOR_PROBE_CODE)


@check("registration.frontchannel", gettext_lazy("Front-channel URI"), Scope.HYDRA)
def frontchannel(target: ProviderTarget) -> CheckResult:
    """Whether the registered front-channel URI is this site's. With a back channel, no front channel is needed."""
    registered, wanted = target.client.frontchannel_logout_uri, client_urls(target.config).frontchannel_logout_uri
    if not registered and target.client.backchannel_logout_uri:
        return passed(_("None is registered. The back channel is enough."))
    if not registered:
        return failed(_("No front channel and no back channel is registered."), str(REGISTER_CLIENT))
    if _is_same(registered, wanted):
        return passed(registered)
    return failed(
        _("%(registered)s is not this site's %(wanted)s.") % {"registered": redact_url(registered), "wanted": wanted},
        str(REGISTER_CLIENT),
    )


@check("registration.skip_logout_consent", gettext_lazy("Question on Hydra's logout page"), Scope.HYDRA)
def skip_logout_consent(target: ProviderTarget) -> CheckResult:
    """Whether Hydra's logout page asks first. Users who do not answer are logged out here, and not at Hydra."""
    if target.client.skip_logout_consent:
        return passed(_("skip_logout_consent is on: the logout page should not ask."))
    return passed(_("Hydra's logout page may ask. Users who do not answer stay signed in at Hydra."))


@check("registration.address", gettext_lazy("Address of the back channel"), Scope.HYDRA)
def address(target: ProviderTarget) -> CheckResult:
    """Hydra can be configured not to call private addresses (``clients.http.disallow_private_ip_ranges``)."""
    host = urlsplit(target.client.backchannel_logout_uri).hostname
    if not host and target.client.frontchannel_logout_uri:
        raise NotKnown(_("There is no back channel, only a front channel: Hydra calls no address."))
    if not host:
        raise refer_to("registration.backchannel")
    addresses = http.addresses(host)
    private = [address for address in addresses if not ip_address(address).is_global]
    if addresses and not private:
        return passed(_("%(host)s is a public address.") % {"host": host})
    found = (
        _("On this machine, %(host)s has the private address %(address)s.") % {"host": host, "address": private[0]}
        if private
        else _("This machine finds no address of %(host)s. Hydra needs one.") % {"host": host}
    )
    if count_unanswered_logouts(target) and not is_login_forgotten(target):
        return warned(
            found + " " + _("Notices do not arrive."),
            _("With clients.http.disallow_private_ip_ranges, Hydra sends none to private addresses. See Hydra's log."),
        )
    return passed(found)


def _registered_exactly(wanted: str, registered: tuple[str, ...]) -> CheckResult:
    if wanted in registered:
        return passed(wanted)
    similar = [uri for uri in registered if _is_same(uri, wanted)]
    found = _("%(wanted)s is not registered.") % {"wanted": wanted}
    if similar:
        found = _("%(wanted)s is not registered, but %(similar)s is. Hydra compares each character.") % {
            "wanted": wanted,
            "similar": similar[0],
        }
    return failed(found, str(REGISTER_CLIENT))


def _is_same(registered: str, wanted: str) -> bool:
    """Whether both are the same, apart from the last slash. This site answers at both."""
    return registered.rstrip("/") == wanted.rstrip("/")
