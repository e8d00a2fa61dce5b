"""Pending sign-ins, and the pages that a user may return to."""

import string
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core import signing
from hypothesis import given
from hypothesis import strategies as st

from django_ory_logout.exceptions import InvalidMessage
from django_ory_logout.flows import login
from django_ory_logout.flows.login import PendingSignIn, safe_next

from ..conftest import Clock, Logged


@pytest.fixture
def pending() -> PendingSignIn:
    return PendingSignIn("default", "/private/")


def refusal(signed: str | None, state: str) -> str:
    with pytest.raises(InvalidMessage) as caught:
        PendingSignIn.read(signed, state)
    return caught.value.code


def test_a_pending_sign_in_is_read_back(pending: PendingSignIn) -> None:
    assert PendingSignIn.read(pending.signed(), pending.state) == pending


def test_a_pending_sign_in_shows_no_secret(pending: PendingSignIn) -> None:
    assert repr(pending) == "PendingSignIn(provider='default', next='/private/', login_session='')"


def test_a_pending_sign_in_lasts_ten_minutes(pending: PendingSignIn, clock: Clock) -> None:
    signed = pending.signed()

    clock.advance(595)
    assert PendingSignIn.read(signed, pending.state) == pending

    clock.advance(10)
    assert refusal(signed, pending.state) == "state_expired"


def test_no_cookie_is_an_unknown_state(pending: PendingSignIn) -> None:
    assert refusal(None, pending.state) == "state_unknown"
    assert refusal("", "") == "state_unknown"


def test_a_cookie_of_another_sign_in_is_an_unknown_state(pending: PendingSignIn) -> None:
    assert refusal(pending.signed(), PendingSignIn("default", "").state) == "state_unknown"


def test_a_tampered_cookie_is_an_unknown_state(pending: PendingSignIn) -> None:
    signed = pending.signed()
    changed = signed[:-1] + ("A" if signed[-1] != "A" else "B")

    assert refusal(changed, pending.state) == "state_unknown"


def test_a_cookie_signed_for_another_purpose_is_an_unknown_state(pending: PendingSignIn) -> None:
    assert refusal(signing.dumps({"state": pending.state}), pending.state) == "state_unknown"


def test_a_cookie_of_another_version_of_this_app_is_an_unknown_state(pending: PendingSignIn) -> None:
    signed = signing.dumps({"state": pending.state, "tenant": "old"}, salt=login.SALT)

    assert refusal(signed, pending.state) == "state_unknown"


@given(signed=st.text(), state=st.text())
def test_a_malformed_cookie_is_refused(signed: str, state: str) -> None:
    assert refusal(signed, state) == "state_unknown"


def test_a_state_is_used_once(pending: PendingSignIn) -> None:
    assert pending.use()
    assert not pending.use()  # the first sign-in is under way

    pending.record_result("")

    with pytest.raises(InvalidMessage, match="state_used: this sign-in came back before"):
        pending.use()


def test_a_used_pending_sign_in_cannot_sign_in(pending: PendingSignIn) -> None:
    done = PendingSignIn.read(pending.without_secrets.signed(), pending.state)

    assert (done.next, done.nonce, done.code_verifier) == ("/private/", "", "")
    with pytest.raises(InvalidMessage, match="state_used"):
        done.use()


def test_a_cache_fault_after_a_sign_in_changes_nothing(pending: PendingSignIn, cache_down: Callable[[], None]) -> None:
    assert pending.use()
    cache_down()

    pending.record_result("row")


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "/private/",
        "/private/?q=ä b#part",
        "/a//b",
        "/redirect?to=https://evil.example/",
        "private",
        "?page=2",
        "https://rp.example/private/",
        "https://other.example:8443/",
    ],
)
def test_a_next_on_this_site_or_an_allowed_host_is_followed(url: str, settings: Any) -> None:
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "NEXT_ALLOWED_HOSTS": ["other.example:8443"]}

    assert safe_next(url) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        " ",
        "//",
        "///",
        "////",
        "/\\",
        "\\/",
        "\\\\",
        "/\\x",
        " //",
        "//?a",
        "//#a",
        "///x",
        "//rp.example/",
        "/private\\",
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "/\\/evil.example",
        " //evil.example",
        "\t//evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/private/\r\nSet-Cookie: a=b",
        "/private/\x00",
        "\x08//evil.example",
        "/\u2028",
        "/\u202eevil",
        "/\ud800",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "https://evil.example",
        "https://evil.example\\@rp.example/",
        "https://evil.example#@rp.example/",
        "https://rp.example@evil.example/",
        "https://rp.example.evil.example/",
        "https://rp.example:444/",
        "http://rp.example/",
        "HTTPS://EVIL.example/",
        "javascript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,hello",
        "ftp://rp.example/",
        "http://[::1",
        "https://other.example:8443/",
    ],
)
def test_a_next_that_a_browser_reads_as_another_site_is_dropped(url: str | None) -> None:
    assert safe_next(url) == ""


@pytest.mark.parametrize("letter", ["a", "ä"])
def test_a_next_that_is_too_long_is_dropped_and_logged(letter: str, logged: Logged) -> None:
    longest = "/?" + letter * ((login.MAX_NEXT_LENGTH - 2) // len(letter.encode()))

    assert (safe_next(longest), logged()) == (longest, [])
    assert safe_next(longest + "aa") == ""
    assert logged() == ["next left out: next_too_long: it has more than 2000 bytes"]


def test_a_next_of_an_anonymous_user_is_not_logged(logged: Logged) -> None:
    assert safe_next("https://evil.example/" + "a" * login.MAX_NEXT_LENGTH) == ""
    assert logged() == []


def as_a_browser_reads(url: str) -> str:
    """The host that a browser opens (WHATWG URL): it drops tabs and newlines, and reads backslashes as slashes."""
    url = url.strip("".join(map(chr, range(33)))).translate({9: None, 10: None, 13: None}).replace("\\", "/")
    scheme, colon, rest = url.partition(":")
    if colon and scheme[:1].isalpha() and set(scheme) <= set(string.ascii_letters + string.digits + "+-."):
        if scheme.lower() not in ("http", "https"):
            return scheme
        url = "//" + rest.lstrip("/")
    return (urlsplit("https://" + url.lstrip("/")).hostname or "") if url.startswith("//") else "rp.example"


TRICKS = st.text(st.sampled_from("/\\:@#?. \t\nhtps") | st.characters(), max_size=12)


@given(TRICKS)
def test_a_next_never_leaves_this_site(trick: str) -> None:
    for url in (f"{trick}evil.example", trick):
        followed = safe_next(url)

        assert followed in (url, "")
        assert not followed.replace("\\", "/").lstrip().startswith("//")
        assert not followed or as_a_browser_reads(followed) == "rp.example"
