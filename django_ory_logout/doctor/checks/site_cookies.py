"""Cookies: whether browsers keep them, and bring them where they are needed."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import conf
from ..findings import CheckResult, check, failed, passed, warned
from ..targets import SiteTarget


@check("site.cookies", gettext_lazy("Cookies"))
def cookies(site: SiteTarget) -> Iterator[CheckResult]:
    """Whether browsers keep the session's cookie and that against CSRF, and bring both to this app's pages."""
    kinds = ["SESSION_COOKIE"] if settings.CSRF_USE_SESSIONS else ["SESSION_COOKIE", "CSRF_COOKIE"]
    wrong = [said for kind in kinds for said in _wrong(kind, site.config.site_url)]
    yield from wrong
    if not wrong:
        yield passed(_("Browsers keep them at %(url)s.") % {"url": site.config.site_url})


def _wrong(kind: str, site_url: str) -> Iterator[CheckResult]:
    host = urlsplit(site_url).hostname or ""
    domain = str(_setting(kind, "DOMAIN") or "").lstrip(".").lower()
    if domain and host != domain and not host.endswith(f".{domain}"):
        yield failed(
            _("%(name)s is %(domain)r, and the site is %(host)s.")
            % {"name": f"{kind}_DOMAIN", "domain": domain, "host": host},
            _("Browsers drop the cookie: name a domain that the host of SITE_URL lies in, or none."),
        )
    path = reverse("ory_logout:logout")
    if not path.startswith(_setting(kind, "PATH")):
        yield failed(
            _("%(name)s does not cover %(path)s.") % {"name": f"{kind}_PATH", "path": path},
            _("Browsers do not bring the cookie there: use a path above both, most often a slash alone."),
        )
    yield from _insecure(kind, site_url)


def _insecure(kind: str, site_url: str) -> Iterator[CheckResult]:
    secure, name = _setting(kind, "SECURE"), {"name": f"{kind}_SECURE"}
    if str(_setting(kind, "SAMESITE")).lower() == "none" and not secure:
        yield failed(
            _("%(samesite)s is None, and %(name)s is off.") % {**name, "samesite": f"{kind}_SAMESITE"},
            _("Browsers drop the cookie, though not all of them yet: use Lax."),
        )
    if secure and not site_url.startswith("https:"):
        lone = conf.is_secure(site_url)
        yield (warned if lone else failed)(
            _("%(name)s is on, and SITE_URL is http.") % name,
            _("Safari keeps no such cookie on this machine: switch it off for http.")
            if lone
            else _("Browsers never bring the cookie: make SITE_URL https."),
        )


def _setting(kind: str, name: str) -> Any:
    return getattr(settings, f"{kind}_{name}")
