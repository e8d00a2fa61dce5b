"""The test site, its provider and the provider's admin API, without sockets. Test browsers can open all of them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import get_urlconf, set_urlconf
from urllib3 import HTTPHeaderDict

from django_ory_logout.oidc import documents
from django_ory_logout.testing import Delivery, LoginSession, Provider
from django_ory_logout.testing.http import Answer, Request
from django_ory_logout.testing.hydra import admin, authorization, endpoints
from django_ory_logout.testing.hydra.admin import Admin
from django_ory_logout.testing.hydra.backchannel import BackChannel, Report
from django_ory_logout.testing.network import FakeNetwork, Route
from django_ory_logout.testing.server import sign_in, sign_out
from django_ory_logout.testing.server.site import ProviderSite
from django_ory_logout.testing.server.urls import URLConf
from django_ory_logout.testing.uris import set_query

SITE_URL, ADMIN_URL = "https://rp.example", "http://hydra:4445"
CARRIED = ("Accept", "Cookie", "Origin", "Referer", "User-Agent")

VIEWS: dict[str, Callable[[HttpRequest, ProviderSite], HttpResponse]] = {
    "/oauth2/auth": sign_in.authorize,
    "/oauth2/sessions/logout": sign_out.end_session,
}


def forget_documents() -> None:
    """Clear the test's cache too, so that the site fetches the provider's documents again."""
    cache.clear()
    documents._parsed.clear()


class AtOnce(BackChannel):
    """Delivers in the thread of the test, and does not wait."""

    def __init__(self) -> None:
        super().__init__(sleep=lambda _seconds: None)

    def deliver_in_background(self, deliveries: Iterable[Delivery]) -> Any:
        for delivery in deliveries:
            report = Report(delivery.client_id, delivery.url)
            self.reports.append(report)
            self._run(delivery, report)


class HydraNetwork(FakeNetwork):
    """Routes ``requests`` to the site, the provider and the admin API. A test can set a fault for any path."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(
            Route(ADMIN_URL, self._of_admin, "/admin/"),
            Route(provider.issuer, self._of_provider),
            Route(SITE_URL, of_site),
        )
        self.provider, self.face = provider, ProviderSite(provider, AtOnce())
        self._urlconf: Any = URLConf(self.face)
        self.admin = Admin(provider, self.face.logout_requests, self.face.backchannel.deliver_in_background)

    def follow(
        self, authorization_request: str, subject: str = "amber", *, login_session: LoginSession | None = None
    ) -> str:
        """Sign in as ``subject`` at the provider, like :meth:`Network.follow`."""
        asked = authorization.parse(self.provider, dict(parse_qsl(urlsplit(authorization_request).query)))
        parameters = authorization.respond(self.provider, asked, login_session or self.provider.sign_in(subject))
        return set_query(asked.redirect_uri, **parameters)

    def _of_admin(self, request: Request) -> Answer:
        return admin.answer(self.admin, replace(request, path=request.path.removeprefix("/admin")))

    def _of_provider(self, request: Request) -> Answer:
        if request.path not in VIEWS:
            return endpoints.answer(self.provider, request)
        with urls_of(self._urlconf):
            return _answer(VIEWS[request.path](_sent(RequestFactory(), request), self.face))


def of_site(request: Request) -> Answer:
    """Answer as the test site, with its middleware and its CSRF check."""
    with urls_of(None):
        return _answer(_sent(Browser(raise_request_exception=False, enforce_csrf_checks=True), request))


@contextmanager
def urls_of(urlconf: Any) -> Iterator[None]:
    """Use this URLconf until the request is answered. Site and provider can call each other meanwhile."""
    before = get_urlconf()
    set_urlconf(urlconf)
    try:
        yield
    finally:
        set_urlconf(before)


def _sent(factory: Any, request: Request) -> Any:
    carried = {name: request.headers[name] for name in CARRIED if name in request.headers}
    return factory.generic(
        request.method,
        request.path,
        request.body,
        request.headers.get("Content-Type", ""),
        secure=True,
        headers={**carried, "Host": SITE_URL.removeprefix("https://")},
        QUERY_STRING=urlencode(request.query),
    )


def _answer(response: HttpResponse) -> Answer:
    headers = HTTPHeaderDict(response.headers)
    headers.pop("Content-Length", None)  # a fault may change the body
    for cookie in response.cookies.values():
        headers.add("Set-Cookie", cookie.OutputString())
    return Answer(response.status_code, headers, response.content)
