"""A site and its Hydra, without sockets. Tests examine them healthy and with faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from authlib.oauth2.rfc6749.errors import OAuth2Error
from django.test import override_settings

from django_ory_logout.doctor import Finding, Verdict, run_checks
from django_ory_logout.sessions import events
from django_ory_logout.testing import Network, Provider
from django_ory_logout.testing.http import Answer, Request
from django_ory_logout.testing.hydra import end_session as logout
from django_ory_logout.testing.hydra.end_session import LogoutRequests
from django_ory_logout.testing.network import Route, connected
from django_ory_logout.testing.uris import set_query

from ..conftest import SITE, Configure, SiteBrowser

HYDRA_ADMIN = "http://hydra.example:4445"
END_SESSION = "/oauth2/sessions/logout"
#: This site answers for the first two names. ALLOWED_HOSTS lacks the third. STAGING is another site, with its own key.
PUBLIC, INTERNAL, NOT_ALLOWED, STAGING = (
    "https://rp.example",
    "http://localhost",
    "http://not-allowed",
    "http://staging",
)


class SiteNetwork(Network):
    """The provider with its admin API and end session endpoint, and the sites."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider, HYDRA_ADMIN)
        self._requests = LogoutRequests(provider)
        places = [Route(provider.issuer, self._end_session, END_SESSION)]
        places += [Route(url, partial(self._site, url)) for url in (PUBLIC, INTERNAL, NOT_ALLOWED)]
        self._routes = (*places, Route(STAGING, self._staging), *self._routes)

    def _end_session(self, request: Request) -> Answer:
        """Answer like the provider's end session endpoint, for a browser without a cookie."""
        try:
            asked = logout.parse(self.provider, request.form, None)
        except OAuth2Error as error:
            return _found(set_query(self.provider.pages.error, **dict(error.get_body())))
        if isinstance(asked, str):
            return _found(asked)
        challenge = self._requests.add(asked, request.path)
        return _found(set_query(self.provider.pages.logout, logout_challenge=challenge))

    def _site(self, url: str, request: Request) -> Answer:
        given = {"content_type": request.headers.get("Content-Type", ""), "HTTP_HOST": url.partition("://")[2]}
        answer = SiteBrowser().generic(request.method, request.path, request.body, **given)
        return Answer(answer.status_code, dict(answer.headers), answer.content)

    def _staging(self, request: Request) -> Answer:
        with (
            override_settings(SECRET_KEY="another site's"),
            patch.object(events, "refused"),
        ):  # another site has its own counters
            return self._site(PUBLIC, request)


def _found(url: str) -> Answer:
    return Answer(302, {"Location": url})


@contextmanager
def site_network(provider: Provider, configure: Configure, **changes: Any) -> Iterator[SiteNetwork]:
    """A site with a Hydra and its admin API."""
    configure(HYDRA={"ADMIN_URL": HYDRA_ADMIN}, **changes)
    with connected(SiteNetwork(provider)) as network:
        yield network


def found(*checks: str) -> list[Finding]:
    """The rows of these checks or sections."""
    return list(run_checks(only=checks))


def row(check: str) -> Finding:
    """The one row of ``check``."""
    [finding] = found(check)
    return finding


def not_green(*sections: str) -> dict[str, Verdict]:
    """The rows of these sections that are not green."""
    return {finding.check: finding.verdict for finding in found(*sections) if finding.verdict != Verdict.PASS}


BACK_CHANNEL = f"{SITE}/logout/backchannel/"
