"""Kratos: whether it answers, lets people come back, and gives out a cookie that reaches this site."""

from collections.abc import Iterator
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
from ..findings import CheckResult, Scope, check, failed, passed, see, unknown
from ..targets import KratosTarget
from .history import LATELY

#: A session token that Kratos cannot know, and an identity that it cannot have.
NOBODY, NO_IDENTITY = "ory_st_doctor", "00000000-0000-0000-0000-000000000000"
LOGIN = "/self-service/login/browser"
#: What Kratos says of a ``return_to`` that it does not allow.
FORBIDDEN = "self_service_flow_return_to_forbidden"
#: How Kratos' cookie begins that ties forms to browsers. A proxy's cookies are none of it.
CSRF = "csrf_token"


@check("kratos.public", gettext_lazy("Kratos' public API"), Scope.KRATOS)
def public(target: KratosTarget) -> Iterator[CheckResult]:
    """Whether it answers, in Kratos' words, about a session that there is not."""
    url = target.config.public.base_url
    try:
        target.config.public.whoami(Credential(NOBODY))
    except KratosError as error:
        if error.code == "session_inactive":
            yield passed(_("%(url)s answers.") % {"url": url})
            return
        found = _("%(url)s does not answer as Kratos does: %(error)s.") % {"url": url, "error": error}
    except ProviderUnavailable as error:
        found = _("%(url)s does not answer as Kratos does: %(error)s.") % {"url": url, "error": error}
    else:
        found = _("%(url)s knows everybody.") % {"url": url}
    yield failed(found, _("Compare PUBLIC_URL and INTERNAL_URL. Does Kratos run, and does this machine reach it?"))


@check("kratos.return_to", gettext_lazy("Way back from Kratos"), Scope.KRATOS)
def return_to(target: KratosTarget) -> Iterator[CheckResult]:
    """Whether this site is among Kratos' ``allowed_return_urls``."""
    response, site = _login_flow(target), conf.get().site_url
    if response.ok:
        yield passed(_("Kratos sends people back to %(url)s.") % {"url": site})
    elif response.status == HTTPStatus.BAD_REQUEST and FORBIDDEN.encode() in response.body:
        yield failed(
            _("Kratos refuses to send people back to %(url)s.") % {"url": site},
            _("Add it to selfservice.allowed_return_urls."),
        )
    else:
        yield unknown(
            _("Kratos answers %(status)d to the start of a sign-in.") % {"status": response.status}, _("See its log.")
        )


@check("kratos.cookie", gettext_lazy("Kratos' cookie"), Scope.KRATOS)
def cookie(target: KratosTarget) -> Iterator[CheckResult]:
    """Whether Kratos' cookies reach this site: by domain and path of the one that a sign-in begins with.

    ``session.cookie.domain`` can say otherwise of the session's: who is signed in by that proves it.
    """
    given, login = _csrf_cookie(target), urlsplit(conf.get().absolute("login"))
    if given is None:
        yield unknown(_("Kratos sets no cookie at the start of a sign-in."), _("See kratos.return_to, and a proxy."))
        return
    site, domain, path = login.hostname or "", _domain(target, given), given["path"] or "/"
    words = {"domain": domain, "path": path, "site": site}
    if _reaches(site, domain, of_host=not given["domain"]) and login.path.startswith(path):
        yield passed(_("Domain %(domain)s, path %(path)s.") % words)
    elif _signs_people_in(target):
        yield passed(_("Domain %(domain)s, path %(path)s; that of sessions has to be another: it arrives.") % words)
    else:
        yield failed(
            _("Domain %(domain)s, path %(path)s: it does not reach %(site)s.") % words,
            _("Set Kratos' cookies.domain to a domain above both and cookies.path to /, or serve both from one host."),
        )


def _csrf_cookie(target: KratosTarget) -> "Morsel[str] | None":
    given = [one for header in _login_flow(target).set_cookies for one in SimpleCookie(header).values()]
    return next((one for one in given if one.key.startswith(CSRF)), None)


def _domain(target: KratosTarget, given: "Morsel[str]") -> str:
    return (given["domain"].lstrip(".") or urlsplit(target.config.issuer).hostname or "").lower()


def _reaches(host: str, domain: str, *, of_host: bool) -> bool:
    """RFC 6265, 5.1.3. A cookie without ``Domain`` goes to its host alone."""
    return host == domain or (not of_host and host.endswith(f".{domain}"))


def _signs_people_in(target: KratosTarget) -> bool:
    lately = index.rows().filter(created_at__gt=timezone.now() - LATELY)
    return lately.filter(issuer=target.config.issuer, ended_at=None).exists()


@check("kratos.admin", gettext_lazy("Kratos' admin API"), Scope.KRATOS)
def admin(target: KratosTarget) -> Iterator[CheckResult]:
    """Whether it can be asked; without it, a forced logout leaves sessions at Kratos alive."""
    if target.config.admin is None:
        yield passed(_("None is configured: a forced logout of a person cannot end their sessions at Kratos."))
        return
    try:
        list(target.admin.sessions(NO_IDENTITY))
    except OryLogoutError as error:
        yield failed(
            _("It cannot be asked: %(error)s.") % {"error": error}, _("Compare KRATOS: ADMIN_URL, and ADMIN_TOKEN.")
        )
    else:
        yield passed(_("It answers."))


def _login_flow(target: KratosTarget) -> http.Response:
    """What Kratos answers to the start of a sign-in that is to come back here; in JSON, for which exactly that asks."""
    query = urlencode({"return_to": conf.get().absolute("login")})
    try:
        return http.get(f"{target.config.public.base_url.rstrip('/')}{LOGIN}?{query}", {"Accept": "application/json"})
    except ProviderUnavailable as error:
        raise see("kratos.public") from error
