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
    503: "The sign-in service cannot be reached",
}


#: The page of a fault that is this site's own.
SITE_FAULT = "This site cannot do that now"


def assert_refused(answer: Any, status: int, retry_url: str, title: str = "") -> None:
    """The page that a failed sign-in ends in: a fitting status, and a way to try again."""
    assert_page(answer, status, title or REFUSED[status])
    again = f'<a class="button" href="{retry_url}">Try again</a>'
    assert (again in answer.text) == ('class="button"' in answer.text) == (status != 500), "whether it can help"
    assert answer.get("Retry-After") == ("5" if status == 503 else None)
