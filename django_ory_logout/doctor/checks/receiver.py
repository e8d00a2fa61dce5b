"""The receivers of logout notices: through this site's middleware, and by their public URLs."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlencode, urljoin, urlsplit

from django.conf import settings
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import conf, http
from ...exceptions import ProviderUnavailable
from ...flows.notices import DOCTOR_PROBE_CODE, DOCTOR_PROBE_TOKEN
from ...oidc.messages import FORM
from ...oidc.metadata import origin
from ..browser import REDIRECTS
from ..findings import CheckResult, NotKnown, Scope, check, failed, passed, unknown, warned
from ..local_request import post_locally
from ..redaction import redact_url, truncate
from ..targets import ProviderTarget, SiteTarget, describe_error, document_in, probe_form, send_probe

#: A host source of a Content Security Policy (CSP 3, 2.3.1).
_SOURCE = re.compile(r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>[^:/]+)(?::(?P<port>\d+|\*))?(?:/.*)?")
_PORTS = {"http": 80, "https": 443}


@check("receiver.inside", gettext_lazy("Back-channel receiver, through this site's middleware"))
def inside(site: SiteTarget) -> CheckResult:
    """Whether this site's settings let a notice through: a request in this process, without the network."""
    url = site.config.absolute("backchannel_logout")
    try:
        response = post_locally(url, probe_form(), FORM)
    except Exception as error:  # a middleware can raise anything
        return failed(
            _("The site's middleware cannot be loaded: %(error)s.") % {"error": type(error).__name__},
            _("See site.checks, and run manage.py check."),
        )
    return _receiver_result(url, response)


@check("receiver.backchannel", gettext_lazy("Back-channel receiver, from outside"))
def backchannel(site: SiteTarget) -> CheckResult:
    """Whether the receiver at the public URL answers an invalid token with its own 400."""
    url, outcome = site.config.absolute("backchannel_logout"), site.receiver.outcome
    if isinstance(outcome, ProviderUnavailable) and http.is_connection_refused(outcome):
        return failed(
            _("The connection to %(url)s is refused.") % {"url": url},
            _("Check that the site and its proxy run, and that SITE_URL is right, with its port."),
        )
    if isinstance(outcome, ProviderUnavailable):
        return unknown(
            _("This machine does not reach %(url)s: %(error)s.") % {"url": url, "error": describe_error(outcome)},
            _(
                "Run on the provider's machine: curl -i -d logout_token=%(probe)s %(url)s. The answer has to be 400 "
                "with %(code)s. If that machine cannot connect, or does not trust the certificate, no notice arrives."
            )
            % {"url": url, "probe": DOCTOR_PROBE_TOKEN, "code": DOCTOR_PROBE_CODE},
        )
    return _receiver_result(url, outcome)


@check("receiver.slash", gettext_lazy("Back-channel receiver, without the last slash"))
def without_slash(site: SiteTarget) -> CheckResult:
    """Whether the receiver answers the POST without the last slash.

    Hydra follows a redirect by GET, and treats that as a success.
    """
    site.must_be_reachable()
    url = site.config.absolute("backchannel_logout").rstrip("/")
    return _receiver_result(url, send_probe(url))


def _receiver_result(url: str, response: http.Response) -> CheckResult:
    document = document_in(response)
    if response.status == HTTPStatus.BAD_REQUEST and document.get("error") == "invalid_request":
        code = document.get("error_description")
        if code == DOCTOR_PROBE_CODE:
            return passed(_("%(url)s answers an invalid token with the receiver's own 400.") % {"url": url})
        return failed(
            _("%(url)s answers with a 400 like this app's, and with the code %(code)s.")
            % {"url": url, "code": truncate(code)},
            _(
                "Another site with this app answers, or this site with another SECRET_KEY or version. Or a proxy drops "
                "or changes the posted form."
            ),
        )
    return unexpected_response(url, response)


def unexpected_response(url: str, response: http.Response) -> CheckResult:
    """The result if another view or server answered at ``url``, with its probable cause."""
    found = {"url": url, "status": response.status}
    if response.status in REDIRECTS:
        target = urljoin(url, response.headers.get("Location", ""))
        return failed(
            _("%(url)s redirects (%(status)d) to %(target)s.") % {**found, "target": redact_url(target)},
            _redirect_advice(url, target),
        )
    return failed(
        _("%(url)s answers %(status)d, which is not the answer of this app.") % found, _status_advice(response)
    )


def _redirect_advice(url: str, target: str) -> str:
    here, there = urlsplit(url), urlsplit(target)
    if there.path == f"{here.path}/":
        return _("A redirect adds a slash, so notices are lost. Exclude this path from that rule.")
    if there.path == here.path and (here.scheme, there.scheme) == ("http", "https"):
        return _("SECURE_SSL_REDIRECT or a proxy redirects to https, so notices are lost. Make SITE_URL https.")
    if there.path == here.path and here.netloc != there.netloc:
        return _("PREPEND_WWW or a proxy redirects to another host, so notices are lost. Set SITE_URL to that host.")
    return _("A login wall, a proxy or a middleware redirects, so notices are lost. Exclude this path from that rule.")


def _status_advice(response: http.Response) -> str:
    status = response.status
    if 200 <= status < 300:
        return _("A login page or another view answers instead. Notices are lost, and the provider sees a success.")
    if status == HTTPStatus.FORBIDDEN and b"CSRF" in response.body:
        return _("A CSRF check answers: a decorator or a middleware adds it. Exclude this path from it.")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return _("A login wall or a firewall answers. Let this path through.")
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        return _("Another server or view answers at SITE_URL, or the proxy does not forward this path.")
    if status == HTTPStatus.BAD_REQUEST:
        return _("Django or a proxy refuses the request. Check that ALLOWED_HOSTS has the host of SITE_URL.")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _("A rate limit answers. Exclude this path from it.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _("The site fails, or the proxy does not reach it. See the logs of both.")
    return _("See the logs of this site and of the proxy.")


@check("receiver.logout", gettext_lazy("Logout button, from outside"))
def logout(site: SiteTarget) -> CheckResult:
    """Whether Django's CSRF check accepts a form of this site. The doctor is not signed in, so no session ends."""
    if settings.CSRF_USE_SESSIONS:
        raise NotKnown(_("CSRF_USE_SESSIONS is on: the token is in the browser's session, and the doctor has none."))
    site.must_be_reachable()
    url, secret, next_path = site.config.absolute("logout"), get_random_string(32), f"/{get_random_string(12)}/"
    headers = {
        "Content-Type": FORM,
        "Accept": "application/json",
        "Origin": site.config.site_url,
        "Referer": url,
        "Cookie": f"{settings.CSRF_COOKIE_NAME}={secret}",
    }
    response = http.post(url, urlencode({"csrfmiddlewaretoken": secret, "next": next_path}), headers)
    if response.status == HTTPStatus.FOUND and urlsplit(response.headers.get("Location", "")).path == next_path:
        return passed(_("%(url)s accepts a form of this site.") % {"url": url})
    if response.status == HTTPStatus.FORBIDDEN and b"csrf_failed" in response.body:
        return failed(
            _("%(url)s refuses a form of this site: CSRF verification failed.") % {"url": url},
            _(
                "If a proxy ends TLS, set SECURE_PROXY_SSL_HEADER and let the proxy forward Host. Or add SITE_URL to "
                "CSRF_TRUSTED_ORIGINS."
            ),
        )
    return unexpected_response(url, response)


@check("receiver.frontchannel", gettext_lazy("Front-channel page in a frame"), Scope.PROVIDER)
def frontchannel(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether browsers show the page in a frame of the provider's page, with all headers that proxies add."""
    issuer, url = target.registration.issuer, target.site.config.absolute("frontchannel_logout")
    target.site.must_be_reachable()
    response = http.get(f"{url}?{urlencode({'iss': issuer, 'sid': DOCTOR_PROBE_TOKEN})}", {"Accept": "text/html"})
    if response.status == HTTPStatus.BAD_REQUEST and policies(response):
        yield failed(
            _("%(url)s does not know the issuer %(issuer)s.") % {"url": url, "issuer": issuer},
            _("The running site has other settings than the doctor. Use the same for both, and restart the site."),
        )
    elif not response.ok:
        yield unexpected_response(url, response)
    elif issuer.startswith("https:") and not conf.is_secure(url):
        yield failed(
            _("The provider is https, and %(url)s is http.") % {"url": url},
            _("Browsers block such a frame. Make SITE_URL https."),
        )
    else:
        yield _framed(url, response, origin(issuer))
    if not target.config.frontchannel_logout_session_required:
        yield warned(
            _("FRONTCHANNEL_LOGOUT_SESSION_REQUIRED is off: without iss and sid, only the cookie names the session."),
            _("Browsers send no Lax cookie in a frame, and Safari sends none. Let the provider send iss and sid."),
        )


def _framed(url: str, response: http.Response, provider: str) -> CheckResult:
    found = {"url": url, "provider": provider}
    if any(not allows(policy, provider, origin(url)) for policy in policies(response)):
        return failed(
            _("The Content-Security-Policy of %(url)s forbids %(provider)s to show it in a frame.") % found,
            _("A proxy or middleware adds frame-ancestors, or another page answers. Exclude this path from that rule."),
        )
    if policies(response) and response.headers.get("X-Frame-Options"):
        return warned(
            _("%(url)s has an X-Frame-Options header.") % found,
            _("Browsers without frame-ancestors block the frame. Find the proxy or middleware that adds the header."),
        )
    if response.headers.get("X-Frame-Options"):
        return failed(
            _("%(url)s has an X-Frame-Options header, and not its own Content-Security-Policy.") % found,
            _("A proxy or middleware changes the headers, or another page answers. Exclude this path from that rule."),
        )
    if not policies(response):
        return warned(
            _("%(url)s does not have its own Content-Security-Policy.") % found,
            _("A proxy or middleware removes the header, or another page answers, such as a login page."),
        )
    return passed(_("%(provider)s may show %(url)s in a frame.") % found)


def policies(response: http.Response) -> list[list[str]]:
    """The sources of each policy with ``frame-ancestors``. All of them have to allow the frame (CSP 3, 6.4.2)."""
    header = response.headers.get("Content-Security-Policy", "").lower()
    found = (_frame_ancestors(policy) for policy in header.split(","))
    return [sources for sources in found if sources is not None]


def _frame_ancestors(policy: str) -> list[str] | None:
    directives = (directive.split() for directive in policy.split(";"))
    return next((words[1:] for words in directives if words[:1] == ["frame-ancestors"]), None)


def allows(sources: list[str], provider: str, site: str) -> bool:
    return any(_matches(site if source == "'self'" else source, provider) for source in sources)


def _matches(source: str, provider: str) -> bool:
    """Whether ``source`` allows ``provider``, an origin (CSP 3, 6.7.2.8)."""
    wanted = urlsplit(provider)
    if source == "*" or source in {f"{wanted.scheme}:", "http:"}:
        return True
    match = _SOURCE.fullmatch(source)
    if not match or (match["scheme"] or wanted.scheme) not in {wanted.scheme, "http"}:
        return False
    host, port, standard = match["host"], match["port"], _PORTS[wanted.scheme]
    is_host = host in {"*", wanted.hostname} or (host[:2] == "*." and str(wanted.hostname).endswith(host[1:]))
    return is_host and (port == "*" or int(port or standard) == (wanted.port or standard))
