"""The site of these tests: the example project with its own database, cache and session directory."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from .browser import SECONDS, Browser
from .processes import ROOT, Server, environment, serve

CLIENT_ID = "e2e-site"
CLIENT_SECRET = "e2e: secret of 32 characters & more"
_SECONDS_TO_END = 8.0


@dataclass(frozen=True)
class Site:
    """The running site, with the paths of the public URLs."""

    server: Server

    @property
    def url(self) -> str:
        return self.server.url

    def path(self, path: str) -> str:
        return self.url + path

    def whoami(self, browser: Browser) -> dict[str, Any] | None:
        """The signed-in user, or None. The request does not change the page of ``browser``."""
        response = self._asked(browser)
        if response.status_code == requests.codes.unauthorized:
            return None
        assert response.status_code == requests.codes.ok, response.text
        document: dict[str, Any] = response.json()
        assert document["authenticated"] is True
        return document

    def signed_in(self, browser: Browser) -> bool:
        return self.whoami(browser) is not None

    def soon_signed_out(self, browser: Browser) -> bool:
        """A provider may send its notice in the background, so wait a little for it."""
        return eventually(lambda: not self.signed_in(browser))

    def soon_refused(self, browser: Browser) -> str:
        """Wait until the site has asked Kratos again. Return the code with which it refuses the user."""
        assert eventually(lambda: self._asked(browser).status_code == requests.codes.forbidden)
        return str(self._asked(browser).json()["error"])

    def soon_unavailable(self, browser: Browser) -> bool:
        """Whether the site comes to answer that it cannot know the user now."""
        return eventually(lambda: self._asked(browser).status_code == requests.codes.service_unavailable)

    def _asked(self, browser: Browser) -> requests.Response:
        return browser.session.get(self.path("/auth/whoami/"), timeout=SECONDS)

    def log_out(self, browser: Browser) -> Browser:
        """Press the logout button of the site, and return the browser where the site redirected it."""
        browser.open(self.path("/auth/logout/")).press("Log out")
        return browser.submit("end-session") if "end-session" in browser.page.forms else browser


def eventually(condition: Callable[[], bool], seconds: float = _SECONDS_TO_END) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def site_url(port: int) -> str:
    """Another host name than the provider's, so that cookies are separate as in production."""
    return f"http://localhost:{port}"


@contextmanager
def serve_site(
    folder: Path,
    *,
    port: int,
    issuer: str = "",
    kratos: Mapping[str, str] | None = None,
    engine: str = "db",
    asgi: bool = False,
) -> Iterator[Site]:
    """Serve the example project with the contents of ``folder``: its migrated database, and data of earlier runs.

    ``kratos``: the environment that names a Kratos.
    """
    (folder / "sessions").mkdir(exist_ok=True)
    env = environment(
        **site_settings(folder / "site.sqlite3", port),
        OIDC_ISSUER=issuer,
        OIDC_CLIENT_ID=CLIENT_ID,
        OIDC_CLIENT_SECRET=CLIENT_SECRET,
        **(kratos or {}),
        CACHE_URL=f"filecache://{folder / 'cache'}",
        SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}",
        # Here, the engine `file` stores its sessions.
        TMPDIR=str(folder / "sessions"),
    )
    wsgi_server = ["manage.py", "runserver", "--noreload", "--insecure", f"127.0.0.1:{port}"]
    asgi_server = ["-m", "uvicorn", "--port", str(port), "example_project.asgi:application"]
    command = [sys.executable, *(asgi_server if asgi else wsgi_server)]
    with serve("site", command, url=site_url(port), ready="/", log=folder / "site.log", env=env, cwd=ROOT) as server:
        yield Site(server)


def site_settings(database: Path, port: int) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DATABASE_URL": f"sqlite:///{database}",
        "SITE_URL": site_url(port),
        "SECRET_KEY": "e2e",
        "DEBUG": "False",
        "ALLOWED_HOSTS": "localhost",
    }
