"""``urls.error`` and ``urls.post_logout_redirect``."""

import pytest
from django.test import Client


def test_an_error_of_hydra_is_shown_escaped() -> None:
    answer = Client().get("/hydra/error/", {"error": "invalid_request", "error_description": "<b>no</b>"})
    page = answer.content.decode()

    assert answer.status_code == 400
    assert answer["X-Robots-Tag"] == "noindex"
    assert "cannot be done" in page
    assert "<code>invalid_request</code>" in page.replace("\n", "").replace("  ", "")
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    "error",
    [
        "access_denied",
        "login_required",
        "consent_required",
        "request_forbidden",
        "request_unauthorized",
        "temporarily_unavailable",
        "server_error",
    ],
)
def test_a_known_error_has_a_text(error: str) -> None:
    page = Client().get("/hydra/error/", {"error": error}).content.decode()

    assert "cannot be done" not in page
    assert error in page


def test_an_error_without_parameters_has_a_page() -> None:
    page = Client().get("/hydra/error/").content.decode()

    assert "Go back to the application" in page
    assert "<details>" not in page


def test_a_long_error_is_cut() -> None:
    assert "x" * 501 not in Client().get("/hydra/error/", {"error_description": "x" * 9000}).content.decode()


def test_the_logged_out_page_is_shown() -> None:
    answer = Client().get("/hydra/logged-out/")

    assert "You are logged out" in answer.content.decode()
