"""The embedded Kratos, with its pages, its admin API and its switches, and a site that uses it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from .browser import SECONDS, Browser
from .processes import environment, free_port, serve
from .providers import Embedded
from .site import CLIENT_ID, CLIENT_SECRET, Site, serve_site, site_url

WHOAMI_SECONDS = 0.5
_DISCOVERY = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class Kratos:
    """A running Kratos, and a Hydra with this Kratos as its login page."""

    hydra: Embedded
    url: str
    admin_url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that name this Kratos to the example project."""
        return {
            "KRATOS_PUBLIC_URL": self.url,
            "KRATOS_ADMIN_URL": self.admin_url,
            "KRATOS_WHOAMI_SECONDS": str(WHOAMI_SECONDS),
        }

    def choose(self, browser: Browser, user: str) -> None:
        """Sign in as this user on the sign-in page, and continue to the target."""
        browser.press(f"As {user.title()}")

    def sign_in(self, browser: Browser, site: Site, user: str) -> Browser:
        """Sign in a user who has not signed in to Kratos with this browser."""
        self.choose(browser.open(site.path("/auth/login/")), user)
        assert site.signed_in(browser), f"{browser.url} ({browser.status}):\n{browser.text}"
        return browser

    def is_signed_in(self, browser: Browser) -> bool:
        """Whether Kratos itself accepts the browser's cookie."""
        answer = browser.session.get(f"{self.url}/sessions/whoami", timeout=SECONDS)
        return bool(answer.status_code == requests.codes.ok)

    def end(self, session_id: str) -> None:
        """End the session like an administrator."""
        url = f"{self.admin_url}/admin/sessions/{session_id}"
        response = requests.delete(url, timeout=SECONDS, proxies={"http": ""})
        assert response.status_code == requests.codes.no_content, response.text

    def order(self, switch: str, **order: Any) -> dict[str, Any]:
        """Set one of its switches for tests."""
        url = f"{self.url}/testing/{switch}"
        response = requests.post(url, json=order, timeout=SECONDS, proxies={"http": ""})
        assert response.status_code == requests.codes.ok, response.text
        document: dict[str, Any] = response.json()
        return document

    @contextmanager
    def answering(self, status: int | None = 503, path: str = "") -> Iterator[None]:
        """Answer every request, or those for ``path``, with ``status`` until the block ends."""
        self.order("fault", path=path, status=status)
        try:
            yield
        finally:
            self.order("fault", path=path, status=None)

    @contextmanager
    def asking_for_a_second_factor(self) -> Iterator[None]:
        self.order("configure", required_aal="highest_available")
        try:
            yield
        finally:
            self.order("configure", required_aal="aal1")


@dataclass(frozen=True)
class KratosDeployment:
    """A site and its Kratos."""

    site: Site
    kratos: Kratos

    def sign_in(self, browser: Browser, user: str) -> Browser:
        return self.kratos.sign_in(browser, self.site, user)

    def session_of(self, browser: Browser) -> str:
        """The session at Kratos of the user who is signed in here."""
        whoami = self.site.whoami(browser)
        assert whoami
        return str(whoami["sid"])


@contextmanager
def serve_kratos(folder: Path, *, site_url: str) -> Iterator[Kratos]:
    """A Kratos and a Hydra. Kratos has the host of the site, because its cookie must reach the site."""
    port, kratos_port, kratos_admin_port = free_port(), free_port(), free_port()
    command = [
        *(sys.executable, "-m", "django_ory_logout.testing"),
        *("--port", str(port), "--admin-port", str(free_port())),
        *("--kratos-port", str(kratos_port), "--kratos-admin-port", str(kratos_admin_port)),
        *("--site-url", site_url, "--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET),
    ]
    url, log = f"http://127.0.0.1:{port}", folder / "kratos.log"
    with serve("embedded Kratos", command, url=url, ready=_DISCOVERY, log=log, env=environment()) as server:
        yield Kratos(Embedded(server), f"http://localhost:{kratos_port}", f"http://127.0.0.1:{kratos_admin_port}")


@contextmanager
def open_kratos_deployment(
    folder: Path, migrated: Path, *, through_hydra: bool = False, **serving: Any
) -> Iterator[KratosDeployment]:
    """A site with Kratos only, or with its Hydra. ``serving`` as for :func:`.site.serve_site`."""
    port = free_port()
    (folder / "site.sqlite3").write_bytes(migrated.read_bytes())
    with serve_kratos(folder, site_url=site_url(port)) as kratos:
        issuer = kratos.hydra.issuer if through_hydra else ""
        with serve_site(folder, port=port, issuer=issuer, kratos=kratos.environment, **serving) as site:
            yield KratosDeployment(site, kratos)
