"""What every page of the app has to have."""

from typing import Any


def assert_page(answer: Any, status: int, title: str) -> None:
    """An HTML page with ``status`` and ``title`` as its heading, that no cache keeps."""
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
#: Codes that another sign-in gets past. Other wrong ID tokens would come again.
START_AGAIN = {"auth_time_too_old", "nonce_mismatch"}


def title_of(line: str) -> str:
    """The title for a wrong ID token, of which the log says ``line``."""
    return REFUSED[400] if line.partition(":")[0] in START_AGAIN else SET_UP_WRONGLY


def assert_refused(answer: Any, status: int, retry_url: str, title: str = "") -> None:
    """The page that a failed sign-in ends in: a fitting status, and a way to try again."""
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
