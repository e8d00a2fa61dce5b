"""A client chooses the charset with which Django reads parameters. Every view answers 400 to an unusable charset."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpRequest
from django.test import AsyncClient
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from hypothesis import given
from hypothesis import strategies as st

from django_ory_logout.exceptions import InvalidMessage
from django_ory_logout.oidc.messages import FORM
from django_ory_logout.testing import Network
from django_ory_logout.urls import urlpatterns
from django_ory_logout.views.requests import check_charset

from ..conftest import Logged, SiteBrowser

pytestmark = pytest.mark.django_db

#: Codecs that produce halves of surrogate pairs, or other letters than the client sent. Codecs that are not for text,
#: such as rot13, make Django fail before any view or middleware.
CHARSETS = ["unicode_escape", "Raw-Unicode-Escape", "idna", "utf-7", "utf-16", "cp037", "koi8-r", "utf-8-sig"]
PATHS = sorted({f"/auth/{pattern.pattern}".replace("<uuid:session_id>", str(UUID(int=1))) for pattern in urlpatterns})
NAMES = ["state", "code", "iss", "sid", "error", "next", "login_hint", "provider", "target_link_uri", "end", "token"]
HALF = dict.fromkeys([*NAMES, "return_to", "returned", "logout_token"], "\\ud800")
QUERY = urlencode(HALF, safe="\\")
METHODS = ["GET", "POST", "DELETE", "HEAD"]


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("path", PATHS)
def test_an_unusable_charset_is_refused(path: str, charset: str, browser: SiteBrowser, logged: Logged) -> None:
    browser.sign_in("amber")
    for method in METHODS:
        answer = browser.generic(method, path, b"a=1", f"text/plain; charset={charset}", QUERY_STRING=QUERY)
        assert answer.status_code == 400, method
        assert "no-store" in answer["Cache-Control"]
    assert all("charset_unsupported" in line for line in logged())
    assert browser.user, "no session ends"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("charset", ["unicode_escape", "rot13", "undefined", "punycode"])
@pytest.mark.parametrize("path", ["login", "callback", "logout", "logout/frontchannel", "kratos/logout"])
def test_under_asgi(path: str, charset: str, network: Network) -> None:
    get = async_to_sync(AsyncClient().get)

    answer = get(f"/auth/{path}/?{QUERY}", headers={"content-type": f"text/plain; charset={charset}"}, secure=True)

    assert answer.status_code == 400


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_the_answer_explains_the_charset(accept: str, browser: SiteBrowser, logged: Logged) -> None:
    answer = browser.get(
        "/auth/login/",
        {"login_hint": "\\ud800"},
        headers={"Content-Type": "text/plain; charset=unicode_escape", "Accept": accept},
    )

    assert answer.status_code == 400
    assert "Retry-After" not in answer
    assert answer["Content-Type"].startswith(accept)
    if accept == "application/json":
        assert answer.json() == {"error": "charset_unsupported"}
    else:
        assert logged() == ["sign-in failed: charset_unsupported: the charset of Content-Type is not UTF-8"]


@pytest.mark.parametrize("path", ["/auth/login/", "/auth/callback/"])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (f"{FORM}; charset=unicode_escape", urlencode(HALF)),
        (f"{FORM}; charset=iso-8859-1", urlencode(HALF)),  # Django answers this itself
        (f"{MULTIPART_CONTENT}; charset=unicode_escape", encode_multipart(BOUNDARY, HALF)),
        ("multipart/form-data", "no boundary"),
    ],
)
def test_forms(path: str, content_type: str, body: Any, browser: SiteBrowser) -> None:
    assert browser.post(path, body, content_type=content_type).status_code == 400


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "us-ascii", "ISO-8859-1", "windows-1252", "no-such-charset"])
def test_a_charset_like_ascii_is_accepted(charset: str, browser: SiteBrowser) -> None:
    answer = browser.get(
        "/auth/login/", {"login_hint": "amber"}, headers={"Content-Type": f"text/plain; charset={charset}"}
    )

    assert answer.status_code == 302
    assert "login_hint=amber" in answer["Location"]


@pytest.mark.parametrize("name", sorted(HALF))
@pytest.mark.parametrize("path", PATHS)
def test_bytes_that_are_not_utf_8_are_refused(path: str, name: str, browser: SiteBrowser) -> None:
    for value in ("%ED%A0%80", "%FF", "%00", "%C0%AF", "%F4%90%80%80", "%0D%0A"):
        for method in ("GET", "POST"):
            body = f"{name}={value}"
            answer = browser.generic(method, path, body, FORM, QUERY_STRING=f"{name}={value}")
            assert answer.status_code < 500


@given(st.text("\\ud80xuU0N{}abc%+&=", max_size=12), st.sampled_from(["utf-8", "ascii", "latin-1", "cp1252"]))
def test_no_accepted_charset_produces_text_that_cannot_be_stored(text: str, charset: str) -> None:
    request = HttpRequest()
    request.encoding = charset

    check_charset(request)

    text.encode().decode(charset, "replace").encode()


def test_a_refused_request_can_still_be_read() -> None:
    request = HttpRequest()
    request.encoding = "unicode_escape"

    with pytest.raises(InvalidMessage, match="charset_unsupported"):
        check_charset(request)

    assert request.encoding == "utf-8"


@pytest.mark.parametrize(
    "accept", ["text/html; a*=nope''b", "a*=idna''%ff", "text/html; a*0=x; a*1*=nope''y", ";;;,,,"]
)
@pytest.mark.parametrize("path", ["login", "logout", "callback", "whoami", "logout/callback"])
def test_an_accept_header_that_django_cannot_read_gets_an_answer(
    browser: SiteBrowser, network: Network, path: str, accept: str
) -> None:
    answer = browser.get(f"/auth/{path}/", headers={"accept": accept})

    assert answer.status_code in (200, 302, 400, 401)
