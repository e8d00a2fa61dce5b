"""Checks for every page of the app."""

from typing import Any


def assert_page(answer: Any, status: int, title: str) -> None:
    """The answer is an HTML page with this ``status`` and heading, and no cache stores it."""
    assert answer.status_code == status
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert f"<h1>{title}</h1>" in answer.text
    assert "no-store" in answer["Cache-Control"]


REFUSED = {
    400: "This sign-in cannot be completed",
    403: "You were not signed in",
    409: "You were logged out meanwhile",
    500: "This site is set up wrongly",
    503: "Please wait a moment",
}
SET_UP_WRONGLY = REFUSED[500]
WAIT = REFUSED[503]
#: Another sign-in can succeed after these codes. Other wrong ID tokens would come again.
START_AGAIN = {"auth_time_too_old", "nonce_mismatch"}


def title_of(line: str) -> str:
    """The title of the page for a wrong ID token with this log line."""
    return REFUSED[400] if line.partition(":")[0] in START_AGAIN else SET_UP_WRONGLY


def assert_refused(answer: Any, status: int, retry_url: str, title: str = "") -> None:
    """The page after a failed sign-in: it has a fitting status and a link to try again."""
    title = title or REFUSED[status]
    assert_page(answer, status, title)
    again = f'<a class="button" href="{retry_url}">Try again</a>'
    can_help = title != SET_UP_WRONGLY
    assert (again in answer.text) == ('class="button"' in answer.text) == can_help
    assert answer.get("Retry-After") == ("5" if status == 503 else None)


def assert_still_signed_in(answer: Any) -> None:
    """The page of a callback that is not known here, for somebody who is signed in: refused, with a way on."""
    assert_page(answer, 400, "You are signed in already")
    assert '<a class="button" href="/">Continue</a>' in answer.text
