"""The doctor's browser: it keeps cookies, forms and frames as browsers do."""

from collections.abc import Iterator

import pytest
from urllib3 import HTTPHeaderDict

from django_ory_logout.doctor.browser import Browser, Form, Page
from django_ory_logout.http import Response
from django_ory_logout.testing.http import Answer, Request
from django_ory_logout.testing.network import FakeNetwork, Route, connected

URL = "https://www.rp.example/auth/login/"


class Server:
    """Sets cookies, and records the cookies of each request."""

    def __init__(self) -> None:
        self.sets: list[str] = []
        self.came: list[str | None] = []
        self.requests: list[Request] = []

    def answer(self, request: Request) -> Answer:
        headers = HTTPHeaderDict()
        for header in self.sets:
            headers.add("Set-Cookie", header)
        self.sets = []
        self.came.append(request.headers.get("Cookie"))
        self.requests.append(request)
        return Answer(200, headers)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    hosts = ("https://www.rp.example", "http://www.rp.example", "https://a.www.rp.example", "https://rp.example")
    with connected(FakeNetwork(*(Route(url, server.answer) for url in (*hosts, "https://op.example")))):
        yield server


@pytest.mark.parametrize(
    ("header", "url", "comes"),
    [
        ("a=1", URL, True),
        ("a=1", "https://www.rp.example/auth/login/more", True),
        ("a=1", "https://www.rp.example/auth/logout/", False),
        ("a=1; Path=/auth/", "https://www.rp.example/auth/logout/", True),
        ("a=1; path=/auth", "https://www.rp.example/auth", True),
        ("a=1; Path=/auth", "https://www.rp.example/authors", False),
        ("a=1; Path=/", "https://www.rp.example", True),
        ("a=1; Path=/", "https://rp.example/", False),
        ("a=1; Path=/", "https://a.www.rp.example/", False),
        ("a=1; Path=/; Domain=.RP.example", "https://rp.example/", True),
        ("a=1; Path=/; Domain=rp.example", "https://www.rp.example/", True),
        ("a=1; Path=/; Domain=op.example", "https://op.example/", False),
        ("a=1; Path=/; Domain=w.rp.example", "https://www.rp.example/", False),
        ("a=1; Path=/; Secure; HttpOnly; SameSite=Lax; Partitioned", "https://www.rp.example/", True),
        ("a=1; Path=/; Secure", "http://www.rp.example/", False),
        ("a=1; Path=/", "http://www.rp.example/", True),
        ("a=1; Path=/; Max-Age=60", "https://www.rp.example/", True),
        ("a=1; Path=/; Max-Age=0", "https://www.rp.example/", False),
        ("a=1; Path=/; Max-Age=-1", "https://www.rp.example/", False),
        ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT", "https://www.rp.example/", False),
        ("a=1; Path=/; Expires=Thu, 01 Jan 2970 00:00:01 GMT", "https://www.rp.example/", True),
        ("a=1; Path=/; Expires=soon", "https://www.rp.example/", True),
    ],
)
def test_a_cookie_is_sent_where_it_belongs(server: Server, header: str, url: str, comes: bool) -> None:
    browser = Browser()
    server.sets = [header]
    browser.get(URL)

    browser.get(url)

    assert server.came == [None, "a=1" if comes else None]


def test_a_deleted_cookie_is_not_sent(server: Server) -> None:
    browser = Browser()
    for header in ("a=1; Path=/", "b=2; Path=/", "a=; Path=/; Max-Age=0"):
        server.sets = [header]
        browser.get(URL)

    browser.get(URL)

    assert server.came == [None, "a=1", "a=1; b=2", "b=2"]


def test_the_browser_does_not_change_a_cookie_value(server: Server) -> None:
    browser = Browser()
    server.sets = ['a="x=y=="; Path=/']

    browser.get(URL)
    browser.get(URL)

    assert server.came[1] == 'a="x=y=="'


@pytest.mark.parametrize(
    ("header", "persistent"),
    [("a=1", False), ("a=1; Max-Age=5", True), ("a=1; expires=Thu, 01 Jan 2970 00:00:01 GMT", True)],
)
def test_a_persistent_cookie_outlives_the_browser(server: Server, header: str, persistent: bool) -> None:
    browser = Browser()
    server.sets = [header]

    browser.get(URL)

    assert [cookie.expires is not None for cookie in browser.cookies] == [persistent]


def test_a_cookie_for_the_domain_localhost_is_kept() -> None:
    server, browser = Server(), Browser()
    server.sets = ["a=1; Path=/; Domain=localhost"]

    with connected(FakeNetwork(Route("http://localhost:4433", server.answer))):
        browser.get("http://localhost:4433/")
        browser.get("http://localhost:4433/")

    assert server.came == [None, "a=1"]


def test_a_form_is_sent_with_referer_and_origin(server: Server) -> None:
    Browser().submit(Form("https://op.example/logout", {"a": "1 2"}), URL)

    [request] = server.requests
    assert (request.method, request.path, request.form) == ("POST", "/logout", {"a": "1 2"})
    assert (request.headers["Referer"], request.headers["Origin"]) == (URL, "https://www.rp.example")


def page(body: str = "", status: int = 200, **headers: str) -> Page:
    return Page(URL, Response(status, headers, body.encode()))


def test_the_browser_reads_forms_and_their_fields() -> None:
    html = """
        <input name="of-no-form"><form><input name="q"></form>
        <form action="../logout/?a=1&amp;b=2" method="post">
        <input type="hidden" name="t" value="&lt;x&gt;"><input type="submit"><br></form>
    """

    assert page(html).forms == [
        Form(URL, {"q": ""}),
        Form("https://www.rp.example/auth/logout/?a=1&b=2", {"t": "<x>"}),
    ]


def test_the_browser_reads_frames() -> None:
    html = '<iframe src="https://rp.example/?iss=a&amp;sid=b"></iframe><iframe></iframe><iframe src="/c"></iframe>'

    assert page(html).frames == ["https://rp.example/?iss=a&sid=b", "https://www.rp.example/c"]


@pytest.mark.parametrize(
    ("given", "target"),
    [
        (
            page('<meta http-equiv="refresh" content="7; URL=https://rp.example/a?b=c&amp;d=e">'),
            "https://rp.example/a?b=c&d=e",
        ),
        (page('<meta http-equiv="Refresh" content="0;url=\'/a\'">'), "https://www.rp.example/a"),
        (page('<meta http-equiv="refresh" content="7">'), ""),
        (page('<meta name="x" content="0; url=/a">'), ""),
        (page("<p>", Refresh="7; url=/b"), "https://www.rp.example/b"),
        (page("<p>"), ""),
    ],
)
def test_a_page_can_redirect_by_itself(given: Page, target: str) -> None:
    assert given.refresh == target


def test_a_redirect_leads_to_an_absolute_url() -> None:
    given = page(status=302, Location="../callback/?code=a&error=")

    assert given.location == "https://www.rp.example/auth/callback/?code=a&error="
    assert given.query == {"code": "a", "error": ""}


@pytest.mark.parametrize("given", [page(Location="/a"), page(status=302)])
def test_other_answers_have_no_location(given: Page) -> None:
    assert (given.location, given.query) == ("", {})


def test_the_repr_of_a_browser_shows_no_cookie(server: Server) -> None:
    browser = Browser()
    server.sets = ["a=a-secret; Path=/"]

    shown = repr(browser.get(URL)) + repr(browser)

    assert "a-secret" not in shown
    assert "a-secret" in str(list(browser.cookies))
