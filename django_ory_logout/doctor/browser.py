"""A browser as small as can be: it keeps cookies, reads forms and frames, and goes nowhere by itself."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from django.views.decorators.debug import sensitive_variables

from .. import http
from ..oidc.messages import FORM

REDIRECTS = frozenset({301, 302, 303, 307, 308})
HEADERS = {"Accept": "text/html", "User-Agent": "ory_doctor"}


class Form(NamedTuple):
    """A form of a page: where it goes, and what it sends as it is."""

    action: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """What came from ``url``."""

    url: str
    response: http.Response

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def location(self) -> str:
        """Where a redirect leads, as an absolute URL; nothing for what is none."""
        location = self.response.headers.get("Location", "") if self.status in REDIRECTS else ""
        return urljoin(self.url, location) if location else ""

    @property
    def query(self) -> dict[str, str]:
        """The parameters with which a redirect leads there."""
        return query_of(self.location)

    @property
    def forms(self) -> list[Form]:
        return [Form(urljoin(self.url, action), fields) for action, fields in self._read.forms]

    @property
    def frames(self) -> list[str]:
        """What the page loads in frames."""
        return [urljoin(self.url, source) for source in self._read.frames]

    @property
    def refresh(self) -> str:
        """Where the page goes by itself after a while, without script."""
        content = self.response.headers.get("Refresh") or self._read.refresh
        target = content.partition(";")[2].strip().partition("=")[2].strip(" '\"")
        return urljoin(self.url, target) if target else ""

    @cached_property
    def _read(self) -> "_Reader":
        reader = _Reader()
        reader.feed(self.response.body.decode(errors="replace"))
        return reader


def query_of(url: str) -> dict[str, str]:
    """The parameters in the query of ``url``."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.frames: list[str] = []
        self.refresh = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        elif tag == "input" and self.forms and given.get("name"):
            self.forms[-1][1][given["name"]] = given.get("value", "")
        elif tag == "iframe" and given.get("src"):
            self.frames.append(given["src"])
        elif tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.refresh = given.get("content", "")


class Cookie(NamedTuple):
    """A cookie as its header says it (RFC 6265, 5.2)."""

    name: str
    value: str
    attributes: Mapping[str, str]

    @classmethod
    @sensitive_variables()
    def parse(cls, header: str) -> "Cookie":
        pair, *rest = (part.strip() for part in header.split(";"))
        name, _, value = pair.partition("=")
        said = (part.partition("=") for part in rest)
        return cls(name, value, {key.strip().lower(): text.strip() for key, _, text in said})

    @property
    def is_persistent(self) -> bool:
        """Whether it outlives the browser."""
        return "max-age" in self.attributes or "expires" in self.attributes

    @property
    def has_expired(self) -> bool:
        if "max-age" in self.attributes:
            seconds = self.attributes["max-age"]
            return not (seconds.isdecimal() and int(seconds) > 0)
        try:
            return parsedate_to_datetime(self.attributes.get("expires", "")).timestamp() < time.time()
        except ValueError:
            return False


class Place(NamedTuple):
    """Where a cookie belongs to: a host alone or all below a domain, and a path."""

    host: str
    is_domain: bool
    path: str
    is_secure: bool

    @classmethod
    def of(cls, cookie: Cookie, url: str) -> "Place":
        parts, domain = urlsplit(url), cookie.attributes.get("domain", "").lstrip(".").lower()
        path = cookie.attributes.get("path", "")
        path = path if path.startswith("/") else parts.path.rpartition("/")[0] or "/"
        return cls(domain or parts.hostname or "", bool(domain), path, "secure" in cookie.attributes)

    def has(self, url: str) -> bool:
        """Whether a request to ``url`` carries the cookie (RFC 6265, 5.1.3 and 5.1.4)."""
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path or "/"
        below = self.is_domain and host.endswith(f".{self.host}")
        within = path == self.path or path.startswith(self.path.rstrip("/") + "/")
        return (host == self.host or below) and within and (parts.scheme == "https" or not self.is_secure)


@dataclass
class Browser:
    """Keeps cookies as browsers do; of a cookie for a host that is not its own it takes none."""

    _cookies: dict[tuple[str, str, str], tuple[Place, Cookie]] = field(default_factory=dict, repr=False)

    @sensitive_variables()
    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Page:
        """Fetch ``url``. Raises :exc:`~..exceptions.ProviderUnavailable`, as all of these do."""
        return self._kept(url, http.get(url, self._headers(url, headers)))

    @sensitive_variables()
    def submit(self, form: Form, page_url: str) -> Page:
        """Send ``form`` as it stands on the page at ``page_url``."""
        parts = urlsplit(page_url)
        headers = {"Content-Type": FORM, "Referer": page_url, "Origin": f"{parts.scheme}://{parts.netloc}"}
        return self._kept(
            form.action, http.post(form.action, urlencode(form.fields), self._headers(form.action, headers))
        )

    @sensitive_variables()
    def send(self, url: str, document: object) -> Page:
        """Post ``document`` as JSON, as a page's script does, and take JSON."""
        headers = self._headers(url, {"Accept": "application/json"})
        return self._kept(url, http.send("POST", url, document, headers))

    @sensitive_variables()
    def _headers(self, url: str, headers: Mapping[str, str] | None) -> dict[str, str]:
        cookies = [cookie for place, cookie in self._cookies.values() if place.has(url)]
        line = "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)
        return {**HEADERS, **(headers or {}), **({"Cookie": line} if line else {})}

    @sensitive_variables()
    def _kept(self, url: str, response: http.Response) -> Page:
        for header in response.set_cookies:
            cookie = Cookie.parse(header)
            place = Place.of(cookie, url)
            key = (cookie.name, place.host, place.path)
            self._cookies.pop(key, None)
            if not cookie.has_expired and place._replace(path="/", is_secure=False).has(url):
                self._cookies[key] = place, cookie
        return Page(url, response)
