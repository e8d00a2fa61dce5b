"""The providers of these tests: ours and oidc-provider, each with its own pages."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from .browser import SECONDS, Browser
from .processes import ROOT, Server, environment, free_port, node, serve
from .site import CLIENT_ID, CLIENT_SECRET, Site

_OIDC_PROVIDER = Path(__file__).parent / "oidc_provider"
_DISCOVERY = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class Provider:
    """A running provider, and how a user gets through its pages."""

    server: Server
    end_session_path = ""

    @property
    def issuer(self) -> str:
        return self.server.url

    def choose(self, browser: Browser, user: str) -> None:
        """Sign in as this user on the sign-in page, and return to the site."""
        raise NotImplementedError

    def confirm_logout(self, browser: Browser) -> None:
        """Confirm on the logout page."""
        raise NotImplementedError

    def leave(self, browser: Browser) -> None:
        """Do what a browser does by itself before it returns to the site."""

    def sign_in(self, browser: Browser, site: Site, user: str) -> None:
        """Sign in a user who has not signed in to the provider yet."""
        self.choose(browser.open(site.path("/auth/login/")), user)
        whoami = site.whoami(browser)
        assert whoami, f"{browser.url} ({browser.status}):\n{browser.text}"

    def log_out_there(self, browser: Browser) -> None:
        """Log out at the provider itself. The site only gets the back-channel notice."""
        self.confirm_logout(browser.open(self.issuer + self.end_session_path))


class Embedded(Provider):
    """``python -m django_ory_logout.testing``, with Hydra's behaviour."""

    end_session_path = "/oauth2/sessions/logout"

    def choose(self, browser: Browser, user: str) -> None:
        browser.press("Sign in", subject=user)

    def confirm_logout(self, browser: Browser) -> None:
        browser.press("Sign out")

    def leave(self, browser: Browser) -> None:
        if browser.page.frames:
            browser.load_frames(cookies=False)
            browser.follow("Continue")

    def order(self, switch: str, **order: Any) -> dict[str, Any]:
        """Set one of its switches for tests."""
        response = requests.post(f"{self.issuer}/testing/{switch}", json=order, timeout=SECONDS, proxies={"http": ""})
        assert response.status_code == requests.codes.ok, response.text
        document: dict[str, Any] = response.json()
        return document


class OidcProvider(Provider):
    """oidc-provider from npm, with its own login, consent and logout pages."""

    end_session_path = "/session/end"

    def choose(self, browser: Browser, user: str) -> None:
        browser.press("Sign-in", login=user, password="any").press("Continue")

    def confirm_logout(self, browser: Browser) -> None:
        browser.press("Yes, sign me out")


@contextmanager
def serve_embedded(folder: Path, *, port: int, site_url: str) -> Iterator[Embedded]:
    client = ["--site-url", site_url, "--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET]
    ports = ["--port", str(port), "--admin-port", str(free_port())]
    command = [sys.executable, "-m", "django_ory_logout.testing", *ports, *client]
    url, log = f"http://127.0.0.1:{port}", folder / "provider.log"
    with serve("embedded provider", command, url=url, ready=_DISCOVERY, log=log, env=environment(), cwd=ROOT) as server:
        yield Embedded(server)


@contextmanager
def serve_oidc_provider(folder: Path, *, port: int, site_url: str, with_sid: bool = True) -> Iterator[OidcProvider]:
    env = environment(
        PORT=str(port),
        SITE_URL=site_url,
        CLIENT_ID=CLIENT_ID,
        CLIENT_SECRET=CLIENT_SECRET,
        REDIRECT_URI=f"{site_url}/auth/callback/",
        POST_LOGOUT_REDIRECT_URI=f"{site_url}/auth/logout/callback/",
        BACKCHANNEL_LOGOUT_URI=f"{site_url}/auth/logout/backchannel/",
        BACKCHANNEL_LOGOUT_SESSION_REQUIRED=str(with_sid).lower(),
    )
    command, url, log = [node(), "provider.mjs"], f"http://127.0.0.1:{port}", folder / "provider.log"
    with serve("oidc-provider", command, url=url, ready=_DISCOVERY, log=log, env=env, cwd=_OIDC_PROVIDER) as server:
        yield OidcProvider(server)
