"""The admin API as a WSGI application."""

import io
import json
from typing import Any

import pytest

from django_ory_logout.testing import Provider
from django_ory_logout.testing.hydra.admin import Admin
from django_ory_logout.testing.hydra.end_session import LogoutRequests
from django_ory_logout.testing.server.admin import admin_application
from django_ory_logout.testing.server.wsgi import MachineApplication


@pytest.fixture
def application(provider: Provider) -> MachineApplication:
    return admin_application(Admin(provider, LogoutRequests(provider), list))


def ask(
    application: MachineApplication, method: str, path: str, body: bytes = b"", /, **environ: str
) -> tuple[str, bytes]:
    started: list[Any] = []
    given = application(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "HTTP_HOST": "127.0.0.1:4445",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body + b"what the next request says"),
            **environ,
        },
        lambda status, headers: started.extend((status, dict(headers))),
    )
    answered = b"".join(given)
    assert started[1]["Content-Length"] == str(len(answered))
    return started[0], answered


def test_a_query_is_read(application: MachineApplication) -> None:
    path = "/admin/oauth2/auth/sessions/login"

    assert ask(application, "DELETE", path, QUERY_STRING="sid=x") == ("204 No Content", b"")
    assert ask(application, "DELETE", path, QUERY_STRING="sid=")[0] == "400 Bad Request"


def test_a_form_is_read(application: MachineApplication) -> None:
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded; charset=utf-8"}

    status, body = ask(application, "POST", "/admin/oauth2/introspect", b"token=x", **form)

    assert (status, json.loads(body)) == ("200 OK", {"active": False})


def test_a_document_is_read(application: MachineApplication, provider: Provider) -> None:
    assert ask(application, "POST", "/admin/clients", b'{"client_id": "other"}')[0] == "201 Created"
    assert "other" in provider.clients


@pytest.mark.parametrize("path", ["/clients/site", "/admin/admin/clients/site", "/admin", "/"])
def test_paths_outside_admin_are_not_found(application: MachineApplication, path: str) -> None:
    assert ask(application, "GET", path) == ("404 Not Found", b"404 page not found\n")


def test_it_reports_that_it_is_ready(application: MachineApplication) -> None:
    assert ask(application, "GET", "/health/ready") == ("200 OK", b'{"status": "ok"}')


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"HTTP_HOST": "localhost"}, "200 OK"),
        ({"HTTP_HOST": "rebound.example:4445"}, "403 Forbidden"),
        ({"HTTP_HOST": ""}, "403 Forbidden"),
        ({"HTTP_ORIGIN": "http://evil.example"}, "403 Forbidden"),
    ],
)
def test_a_page_in_a_browser_cannot_call_it(
    application: MachineApplication, environ: dict[str, str], status: str
) -> None:
    assert ask(application, "GET", "/admin/clients/site", **environ)[0] == status
