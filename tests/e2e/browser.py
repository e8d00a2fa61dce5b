"""A browser with the features that these tests need: cookies, redirects, forms, links, and frames on request."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import requests

SECONDS = 20
_SENT_AS_THEY_STAND = "hidden", "text", "email", "password", "search"


@dataclass
class Button:
    """A submit button; ``words`` is its label."""

    form: str
    name: str
    value: str
    words: str = ""


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """The forms, buttons, links and frames of a document."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: dict[str, Form] = {}
        self.buttons: list[Button] = []
        self.links: list[tuple[str, str]] = []
        self.frames: list[str] = []
        self._form = ""
        self._open_button: Button | None = None
        self._open_link: str | None = None
        self._words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        if opened := getattr(self, f"_start_{tag}", None):
            opened(of)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = ""
        elif tag == "button" and self._open_button:
            self._open_button.words = self._words.strip()
            self._open_button = None
        elif tag == "a" and self._open_link is not None:
            self.links.append((self._words.strip(), self._open_link))
            self._open_link = None

    def handle_data(self, data: str) -> None:
        self._words += data

    def _start_form(self, of: dict[str, str]) -> None:
        self._form = of.get("id") or f"form {len(self.forms)}"
        self.forms[self._form] = Form(of.get("action", ""), of.get("method", "get").upper())

    def _start_input(self, of: dict[str, str]) -> None:
        owner = of.get("form", self._form)
        kind = of.get("type", "text")
        if kind in ("submit", "button"):
            self.buttons.append(Button(owner, of.get("name", ""), of.get("value", ""), of.get("value", "")))
        elif owner in self.forms and of.get("name") and (kind in _SENT_AS_THEY_STAND or "checked" in of):
            self.forms[owner].fields[of["name"]] = of.get("value", "on" if "checked" in of else "")

    def _start_button(self, of: dict[str, str]) -> None:
        self._words = ""
        self._open_button = Button(of.get("form", self._form), of.get("name", ""), of.get("value", ""))
        self.buttons.append(self._open_button)

    def _start_a(self, of: dict[str, str]) -> None:
        self._words = ""
        self._open_link = of.get("href")

    def _start_iframe(self, of: dict[str, str]) -> None:
        self.frames.append(of.get("src", ""))


class Browser:
    """One user at one device. ``response`` is the last answer, with its redirects as ``history``."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.response = requests.Response()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()

    @property
    def url(self) -> str:
        return self.response.url

    @property
    def query(self) -> str:
        return urlsplit(self.url).query

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def text(self) -> str:
        return self.response.text

    @property
    def page(self) -> Page:
        return Page(self.text)

    def visited(self) -> Iterator[str]:
        """The URLs of the last navigation, with redirects."""
        return (response.url for response in (*self.response.history, self.response))

    def take_cookies(self, other: "Browser", *, of: str) -> None:
        """Become a second window of the ``other`` browser for the host of the URL ``of``."""
        host = urlsplit(of).hostname
        for cookie in other.session.cookies:
            if cookie.domain == host:
                self.session.cookies.set_cookie(cookie)

    def open(self, url: str) -> Self:
        return self._navigate("GET", url)

    def press(self, words: str, **fields: str | None) -> Self:
        """Press the first button with the label ``words``. Fill its form with ``fields``; None unchecks a box."""
        page = self.page
        button = next((button for button in page.buttons if words in (button.words, button.value)), None)
        assert button, f"no button {words!r} at {self.url} ({self.status}), but {page.buttons}:\n{self.text}"
        form = page.forms[button.form]
        filled = form.fields | ({button.name: button.value} if button.name else {}) | fields
        sent = {name: value for name, value in filled.items() if value is not None}
        return self._navigate(form.method, urljoin(self.url, form.action), sent)

    def submit(self, form_id: str) -> Self:
        """Submit a form like a script on the page."""
        form = self.page.forms[form_id]
        return self._navigate(form.method, urljoin(self.url, form.action), form.fields)

    def follow(self, words: str) -> Self:
        """Follow the first link with the text ``words``."""
        links = dict(reversed(self.page.links))
        assert words in links, f"no link {words!r} at {self.url} ({self.status}), but {links}:\n{self.text}"
        return self.open(urljoin(self.url, links[words]))

    def load_frames(self, *, cookies: bool = True) -> list[requests.Response]:
        """Load the page's frames, with this browser's cookies, or without, as with ``SameSite=Lax``."""
        load = self.session.get if cookies else requests.get
        return [load(urljoin(self.url, src), timeout=SECONDS) for src in self.page.frames]

    def _navigate(self, method: str, url: str, fields: dict[str, str] | None = None) -> Self:
        posted = fields if method == "POST" else None
        asked = fields if method != "POST" else None
        self.response = self.session.request(method, url, data=posted, params=asked, timeout=SECONDS)
        return self
