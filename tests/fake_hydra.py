"""Hydra's admin API in memory, as far as ending sessions and registering clients need it, with Hydra's behaviour.

To revoke unknown sessions, subjects or clients gives 204. Hydra sends notices at an end by ``sid`` of a remembered
login. Consents keep an empty ``login_session_id`` after their login session has ended. Empty fields are left out.
"""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, unquote, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

URL = "https://hydra.example"
SESSIONS = "/admin/oauth2/auth/sessions"

Answer = tuple[int, Any]


@dataclass
class Login:
    """A login session at Hydra."""

    subject: str
    remembered: bool = True


@dataclass
class Consent:
    """The consent of ``subject`` for a client in a login session. ``is_listed`` is false if it was reused."""

    subject: str
    client_id: str
    sid: str
    is_listed: bool = True


@dataclass
class FakeHydra(BaseAdapter):
    """Records calls as method and path with query, and the notices: client and ``sid``."""

    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    logins: dict[str, Login] = field(default_factory=dict)
    consents: list[Consent] = field(default_factory=list)
    living_tokens: set[str] = field(default_factory=set)
    told: list[tuple[str, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    #: Calls without an answer, by the beginning of their line in ``calls``.
    broken: set[str] = field(default_factory=set)
    #: Refused calls, likewise.
    refused: set[str] = field(default_factory=set)
    chooses_id: str = ""
    #: The ids of the keys that sign ID tokens. If there are none, the call is refused.
    key_ids: list[str] = field(default_factory=list)
    page_size: int = 2

    def sign_in(self, subject: str, sid: str, *client_ids: str, remembered: bool = True) -> None:
        self.logins[sid] = Login(subject, remembered)
        self.consents += [Consent(subject, client_id, sid) for client_id in client_ids]

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        parts = urlsplit(str(request.url))
        line = f"{request.method} {parts.path}" + (f"?{parts.query}" if parts.query else "")
        self.calls.append(line)
        if any(line.startswith(beginning) for beginning in self.broken):
            raise requests.ConnectionError("refused")
        query, body = dict(parse_qsl(parts.query)), request.body
        text = body.decode() if isinstance(body, bytes) else str(body or "")
        status, document = self._answer(str(request.method), parts.path, query, text)
        if any(line.startswith(beginning) for beginning in self.refused):
            status, document = 403, {"error": "request_forbidden"}
        headers = {"Content-Type": "application/json"}
        if isinstance(document, list):
            document, headers["Link"] = self._page(document, query)
        content = b"" if document is None else json.dumps(document).encode()
        return HTTPAdapter().build_response(
            request, HTTPResponse(io.BytesIO(content), headers, status, preload_content=False)
        )

    def close(self) -> None:
        """There is nothing to close."""

    def _answer(self, method: str, path: str, query: dict[str, str], body: str) -> Answer:
        match method, path.removeprefix("/admin").split("/")[1:]:
            case "DELETE", ["oauth2", "auth", "sessions", "login"]:
                return self._end_login(query)
            case "DELETE", ["oauth2", "auth", "sessions", "consent"]:
                return self._end_consents(query)
            case "GET", ["oauth2", "auth", "sessions", "consent"]:
                return 200, [
                    self._listed(consent)
                    for consent in self.consents
                    if consent.subject == query["subject"] and consent.is_listed
                ]
            case "DELETE", ["oauth2", "tokens"]:
                return 204, None
            case "GET", ["keys", "hydra.openid.id-token"]:
                keys = [{"kid": kid, "kty": "RSA", "d": "a private key"} for kid in self.key_ids]
                return (200, {"keys": keys}) if keys else (403, {"error": "request_forbidden"})
            case "POST", ["oauth2", "introspect"]:
                return 200, {"active": dict(parse_qsl(body))["token"] in self.living_tokens}
            case _, ["clients", *client_id]:
                return self._client(method, unquote("".join(client_id)), body)
        raise AssertionError(f"{method} {path}")

    def _end_login(self, query: dict[str, str]) -> Answer:
        ending = [query["sid"]] if "sid" in query else self._logins_of(query["subject"])
        for sid in ending:
            login = self.logins.pop(sid, None)
            if "sid" in query and login and login.remembered:
                self.told += [(consent.client_id, sid) for consent in self.consents if consent.sid == sid]
            for consent in self.consents:
                consent.sid = "" if consent.sid == sid else consent.sid
        return 204, None

    def _logins_of(self, subject: str) -> list[str]:
        return [sid for sid, login in self.logins.items() if login.subject == subject]

    def _end_consents(self, query: dict[str, str]) -> Answer:
        if "client" not in query and query.get("all") != "true":
            return 400, {"error": "invalid_request"}
        self.consents = [
            consent
            for consent in self.consents
            if consent.subject != query["subject"] or query.get("client", consent.client_id) != consent.client_id
        ]
        return 204, None

    def _listed(self, consent: Consent) -> dict[str, Any]:
        client = {"client_id": consent.client_id, **self.clients.get(consent.client_id, {})}
        request = {"challenge": f"{consent.client_id} {consent.sid}", "subject": consent.subject, "client": client}
        return {"consent_request": {**request, "login_session_id": consent.sid}}

    def _page(self, documents: list[Any], query: dict[str, str]) -> tuple[list[Any], str]:
        start = int(query.get("page_token", 0))
        end = start + self.page_size
        link = f'<{URL}{SESSIONS}/consent?page_token={end}>; rel="next"' if end < len(documents) else ""
        return documents[start:end], link

    def _client(self, method: str, client_id: str, body: str) -> Answer:
        if method == "POST":
            given = json.loads(body)
            given["client_id"] = self.chooses_id or given["client_id"]
            self.clients[given["client_id"]] = _without_empty(given)
            return 201, given
        if client_id not in self.clients:
            return 404, {"error": "Not Found"}
        if method == "PATCH":
            changes = {operation["path"].removeprefix("/"): operation["value"] for operation in json.loads(body)}
            self.clients[client_id] = _without_empty({**self.clients[client_id], **changes})
        return 200, {"client_id": client_id, **self.clients[client_id]}


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value}


@contextmanager
def connect(hydra: FakeHydra) -> Iterator[FakeHydra]:
    """Route requests for :data:`URL` to ``hydra``."""
    elsewhere = requests.Session.get_adapter

    def get_adapter(session: requests.Session, url: str) -> BaseAdapter:
        return hydra if url.startswith(URL) else elsewhere(session, url)

    with patch.object(requests.Session, "get_adapter", get_adapter):
        yield hydra
