"""A provider and a site that run together."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import requests

from .browser import Browser
from .processes import free_port
from .providers import Provider
from .site import Site, serve_site, site_url

P = TypeVar("P", bound=Provider)


@dataclass(frozen=True)
class Deployment(Generic[P]):
    """A site and its provider."""

    site: Site
    provider: P

    def sign_in(self, browser: Browser, user: str) -> Browser:
        self.provider.sign_in(browser, self.site, user)
        return browser

    def log_out(self, browser: Browser) -> None:
        """RP-initiated logout, confirmed at the provider, and back at the site."""
        self.provider.confirm_logout(self.site.log_out(browser))
        self.provider.leave(browser)
        assert browser.url.startswith(self.site.path("/")), f"{browser.url} ({browser.status}):\n{browser.text}"
        assert browser.status == requests.codes.ok


@contextmanager
def open_deployment(
    serve_provider: Callable[..., AbstractContextManager[P]], folder: Path, migrated: Path, **serving: Any
) -> Iterator[Deployment[P]]:
    """A provider and a site that are configured for each other. ``serving`` as for :func:`.site.serve_site`."""
    port, provider_port = free_port(), free_port()
    (folder / "site.sqlite3").write_bytes(migrated.read_bytes())
    with (
        serve_provider(folder, port=provider_port, site_url=site_url(port)) as provider,
        serve_site(folder, port=port, issuer=provider.issuer, **serving) as site,
    ):
        yield Deployment(site, provider)
