"""A minimal browser: it keeps cookies and reads forms and frames. It follows no redirect by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from functools import cached_property
from html.parser import HTMLParser
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit
from urllib.request import Request

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


def _cookie_jar() -> CookieJar:
    # By default, a cookie without Domain goes to subdomains too.
    return CookieJar(_Policy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain))


class _Policy(DefaultCookiePolicy):
    """Browsers also keep cookies with ``Domain=localhost``. The default policy refuses a domain without a dot."""

    def set_ok_domain(self, cookie: Cookie, request: Request) -> bool:
        return _is_own_host(cookie, request) or super().set_ok_domain(cookie, request)

    def return_ok_domain(self, cookie: Cookie, request: Request) -> bool:
        return _is_own_host(cookie, request) or super().return_ok_domain(cookie, request)


def _is_own_host(cookie: Cookie, request: Request) -> bool:
    return cookie.domain.removeprefix(".") == urlsplit(request.full_url).hostname


@dataclass
class Browser:
    """Keeps cookies as browsers do. It ignores a cookie for a domain that the host is not part of."""

    cookies: CookieJar = field(default_factory=_cookie_jar, repr=False)

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
        request = Request(url)  # noqa: S310
        self.cookies.add_cookie_header(request)
        return {**HEADERS, **(headers or {}), **dict(request.header_items())}

    @sensitive_variables()
    def _keep_cookies(self, url: str, response: http.Response) -> Page:
        message = Message()
        for header in response.set_cookies:
            message["Set-Cookie"] = header
        answer: Any = SimpleNamespace(info=lambda: message)
        self.cookies.extract_cookies(answer, Request(url))  # noqa: S310
        return Page(url, response)
