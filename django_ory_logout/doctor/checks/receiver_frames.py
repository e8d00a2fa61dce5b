"""The front-channel page: whether the provider's page may frame it, and a frame is enough."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import conf, http
from ...flows.notices import DOCTOR_PROBE_TOKEN
from ...oidc.metadata import origin
from ..findings import CheckResult, Scope, check, failed, passed, warned
from ..targets import ProviderTarget
from .receiver import in_the_way

#: A host source of a Content Security Policy (CSP 3, 2.3.1).
_SOURCE = re.compile(r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>[^:/]+)(?::(?P<port>\d+|\*))?(?:/.*)?")
_PORTS = {"http": 80, "https": 443}


@check("receiver.frontchannel", gettext_lazy("Front-channel page, framed"), Scope.PROVIDER)
def frontchannel(target: ProviderTarget) -> Iterator[CheckResult]:
    """Whether the provider's page may frame it, and nothing between has forbidden that."""
    issuer, url = target.registration.issuer, target.site.config.absolute("frontchannel_logout")
    target.site.must_be_reachable()
    response = http.get(f"{url}?{urlencode({'iss': issuer, 'sid': DOCTOR_PROBE_TOKEN})}", {"Accept": "text/html"})
    if response.status == HTTPStatus.BAD_REQUEST and policies(response):
        yield failed(
            _("%(url)s does not know the issuer %(issuer)s.") % {"url": url, "issuer": issuer},
            _("The site that runs has other settings than the doctor: restart it, and run both with the same."),
        )
    elif not response.ok:
        yield in_the_way(url, response)
    elif issuer.startswith("https:") and not conf.is_secure(url):
        yield failed(
            _("The provider is https, and %(url)s is http.") % {"url": url},
            _("Browsers load no such frame: make SITE_URL https."),
        )
    else:
        yield _framed(url, response, origin(issuer))
    if not target.config.frontchannel_logout_session_required:
        yield warned(
            _("FRONTCHANNEL_LOGOUT_SESSION_REQUIRED is off: without iss and sid, the cookie has to tell who is meant."),
            _("Browsers bring no Lax cookie into a frame, and Safari none at all: let the provider send iss and sid."),
        )


def _framed(url: str, response: http.Response, provider: str) -> CheckResult:
    found = {"url": url, "provider": provider}
    if any(not allows(policy, provider, origin(url)) for policy in policies(response)):
        return failed(
            _("The Content-Security-Policy of %(url)s does not let %(provider)s frame it.") % found,
            _("Something adds a frame-ancestors of its own, or another page answers: leave this path out."),
        )
    if policies(response) and response.headers.get("X-Frame-Options"):
        return warned(
            _("%(url)s is sent with X-Frame-Options.") % found,
            _("Browsers that do not know frame-ancestors show no frame: see which proxy or middleware adds it."),
        )
    if response.headers.get("X-Frame-Options"):
        return failed(
            _("%(url)s is sent with X-Frame-Options, and without its own Content-Security-Policy.") % found,
            _("A proxy or a middleware changes the headers, or another page answers: leave this path out."),
        )
    if not policies(response):
        return warned(
            _("%(url)s is sent without its own Content-Security-Policy.") % found,
            _("A proxy or a middleware takes the header away, or another page answers, such as a login page."),
        )
    return passed(_("%(provider)s may frame %(url)s.") % found)


def policies(response: http.Response) -> list[list[str]]:
    """The sources of each policy that has ``frame-ancestors``; all of them have to agree (CSP 3, 6.4.2)."""
    directives = (
        next((words for one in policy.split(";") if (words := one.lower().split())[:1] == ["frame-ancestors"]), None)
        for policy in response.headers.get("Content-Security-Policy", "").split(",")
    )
    return [words[1:] for words in directives if words]


def allows(sources: list[str], provider: str, site: str) -> bool:
    return any(_matches(site if source == "'self'" else source, provider) for source in sources)


def _matches(source: str, provider: str) -> bool:
    """Whether ``source`` stands for ``provider``, an origin (CSP 3, 6.7.2.8)."""
    asked = urlsplit(provider)
    if source == "*" or source in {f"{asked.scheme}:", "http:"}:
        return True
    given = _SOURCE.fullmatch(source)
    if not given or (given["scheme"] or asked.scheme) not in {asked.scheme, "http"}:
        return False
    host, port, standard = given["host"], given["port"], _PORTS[asked.scheme]
    is_host = host in {"*", asked.hostname} or (host[:2] == "*." and str(asked.hostname).endswith(host[1:]))
    return is_host and (port == "*" or int(port or standard) == (asked.port or standard))
