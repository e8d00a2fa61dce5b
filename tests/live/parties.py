"""Browsers and relying parties of a Hydra: the browser stops where a page would be shown, and relying parties listen.

No server except Hydra must run. These tests replace the pages for login, consent and logout: they do not follow a
redirect to one, but answer its challenge through the admin API.
"""

import base64
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import requests

from django_ory_logout.ory.hydra import ClientMetadata, HydraAdmin

SCOPE = "openid offline_access"
TIMEOUT = 10
#: How long to wait for a call that must not come. Hydra delivers within milliseconds.
SILENCE_SECONDS = 1.0


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def part_of(token: str, number: int) -> dict[str, Any]:
    """The header (0) or claims (1) of a JWT, not verified."""
    text = token.split(".")[number]
    part: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return part


@dataclass(frozen=True)
class Tokens:
    id_token: str
    access_token: str
    refresh_token: str

    @property
    def claims(self) -> dict[str, Any]:
        return part_of(self.id_token, 1)

    @property
    def sid(self) -> str:
        return str(self.claims["sid"])


@dataclass(frozen=True)
class Call:
    """A request that a relying party received."""

    method: str
    path: str
    content_type: str
    form: dict[str, str]
    at: float = field(default_factory=time.monotonic)

    @property
    def header(self) -> dict[str, Any]:
        return part_of(self.form["logout_token"], 0)

    @property
    def claims(self) -> dict[str, Any]:
        return part_of(self.form["logout_token"], 1)


class Listener:
    """An HTTP server on a free port. It answers with ``answers``, then with 200."""

    def __init__(self) -> None:
        host = os.environ.get("HYDRA_CALLBACK_HOST", "127.0.0.1")
        self.calls: list[Call] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1" if host == "127.0.0.1" else "", 0), self._handler())
        self.url = f"http://{host}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, count: int = 1, seconds: float = 5.0) -> list[Call]:
        """Wait for ``count`` calls, and return them."""
        deadline = time.monotonic() + seconds
        while len(self.calls) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.calls) == count, f"{len(self.calls)} calls came instead of {count}"
        return self.calls

    def silent(self, seconds: float = SILENCE_SECONDS) -> bool:
        """Whether no call came in this time."""
        time.sleep(seconds)
        return not self.calls

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                content_type = self.headers.get("Content-Type", "")
                listener.calls.append(Call(self.command, self.path, content_type, dict(parse_qsl(body))))
                status, headers = listener.answers.pop(0) if listener.answers else (200, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *args: object) -> None:
                """Log nothing."""

        return Handler


class RelyingParty:
    """A client at Hydra, with an endpoint for back-channel notices."""

    def __init__(self, hydra: "Hydra", listener: Listener, **more: Any) -> None:
        self.hydra = hydra
        self.listener = listener
        self.client_id = f"contract-{uuid4()}"
        self.client_secret = "a secret for this test"
        self.redirect_uri = f"{listener.url}/callback"
        self.post_logout_redirect_uri = f"{listener.url}/bye?x=1"
        given: dict[str, Any] = {
            "client_secret": self.client_secret,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "scope": SCOPE,
            "redirect_uris": [self.redirect_uri],
            "post_logout_redirect_uris": [self.post_logout_redirect_uri],
            "backchannel_logout_uri": f"{listener.url}/backchannel",
        }
        hydra.admin.create_client(self.client_id, ClientMetadata(**(given | more)))

    def authorization_url(self, **parameters: str) -> str:
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "state": "state-of-enough-length",
            "nonce": "nonce-of-enough-length",
            **parameters,
        }
        return f"{self.hydra.public_url}/oauth2/auth?{urlencode(query)}"

    def logout_url(self, id_token: str, **parameters: str) -> str:
        query = {
            "id_token_hint": id_token,
            "post_logout_redirect_uri": self.post_logout_redirect_uri,
            "state": "bye",
            **parameters,
        }
        return f"{self.hydra.public_url}/oauth2/sessions/logout?{urlencode(query)}"

    def token(self, **form: str) -> requests.Response:
        return self._post("/oauth2/token", form)

    def redeem(self, callback: str) -> Tokens:
        code = query_of(callback)["code"]
        return _tokens(self.token(grant_type="authorization_code", code=code, redirect_uri=self.redirect_uri))

    def refresh(self, tokens: Tokens) -> Tokens:
        return _tokens(self.token(grant_type="refresh_token", refresh_token=tokens.refresh_token))

    def revoke(self, token: str) -> requests.Response:
        """RFC 7009."""
        return self._post("/oauth2/revoke", {"token": token})

    def _post(self, path: str, form: dict[str, str]) -> requests.Response:
        auth = (self.client_id, self.client_secret.replace(" ", "+"))
        return requests.post(self.hydra.public_url + path, data=form, auth=auth, timeout=TIMEOUT)


def _tokens(response: requests.Response) -> Tokens:
    document = response.json()
    assert response.status_code == 200, document
    return Tokens(document["id_token"], document["access_token"], document["refresh_token"])


class Browser:
    """Follows redirects while they stay at Hydra, and keeps its cookies."""

    def __init__(self, hydra: "Hydra") -> None:
        self.hydra = hydra
        self.session = requests.Session()

    def open(self, url: str, method: str = "GET", **form: str) -> requests.Response:
        """Return Hydra's last answer: a page, or a redirect to another site."""
        response = self.session.request(method, url, data=form, allow_redirects=False, timeout=TIMEOUT)
        while response.is_redirect and self.follows(response.headers["Location"]):
            response = self.session.get(response.headers["Location"], allow_redirects=False, timeout=TIMEOUT)
        return response

    def follows(self, url: str) -> bool:
        return self.hydra.owns(url)

    def leave(self, url: str) -> str:
        """Return the target of Hydra's redirect."""
        response = self.open(url)
        assert response.is_redirect, f"{response.status_code}: {response.text[:500]}"
        return response.headers["Location"]

    def challenge(self, kind: str, url: str) -> str:
        """The challenge with which Hydra redirects to the page of ``kind``."""
        return query_of(self.leave(url))[f"{kind}_challenge"]

    def consent(self, to: RelyingParty, subject: str, *, remember: bool = True, **parameters: str) -> str:
        """Log in as ``subject``, and return the challenge of the consent page."""
        challenge = self.challenge("login", to.authorization_url(**parameters))
        accepted = self.hydra.admin.accept_login_request(
            challenge, subject=subject, remember=remember, remember_for=600
        )
        return self.challenge("consent", accepted)

    def callback(self, to: RelyingParty, subject: str, *, remember: bool = True, **parameters: str) -> str:
        """Log in and accept, and return the relying party's callback with its code."""
        challenge = self.consent(to, subject, remember=remember, **parameters)
        return self.leave(self.hydra.admin.accept_consent_request(challenge, grant_scope=SCOPE.split()))

    def sign_in(self, to: RelyingParty, subject: str, *, remember: bool = True, **parameters: str) -> Tokens:
        return to.redeem(self.callback(to, subject, remember=remember, **parameters))

    def log_out(self, url: str) -> requests.Response:
        """Log out at ``url``, accept on the logout page, and return Hydra's last answer."""
        return self.open(self.hydra.admin.accept_logout_request(self.challenge("logout", url)))


@dataclass(frozen=True)
class Hydra:
    public_url: str
    admin_url: str

    @property
    def admin(self) -> HydraAdmin:
        return HydraAdmin(self.admin_url, os.environ.get("HYDRA_ADMIN_TOKEN"))

    def owns(self, url: str) -> bool:
        return url.startswith((self.public_url + "/", "/"))

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Make a call of the admin API that our client does not have."""
        headers = {"Authorization": f"Bearer {self.admin.token}"} if self.admin.token else {}
        return requests.request(
            method, f"{self.admin_url}/admin{path}", headers=headers, allow_redirects=False, timeout=TIMEOUT, **options
        )


NewRelyingParty = Callable[..., RelyingParty]
