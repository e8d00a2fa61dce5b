"""Hydra's admin API in memory, as far as its pages need it: challenges, answers to them, and login sessions."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

PUBLIC = "https://op.example"
REQUESTS = "/admin/oauth2/auth/requests/"
SESSIONS = "/admin/oauth2/auth/sessions/login"
CONSENTS = "/admin/oauth2/auth/sessions/consent"
CLIENT = {"client_id": "rp", "client_name": "The <em>site</em>", "redirect_uris": ["https://rp.example/callback"]}


class Answered(NamedTuple):
    """The answer of the pages to a challenge: ``login/accept``, and the document."""

    what: str
    document: dict[str, Any]


class FakeHydra(BaseAdapter):
    """Stands between ``requests`` and the network."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[tuple[str, str], dict[str, Any]] = {}
        self.answered: list[Answered] = []
        #: The consents that Hydra lists for every user, and each revoked ``sid`` or subject.
        self.consents: list[dict[str, Any]] = []
        self.revoked: list[str] = []
        self.is_down = False
        #: Answer 409 to the next answer, and then 410 with this ``redirect_to`` to a read of the request.
        self.answered_before: str | None = None
        #: Called before each call.
        self.before: Callable[[], object] = lambda: None
        self._faults: dict[str, tuple[int, dict[str, Any]]] = {}

    def login(self, subject: str = "", *, sid: str = "sid-1", hint: str = "", **parameters: str) -> str:
        """Open a login request, and return its URL. With a ``subject``, Hydra remembers the user."""
        document = {
            "subject": subject,
            "skip": bool(subject),
            "session_id": sid,
            "request_url": f"{PUBLIC}/oauth2/auth?{urlencode({'client_id': 'rp', **parameters})}",
            "oidc_context": {"login_hint": hint} if hint else {},
            "client": CLIENT,
        }
        return self._comes("login", document)

    def consent(
        self, subject: str, *, scope: str = "openid", skip: bool = False, asked: str = "", **client: Any
    ) -> str:
        """Open a consent request, and return its URL. ``asked``: more parameters of the authorization request."""
        document = {
            "subject": subject,
            "skip": skip,
            "request_url": f"{PUBLIC}/oauth2/auth?client_id=rp&{asked}",
            "requested_scope": scope.split(),
            "requested_access_token_audience": ["api"],
            "oidc_context": {},
            "client": {**CLIENT, **client},
        }
        return self._comes("consent", document)

    def logout(self, subject: str, *, sid: str = "sid-1", by_client: bool = True, **client: Any) -> str:
        """Open a logout request, and return its URL."""
        document = {"subject": subject, "sid": sid, "rp_initiated": by_client, "request_url": "/oauth2/sessions/logout"}
        return self._comes("logout", document | ({"client": {**CLIENT, **client}} if by_client else {}))

    def refuses(self, what: str, status: int, document: dict[str, Any] | None = None) -> None:
        """Answer this for ``what`` (``login``, ``logout/accept``, ``sessions``, ``sessions/sid-1``)."""
        self._faults[what] = status, document or {"error": "as told"}

    @property
    def answer(self) -> Answered:
        """The only answer that the pages gave."""
        (answer,) = self.answered
        return answer

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        self.before()
        if self.is_down:
            raise requests.ConnectionError("refused")
        parts = urlsplit(str(request.url))
        query = dict(parse_qsl(parts.query))
        body = request.body.decode() if isinstance(request.body, bytes) else request.body
        given = json.loads(body) if body else {}
        status, document = self._respond(str(request.method), parts.path, query, given)
        content = b"" if status == 204 else json.dumps(document).encode()
        return HTTPAdapter().build_response(
            request, HTTPResponse(io.BytesIO(content), {}, status, preload_content=False)
        )

    def close(self) -> None:
        """There is nothing to close."""

    def _comes(self, kind: str, document: dict[str, Any]) -> str:
        challenge = f"{kind}-{len(self.open)}"
        self.open[kind, challenge] = {"challenge": challenge, **document}
        return f"/hydra/{kind}/?{kind}_challenge={challenge}"

    def _respond(self, method: str, path: str, query: Mapping[str, str], document: dict[str, Any]) -> tuple[int, Any]:
        what = "sessions" if path == SESSIONS else path.removeprefix(REQUESTS)
        for key in (what, f"{what}/{query.get('sid')}"):
            if key in self._faults:
                return self._faults[key]
        if path == CONSENTS and method == "GET":
            return 200, self.consents
        if path in (SESSIONS, CONSENTS):
            self.revoked.append(query.get("sid", query.get("subject", "")))
            return 204, {}
        kind, _, action = what.partition("/")
        asked = self.open.get((kind, query[f"{kind}_challenge"]))
        if asked is None:
            return 404, {"error": "Not Found"}
        if not action:
            return 200, asked
        if self.answered_before is not None:
            if self.answered_before:
                self._faults[kind] = 410, {"redirect_to": self.answered_before}
            return 409, {"error": "Conflict"}
        self.answered.append(Answered(what, document))
        return (204, {}) if what == "logout/reject" else (200, {"redirect_to": f"{PUBLIC}/{what}"})


@contextmanager
def connect() -> Iterator[FakeHydra]:
    """Let ``requests`` reach nothing else."""
    fake = FakeHydra()
    with patch.object(requests.Session, "get_adapter", lambda _session, url: fake):
        yield fake
