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
class World(Generic[P]):
    """What a journey goes through."""

    site: Site
    provider: P

    def sign_in(self, browser: Browser, person: str) -> Browser:
        self.provider.sign_in(browser, self.site, person)
        return browser

    def log_out(self, browser: Browser) -> None:
        """RP-initiated, confirmed at the provider, and back at the site."""
        self.provider.confirm_logout(self.site.log_out(browser))
        self.provider.leave(browser)
        assert browser.url.startswith(self.site.path("/")), f"{browser.url} ({browser.status}):\n{browser.text}"
        assert browser.status == requests.codes.ok


@contextmanager
def open_world(
    serve_provider: Callable[..., AbstractContextManager[P]], room: Path, migrated: Path, **serving: Any
) -> Iterator[World[P]]:
    """A provider and a site that know each other. ``serving`` as for :func:`.site.serve_site`."""
    port, provider_port = free_port(), free_port()
    (room / "site.sqlite3").write_bytes(migrated.read_bytes())
    with (
        serve_provider(room, port=provider_port, site_url=site_url(port)) as provider,
        serve_site(room, port=port, issuer=provider.issuer, **serving) as site,
    ):
        yield World(site, provider)
