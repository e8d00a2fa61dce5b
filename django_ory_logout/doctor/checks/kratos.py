"""Kratos: whether its APIs answer, it sends users back to this site, and browsers send its cookie to this site."""

from http import HTTPStatus
from http.cookies import Morsel, SimpleCookie
from urllib.parse import urlencode, urlsplit

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import conf, http
from ...exceptions import KratosError, OryLogoutError, ProviderUnavailable
from ...ory.kratos import Credential
from ...sessions import index
from ..findings import CheckResult, Scope, check, failed, passed, refer_to, unknown
from .history import RECENT

#: A session token and the id of an identity that no Kratos has.
UNKNOWN_TOKEN, UNKNOWN_IDENTITY = "ory_st_doctor", "00000000-0000-0000-0000-000000000000"
LOGIN = "/self-service/login/browser"
#: The id of Kratos' error for a ``return_to`` that is not allowed.
RETURN_TO_FORBIDDEN = "self_service_flow_return_to_forbidden"
#: How the name of Kratos' CSRF cookie begins. A proxy can set cookies with other names.
CSRF_COOKIE_PREFIX = "csrf_token"


@check("kratos.public", gettext_lazy("Kratos' public API"), Scope.KRATOS)
def public(kratos: conf.KratosConfig) -> CheckResult:
    """Whether the public API answers as Kratos does, for a session that does not exist."""
    url = kratos.public.base_url
    try:
        kratos.public.whoami(Credential(UNKNOWN_TOKEN))
    except (KratosError, ProviderUnavailable) as error:
        if error.code == "session_inactive":
            return passed(_("%(url)s answers.") % {"url": url})
        found = _("%(url)s does not answer as Kratos does: %(error)s.") % {"url": url, "error": error}
    else:
        found = _("%(url)s accepts an invalid session token.") % {"url": url}
    return failed(found, _("Compare PUBLIC_URL and INTERNAL_URL. Check that Kratos runs and this machine reaches it."))


@check("kratos.return_to", gettext_lazy("Return from Kratos"), Scope.KRATOS)
def return_to(kratos: conf.KratosConfig) -> CheckResult:
    """Whether this site is among Kratos' ``allowed_return_urls``."""
    response, site = _login_flow(kratos), conf.get().site_url
    if response.ok:
        return passed(_("Kratos sends users back to %(url)s.") % {"url": site})
    if response.status == HTTPStatus.BAD_REQUEST and RETURN_TO_FORBIDDEN.encode() in response.body:
        return failed(
            _("Kratos refuses to send users back to %(url)s.") % {"url": site},
            _("Add it to selfservice.allowed_return_urls."),
        )
    return unknown(
        _("Kratos answers %(status)d to the start of a sign-in.") % {"status": response.status}, _("See its log.")
    )


@check("kratos.cookie", gettext_lazy("Kratos' cookie"), Scope.KRATOS)
def cookie(kratos: conf.KratosConfig) -> CheckResult:
    """Whether browsers send Kratos' cookies to this site, by the domain and path of its CSRF cookie.

    ``session.cookie.domain`` can differ for the session cookie. If a user signed in by Kratos recently, browsers do
    send the session cookie here.
    """
    csrf_cookie, login = _csrf_cookie(kratos), urlsplit(conf.get().absolute("login"))
    if csrf_cookie is None:
        return unknown(_("Kratos sets no cookie at the start of a sign-in."), _("See kratos.return_to, and the proxy."))
    host, domain, path = login.hostname or "", _domain(kratos, csrf_cookie), csrf_cookie["path"] or "/"
    details = {"domain": domain, "path": path, "host": host}
    if _reaches(host, domain, of_host=not csrf_cookie["domain"]) and login.path.startswith(path):
        return passed(_("Domain %(domain)s, path %(path)s.") % details)
    if _has_recent_sign_in(kratos):
        return passed(_("Domain %(domain)s, path %(path)s. The session cookie arrives, so it has others.") % details)
    return failed(
        _("Domain %(domain)s, path %(path)s: browsers do not send it to %(host)s.") % details,
        _("Set Kratos' cookies.domain to a domain above both and cookies.path to /, or serve both from one host."),
    )


def _csrf_cookie(kratos: conf.KratosConfig) -> "Morsel[str] | None":
    cookies = [cookie for header in _login_flow(kratos).set_cookies for cookie in SimpleCookie(header).values()]
    return next((cookie for cookie in cookies if cookie.key.startswith(CSRF_COOKIE_PREFIX)), None)


def _domain(kratos: conf.KratosConfig, cookie: "Morsel[str]") -> str:
    return (cookie["domain"].lstrip(".") or urlsplit(kratos.issuer).hostname or "").lower()


def _reaches(host: str, domain: str, *, of_host: bool) -> bool:
    """RFC 6265, 5.1.3. Browsers send a cookie without ``Domain`` only to its own host."""
    return host == domain or (not of_host and host.endswith(f".{domain}"))


def _has_recent_sign_in(kratos: conf.KratosConfig) -> bool:
    recent = index.rows().filter(created_at__gt=timezone.now() - RECENT)
    return recent.filter(issuer=kratos.issuer, ended_at=None).exists()


@check("kratos.admin", gettext_lazy("Kratos' admin API"), Scope.KRATOS)
def admin(kratos: conf.KratosConfig) -> CheckResult:
    """Whether the admin API answers. Without it, a forced logout does not end sessions at Kratos."""
    if kratos.admin is None:
        return passed(_("None is configured: a forced logout of a user does not end the user's sessions at Kratos."))
    try:
        list(kratos.admin.sessions(UNKNOWN_IDENTITY))
    except OryLogoutError as error:
        return failed(
            _("It does not answer as expected: %(error)s.") % {"error": error},
            _("Compare KRATOS: ADMIN_URL, and ADMIN_TOKEN."),
        )
    else:
        return passed(_("It answers."))


def _login_flow(kratos: conf.KratosConfig) -> http.Response:
    """Kratos' response to the start of a sign-in with ``return_to`` to this site. It answers JSON on request."""
    query = urlencode({"return_to": conf.get().absolute("login")})
    try:
        return http.get(f"{kratos.public.base_url.rstrip('/')}{LOGIN}?{query}", {"Accept": "application/json"})
    except ProviderUnavailable as error:
        raise refer_to("kratos.public") from error
