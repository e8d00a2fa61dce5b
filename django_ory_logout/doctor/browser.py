"""A minimal browser: it keeps cookies and reads forms and frames. It follows no redirect by itself."""

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
    """A form of a page: its target URL, and its fields with their values."""

    action: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """The response from ``url``."""

    url: str
    response: http.Response

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def location(self) -> str:
        """The target of a redirect as an absolute URL; empty if the response is no redirect."""
        location = self.response.headers.get("Location", "") if self.status in REDIRECTS else ""
        return urljoin(self.url, location) if location else ""

    @property
    def query(self) -> dict[str, str]:
        """The query parameters of ``location``."""
        return query_of(self.location)

    @property
    def forms(self) -> list[Form]:
        return [Form(urljoin(self.url, action), fields) for action, fields in self._parsed.forms]

    @property
    def frames(self) -> list[str]:
        """The URLs of the page's frames."""
        return [urljoin(self.url, source) for source in self._parsed.frames]

    @property
    def refresh(self) -> str:
        """The URL of the page's ``Refresh``; empty if there is none."""
        content = self.response.headers.get("Refresh") or self._parsed.refresh
        target = content.partition(";")[2].strip().partition("=")[2].strip(" '\"")
        return urljoin(self.url, target) if target else ""

    @cached_property
    def _parsed(self) -> "_PageParser":
        parser = _PageParser()
        parser.feed(self.response.body.decode(errors="replace"))
        return parser


def query_of(url: str) -> dict[str, str]:
    """The parameters in the query of ``url``."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


class _PageParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.frames: list[str] = []
        self.refresh = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((attributes.get("action", ""), {}))
        elif tag == "input" and self.forms and attributes.get("name"):
            self.forms[-1][1][attributes["name"]] = attributes.get("value", "")
        elif tag == "iframe" and attributes.get("src"):
            self.frames.append(attributes["src"])
        elif tag == "meta" and attributes.get("http-equiv", "").lower() == "refresh":
            self.refresh = attributes.get("content", "")


class Cookie(NamedTuple):
    """A cookie of a ``Set-Cookie`` header (RFC 6265, 5.2)."""

    name: str
    value: str
    attributes: Mapping[str, str]

    @classmethod
    @sensitive_variables()
    def parse(cls, header: str) -> "Cookie":
        pair, *rest = (part.strip() for part in header.split(";"))
        name, _, value = pair.partition("=")
        attributes = (part.partition("=") for part in rest)
        return cls(name, value, {key.strip().lower(): text.strip() for key, _, text in attributes})

    @property
    def is_persistent(self) -> bool:
        """Whether browsers keep the cookie when they are closed."""
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


class CookieScope(NamedTuple):
    """The URLs that a cookie is sent to: one host or all hosts of a domain, and a path."""

    host: str
    is_domain: bool
    path: str
    is_secure: bool

    @classmethod
    def of(cls, cookie: Cookie, url: str) -> "CookieScope":
        parts, domain = urlsplit(url), cookie.attributes.get("domain", "").lstrip(".").lower()
        path = cookie.attributes.get("path", "")
        path = path if path.startswith("/") else parts.path.rpartition("/")[0] or "/"
        return cls(domain or parts.hostname or "", bool(domain), path, "secure" in cookie.attributes)

    def matches(self, url: str) -> bool:
        """Whether a request to ``url`` carries the cookie (RFC 6265, 5.1.3 and 5.1.4)."""
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path or "/"
        is_subdomain = self.is_domain and host.endswith(f".{self.host}")
        is_below_path = path == self.path or path.startswith(self.path.rstrip("/") + "/")
        return (host == self.host or is_subdomain) and is_below_path and (parts.scheme == "https" or not self.is_secure)


@dataclass
class Browser:
    """Keeps cookies as browsers do. It ignores a cookie for a domain that the host is not part of."""

    _cookies: dict[tuple[str, str, str], tuple[CookieScope, Cookie]] = field(default_factory=dict, repr=False)

    @sensitive_variables()
    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Page:
        """Fetch ``url``. This and the other methods raise :exc:`~..exceptions.ProviderUnavailable`."""
        return self._keep_cookies(url, http.get(url, self._headers(url, headers)))

    @sensitive_variables()
    def submit(self, form: Form, page_url: str) -> Page:
        """Submit ``form`` of the page at ``page_url``, with its fields unchanged."""
        parts = urlsplit(page_url)
        headers = {"Content-Type": FORM, "Referer": page_url, "Origin": f"{parts.scheme}://{parts.netloc}"}
        return self._keep_cookies(
            form.action, http.post(form.action, urlencode(form.fields), self._headers(form.action, headers))
        )

    @sensitive_variables()
    def post_json(self, url: str, document: object) -> Page:
        """Post ``document`` as JSON and accept JSON, as a script in a page does."""
        headers = self._headers(url, {"Accept": "application/json"})
        return self._keep_cookies(url, http.send("POST", url, document, headers))

    @sensitive_variables()
    def _headers(self, url: str, headers: Mapping[str, str] | None) -> dict[str, str]:
        cookies = [cookie for scope, cookie in self._cookies.values() if scope.matches(url)]
        line = "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)
        return {**HEADERS, **(headers or {}), **({"Cookie": line} if line else {})}

    @sensitive_variables()
    def _keep_cookies(self, url: str, response: http.Response) -> Page:
        for header in response.set_cookies:
            cookie = Cookie.parse(header)
            scope = CookieScope.of(cookie, url)
            key = (cookie.name, scope.host, scope.path)
            self._cookies.pop(key, None)
            if not cookie.has_expired and scope._replace(path="/", is_secure=False).matches(url):
                self._cookies[key] = scope, cookie
        return Page(url, response)
