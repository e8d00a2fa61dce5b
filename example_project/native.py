"""``python -m example_project.native amber@example.com``: a program that signs in by Kratos, without a browser.

It signs in by Kratos' API flow, calls the site with the session token, and logs out at the site, which also logs out at
Kratos. After an error it exits with 1 and a message. Protect a session token like a password: keep it in a keychain.
"""

import argparse
import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import requests

SECONDS = 10


class Failed(Exception):
    """A step failed. The text is for the user."""


class Client:
    """A native client of one site and its Kratos."""

    def __init__(self, site_url: str, kratos_url: str) -> None:
        self.site_url = site_url.rstrip("/")
        self.kratos_url = kratos_url.rstrip("/")
        self.session_token = ""
        self.session = requests.Session()

    def sign_in(self, identifier: str, password: str) -> None:
        """Sign in by Kratos' API flow, which is for clients without cookies."""
        flow = self._request("GET", f"{self.kratos_url}/self-service/login/api").json()
        form = {"method": "password", "identifier": identifier, "password": password}
        signed_in = self._request("POST", flow["ui"]["action"], json=form)
        if signed_in.status_code != HTTPStatus.OK:
            messages = [message["text"] for message in signed_in.json().get("ui", {}).get("messages", [])]
            raise Failed(" ".join(messages) or f"Kratos answers {signed_in.status_code}.")
        self.session_token = signed_in.json()["session_token"]

    def at_site(self, method: str, path: str, **sent: Any) -> requests.Response:
        """Call the site as the user who is signed in. It sets no cookie and needs no CSRF token."""
        headers = {"X-Session-Token": self.session_token}
        return self._request(method, self.site_url + path, headers=headers, **sent)

    def log_out(self) -> None:
        """End the session at the site, which ends it at Kratos too. Safe to repeat."""
        # The body has the token to log out. It can be another token than that of the request.
        ended = self._request(
            "DELETE", f"{self.site_url}/auth/kratos/logout/api/", json={"session_token": self.session_token}
        )
        _expect(HTTPStatus.NO_CONTENT, ended)

    def _request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, **sent: Any
    ) -> requests.Response:
        headers = {"Accept": "application/json", **(headers or {})}
        try:
            return self.session.request(method, url, headers=headers, timeout=SECONDS, allow_redirects=False, **sent)
        except requests.RequestException as error:
            raise Failed(f"{url} cannot be reached.") from error


def tour(client: Client, identifier: str, password: str) -> None:
    """Sign in, call the site, log out, and check that the token is not accepted any more."""
    client.sign_in(identifier, password)
    _say("Signed in at Kratos", "with a session token")

    who = _expect(HTTPStatus.OK, client.at_site("GET", "/auth/whoami/")).json()
    _say("The site says", f"subject {who['subject']}, session {who['sid']}")
    _say("The site's own API", _expect(HTTPStatus.OK, client.at_site("GET", "/profile/")).json()["name"])
    _expect(HTTPStatus.OK, client.at_site("GET", "/private/"))
    _say("The private page", "is open")

    others = _expect(HTTPStatus.OK, client.at_site("GET", "/auth/kratos/sessions/")).json()
    _say("Other sessions", str(len(others)))
    for session in others:
        devices = [device["user_agent"][:60] for device in session["devices"]]
        _say("", f"since {session['authenticated_at']}   {', '.join(devices)}")

    client.log_out()
    client.log_out()
    _say("Logged out", "twice, which is allowed")

    _expect(HTTPStatus.UNAUTHORIZED, client.at_site("GET", "/auth/whoami/"))
    _expect(HTTPStatus.FOUND, client.at_site("GET", "/private/"))
    _say("The token", "is not accepted: the site asks to sign in")


def _expect(status: HTTPStatus, response: requests.Response) -> requests.Response:
    if response.status_code != status:
        raise Failed(f"{response.url} answers {response.status_code}, not {status.value}.")
    return response


def _say(label: str, text: str) -> None:
    sys.stdout.write(f"  {label:<20}  {text}".rstrip() + "\n")


def main(args: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m example_project.native",
        description="Sign in by Kratos and log out again, without a browser.",
        epilog="The password is taken from KRATOS_PASSWORD, or asked for.",
    )
    parser.add_argument("identifier", help="such as amber@example.com")
    parser.add_argument("--site-url", default="http://localhost:8000")
    parser.add_argument("--kratos-url", default="http://localhost:4433", help="Kratos' public URL")
    options = parser.parse_args(args)
    try:
        password = os.environ.get("KRATOS_PASSWORD") or getpass.getpass("Password: ")
        tour(Client(options.site_url, options.kratos_url), options.identifier, password)
    except Failed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
