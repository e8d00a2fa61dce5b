"""This site's client at Hydra, where the admin API can be asked."""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import conf, http
from ...exceptions import HydraError, OryLogoutError, ProviderUnavailable
from ...flows.notices import DOCTOR_PROBE_CODE, own_probe
from ..findings import CheckResult, NotKnown, Scope, check, failed, passed, see, warned
from ..findings import address as address_of
from ..targets import NOTICE_HEADERS, ProviderTarget
from .history import has_notices, unanswered
from .logout_probe import is_forgotten

MEND = gettext_lazy("Run manage.py ory_register_client.")


@check("registration.client", gettext_lazy("Client at Hydra"), Scope.HYDRA)
def client(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether Hydra knows it, and by the settings' way to authenticate."""
    client_id = target.registration.client_id
    try:
        registered = target.hydra.client(client_id)
    except OryLogoutError as error:
        found = _("Hydra's admin API does not give the client %(id)r: %(error)s.") % {"id": client_id, "error": error}
        yield failed(found, _what_to_do(error))
        return
    ours, theirs = target.registration.token_endpoint_auth_method, registered.token_endpoint_auth_method
    if theirs and ours != theirs:
        yield failed(
            _("It authenticates by %(theirs)s, and the settings say %(ours)s.") % {"theirs": theirs, "ours": ours},
            _("Set TOKEN_ENDPOINT_AUTH_METHOD to what is registered: nobody can sign in."),
        )
    else:
        yield passed(client_id)


def _what_to_do(error: OryLogoutError) -> str:
    if error.code == "client_unknown":
        return _("Run manage.py ory_register_client, or compare CLIENT_ID.")
    if isinstance(error, HydraError):
        return _("Compare HYDRA: ADMIN_URL, and ADMIN_TOKEN.")
    return _("Compare HYDRA: ADMIN_URL. Does Hydra run, and does this machine reach its admin API?")


@check("registration.redirect_uri", gettext_lazy("Redirect URI"), Scope.HYDRA)
def redirect_uri(target: ProviderTarget) -> Iterator[CheckResult]:
    """Exact, or nobody comes back from signing in."""
    yield _among(target.config.redirect_uri, target.client.redirect_uris)
    if target.config.iss_required and not target.metadata.authorization_response_iss_parameter_supported:
        yield failed(
            _("%(alias)s shares its redirect URI with other providers and does not announce iss (RFC 9207).")
            % {"alias": target.config.alias},
            _("Nobody can sign in there. Remove SHARED_REDIRECT_URI and run manage.py ory_register_client."),
        )


@check("registration.post_logout_redirect_uri", gettext_lazy("Post-logout redirect URI"), Scope.HYDRA)
def post_logout_redirect_uri(target: ProviderTarget) -> Iterator[CheckResult]:
    """Exact, or Hydra shows an error page at each logout."""
    wanted = target.config.post_logout_redirect_uri or conf.get().absolute("logout_callback")
    yield _among(wanted, target.client.post_logout_redirect_uris)


@check("registration.backchannel", gettext_lazy("Back-channel URI"), Scope.HYDRA)
def backchannel(target: ProviderTarget) -> Iterator[CheckResult]:
    """Present, and this site's: by its name, or because this very site answers there."""
    registered, wanted = target.client.backchannel_logout_uri, conf.get().absolute("backchannel_logout")
    if not registered and target.client.frontchannel_logout_uri:
        yield warned(
            _("None is registered, only a front channel: this site is told by a frame in the browser, or not at all."),
            _("Not of logouts in another browser, nor where frames get no cookies. ") + str(MEND),
        )
    elif not registered:
        yield failed(_("None is registered: Hydra tells this site nothing."), str(MEND))
    elif _is_same(registered, wanted):
        yield passed(registered)
    else:
        yield _elsewhere(target, registered, wanted)


def _elsewhere(target: ProviderTarget, registered: str, wanted: str) -> CheckResult:
    """An internal name of this site, or another site: only this one knows its own probe."""
    uris = {"registered": address_of(registered), "wanted": wanted}
    is_this_site = _answers_to_own_probe(registered)
    if is_this_site:
        return passed(_("%(registered)s is this site too.") % uris)
    if is_this_site is None and has_notices(target) and not unanswered(target):
        return passed(_("%(registered)s cannot be reached from this machine; notices arrive all the same.") % uris)
    if is_this_site is None:
        return warned(
            _("%(registered)s is not SITE_URL's %(wanted)s, and this machine does not reach it.") % uris,
            _("That is well if it is an internal name of this site, which ALLOWED_HOSTS knows. Else: ") + str(MEND),
        )
    return failed(_("%(registered)s is not this site's %(wanted)s.") % uris, str(MEND))


def _answers_to_own_probe(url: str) -> bool | None:
    """``None``: nobody answers."""
    try:
        response = http.post(url, urlencode({"logout_token": own_probe()}), NOTICE_HEADERS)
    except ProviderUnavailable:
        return None
    try:
        return bool(response.json().get("error_description") == DOCTOR_PROBE_CODE)
    except ProviderUnavailable:
        return False


@check("registration.frontchannel", gettext_lazy("Front-channel URI"), Scope.HYDRA)
def frontchannel(target: ProviderTarget) -> Iterator[CheckResult]:
    """This site's, if there is one; beside the back channel it is not needed."""
    registered, wanted = target.client.frontchannel_logout_uri, conf.get().absolute("frontchannel_logout")
    if not registered and target.client.backchannel_logout_uri:
        yield passed(_("None is registered; the back channel does without."))
    elif not registered:
        yield failed(_("None is registered, nor is a back channel."), str(MEND))
    elif _is_same(registered, wanted):
        yield passed(registered)
    else:
        yield failed(
            _("%(registered)s is not this site's %(wanted)s.")
            % {"registered": address_of(registered), "wanted": wanted},
            str(MEND),
        )


@check("registration.skip_logout_consent", gettext_lazy("Question at the logout"), Scope.HYDRA)
def skip_logout_consent(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether Hydra's logout page asks first: who does not answer, is logged out here alone."""
    if target.client.skip_logout_consent:
        yield passed(_("skip_logout_consent: the logout page is told not to ask."))
    else:
        yield passed(_("Hydra's logout page may ask. Who leaves it unanswered stays signed in at Hydra."))


@check("registration.address", gettext_lazy("Address of the back channel"), Scope.HYDRA)
def address(target: ProviderTarget) -> Iterator[CheckResult]:
    """Hydra can be told not to call private addresses (``clients.http.disallow_private_ip_ranges``)."""
    host = urlsplit(target.client.backchannel_logout_uri).hostname
    if not host and target.client.frontchannel_logout_uri:
        raise NotKnown(_("There is no back channel, only a front channel: Hydra calls nobody."))
    if not host:
        raise see("registration.backchannel")
    known = http.addresses(host)
    private = [one for one in known if not ip_address(one).is_global]
    if known and not private:
        yield passed(_("%(host)s is a public address.") % {"host": host})
        return
    found = (
        _("%(host)s is a private address here: %(address)s.") % {"host": host, "address": private[0]}
        if private
        else _("This machine knows no address of %(host)s; Hydra has to.") % {"host": host}
    )
    if unanswered(target) and not is_forgotten(target):
        yield warned(
            found + " " + _("Notices do not arrive."),
            _("Hydra sends none there if it runs with clients.http.disallow_private_ip_ranges: its log says so."),
        )
    else:
        yield passed(found)


def _among(wanted: str, registered: tuple[str, ...]) -> CheckResult:
    if wanted in registered:
        return passed(wanted)
    near = [one for one in registered if _is_same(one, wanted)]
    found = _("%(wanted)s is not registered.") % {"wanted": wanted}
    if near:
        found = _("%(wanted)s is not registered, but %(near)s: Hydra compares each character.") % {
            "wanted": wanted,
            "near": near[0],
        }
    return failed(found, str(MEND))


def _is_same(registered: str, wanted: str) -> bool:
    """With or without the last slash: this site answers at both."""
    return registered.rstrip("/") == wanted.rstrip("/")
