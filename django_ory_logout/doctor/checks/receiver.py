"""Our receivers: through this site's own middleware, and as the provider reaches them, by the public URL."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from django.conf import settings
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import http
from ...exceptions import ProviderUnavailable
from ...flows.notices import DOCTOR_PROBE_CODE, DOCTOR_PROBE_TOKEN
from ...oidc.messages import FORM
from ..findings import CheckResult, NotKnown, address, check, failed, passed, quoted, unknown
from ..local_request import answered_here
from ..targets import NOTICE_HEADERS, SiteTarget, fault, notice

REDIRECTS = {301, 302, 303, 307, 308}


@check("receiver.inside", gettext_lazy("Back-channel receiver, behind this site's own middleware"))
def inside(site: SiteTarget) -> Iterator[CheckResult]:
    """In this process, without the network: what the settings alone put in the way of a notice."""
    url = site.config.absolute("backchannel_logout")
    try:
        response = answered_here(url, notice(), FORM)
    except Exception as error:  # of any middleware
        yield failed(
            _("The site's middleware cannot be loaded: %(error)s.") % {"error": type(error).__name__},
            _("See site.checks, and run manage.py check."),
        )
        return
    yield _judged(url, response)


@check("receiver.backchannel", gettext_lazy("Back-channel receiver, from outside"))
def backchannel(site: SiteTarget) -> Iterator[CheckResult]:
    """An invalid token has to come back as our own 400."""
    url, answer = site.config.absolute("backchannel_logout"), site.receiver.answer
    if isinstance(answer, ProviderUnavailable) and http.nobody_listens(answer):
        yield failed(
            _("Nobody listens at %(url)s: the connection is refused.") % {"url": url},
            _("Does the site run, or the proxy before it, and is SITE_URL right, with its port?"),
        )
        return
    if isinstance(answer, ProviderUnavailable):
        yield unknown(
            _("This machine does not reach %(url)s: %(error)s.") % {"url": url, "error": fault(answer)},
            _(
                "Ask from the provider's machine, by curl -i -d logout_token=%(probe)s %(url)s: it has to answer 400 "
                "with %(code)s. What it cannot reach, or does not trust the certificate of, gets no notice."
            )
            % {"url": url, "probe": DOCTOR_PROBE_TOKEN, "code": DOCTOR_PROBE_CODE},
        )
        return
    yield _judged(url, answer)


@check("receiver.slash", gettext_lazy("The same without its last slash"))
def without_slash(site: SiteTarget) -> Iterator[CheckResult]:
    """Hydra turns a redirected POST into a GET, and calls it a success."""
    site.must_be_reachable()
    url = site.config.absolute("backchannel_logout").rstrip("/")
    yield _judged(url, http.post(url, notice(), NOTICE_HEADERS))


def _judged(url: str, response: http.Response) -> CheckResult:
    said = _said(response)
    if response.status == HTTPStatus.BAD_REQUEST and said.get("error") == "invalid_request":
        code = said.get("error_description")
        if code == DOCTOR_PROBE_CODE:
            return passed(_("%(url)s refuses what is no token, with our own 400.") % {"url": url})
        return failed(
            _("%(url)s answers with a 400 like ours, and %(code)s.") % {"url": url, "code": quoted(code)},
            _(
                "Another site with this app answers, or this one with another SECRET_KEY or version; or a proxy drops "
                "or changes what is posted."
            ),
        )
    return in_the_way(url, response)


def _said(response: http.Response) -> Mapping[str, Any]:
    try:
        return response.json()
    except ProviderUnavailable:
        return {}


def in_the_way(url: str, response: http.Response) -> CheckResult:
    """Something else than our view has answered at ``url``: what, as far as its answer tells."""
    found = {"url": url, "status": response.status}
    if response.status in REDIRECTS:
        target = urljoin(url, response.headers.get("Location", ""))
        return failed(
            _("%(url)s redirects (%(status)d) to %(target)s.") % {**found, "target": address(target)},
            _redirecting(url, target),
        )
    return failed(_("%(url)s answers %(status)d, and not as our view does.") % found, _answering(response))


def _redirecting(url: str, target: str) -> str:
    here, there = urlsplit(url), urlsplit(target)
    if there.path == f"{here.path}/":
        return _("Something adds a slash, and loses the notice: let this path through as it is.")
    if there.path == here.path and (here.scheme, there.scheme) == ("http", "https"):
        return _("SECURE_SSL_REDIRECT or a proxy's rule loses the notice: SITE_URL has to be https.")
    if there.path == here.path and here.netloc != there.netloc:
        return _("PREPEND_WWW or a proxy's rule loses the notice: SITE_URL has to name the host that answers itself.")
    return _("A login wall, or a rule of a proxy or a middleware, loses the notice: let this path through.")


def _answering(response: http.Response) -> str:
    status = response.status
    if 200 <= status < 300:
        return _("A login page or another view answers in its place: notices are lost, and the provider sees success.")
    if status == HTTPStatus.FORBIDDEN and b"CSRF" in response.body:
        return _("A CSRF check answers: something wraps the view or checks before it. Let this path through.")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return _("A login wall or a firewall answers: let this path through.")
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        return _("Another server or view answers at SITE_URL, or the proxy does not pass this path on.")
    if status == HTTPStatus.BAD_REQUEST:
        return _("Django or a proxy refuses the request: does ALLOWED_HOSTS have the host of SITE_URL?")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _("A rate limit answers: let this path through.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _("The site fails, or the proxy does not reach it: see the logs of both.")
    return _("See the logs of this site and of the proxy.")


@check("receiver.logout", gettext_lazy("Logout button, from outside"))
def logout(site: SiteTarget) -> Iterator[CheckResult]:
    """Whether Django's CSRF check takes a form of this site for its own. Nobody is signed in there; nothing ends."""
    if settings.CSRF_USE_SESSIONS:
        raise NotKnown(_("CSRF_USE_SESSIONS is on: only a browser's session has the token."))
    site.must_be_reachable()
    url, secret, mark = site.config.absolute("logout"), get_random_string(32), f"/{get_random_string(12)}/"
    headers = {
        "Content-Type": FORM,
        "Accept": "application/json",
        "Origin": site.config.site_url,
        "Referer": url,
        "Cookie": f"{settings.CSRF_COOKIE_NAME}={secret}",
    }
    response = http.post(url, urlencode({"csrfmiddlewaretoken": secret, "next": mark}), headers)
    if response.status == HTTPStatus.FOUND and urlsplit(response.headers.get("Location", "")).path == mark:
        yield passed(_("%(url)s takes a form of this site.") % {"url": url})
    elif response.status == HTTPStatus.FORBIDDEN and b"csrf_failed" in response.body:
        yield failed(
            _("%(url)s refuses a form of this site: CSRF verification failed.") % {"url": url},
            _(
                "Behind a proxy that ends TLS, set SECURE_PROXY_SSL_HEADER and let it pass Host on; or add SITE_URL to "
                "CSRF_TRUSTED_ORIGINS."
            ),
        )
    else:
        yield in_the_way(url, response)
