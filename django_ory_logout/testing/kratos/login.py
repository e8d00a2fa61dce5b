"""Login: begin a flow, read it, and submit it with a password or with the code of a second factor."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from ..http import Answer, Request
from ..uris import set_query
from . import csrf, documents, flows, forms, hydra, totp
from .answers import of_json, see_other, set_cookies
from .credentials import session_cookie, session_of
from .kratos import Kratos
from .records import Device, Flow, Session
from .redirects import return_url, wants_json
from .refusals import Refusal, location_change_required, session_already_available, session_required

_LEVELS = ("aal1", "aal2")


# Begin


def begin_natively(kratos: Kratos, request: Request) -> Answer:
    flow = _new(kratos, request, "api")
    _require_reason(flow, session_of(kratos, request))
    return of_json(flows.document(kratos, _stored(kratos, flow)))


def begin(kratos: Kratos, request: Request) -> Answer:
    """Redirect a browser to the login page. If it is signed in already, redirect it to its ``return_to``."""
    flow, session = _new(kratos, request, "browser"), session_of(kratos, request)
    skip = hydra.skips(kratos, flow.login_challenge) if flow.login_challenge else False
    # At the first login to Hydra in this browser, Kratos asks for the password again.
    flow.refresh = session is not None and (flow.refresh or (bool(flow.login_challenge) and not skip))
    try:
        _require_reason(flow, session)
    except Refusal:
        if session is None or wants_json(request):
            raise
        hydra_url = hydra.accept(kratos, flow.login_challenge, session) if flow.login_challenge else ""
        return see_other(hydra_url or flow.return_to or kratos.default_return_url)
    if session and flow.refresh:
        flow.identifier, flow.message = session.identity.identifiers[0], flows.SIGN_IN_AGAIN
    flow.csrf_token = csrf.token(request) or csrf.new_token()
    headers = set_cookies(*([] if csrf.token(request) else [csrf.cookie(kratos, flow.csrf_token)]))
    _stored(kratos, flow)
    if wants_json(request):
        return of_json(flows.document(kratos, flow), headers=headers)
    return see_other(f"{kratos.login_url}?flow={flow.id}", headers)


def _new(kratos: Kratos, request: Request, kind: str) -> Flow:
    query = request.query
    aal = query.get("aal") or "aal1"
    if aal not in _LEVELS:
        expected = f"expected one of [{', '.join(_LEVELS)}] but got {aal}"
        reason = f"Unable to parse AuthenticationMethod Assurance Level (AAL): {expected}"
        raise Refusal(HTTPStatus.BAD_REQUEST, reason)
    return Flow(
        name="login",
        type=kind,
        issued_at=kratos.clock(),
        request_url=f"{kratos.url(request.path)}?{urlencode(query)}",
        return_to=return_url(kratos, request, ""),
        refresh=query.get("refresh") == "true",
        requested_aal=aal,
        login_challenge=query.get("login_challenge", ""),
        message=flows.SECOND_FACTOR if aal == "aal2" else None,
    )


def _require_reason(flow: Flow, session: Session | None) -> None:
    """Raises if the session has the requested AAL already, or if a second factor comes without a first one."""
    if session is None and flow.requested_aal != "aal1":
        raise session_required()
    if session and not flow.refresh and session.aal >= flow.requested_aal:
        raise session_already_available()


def _stored(kratos: Kratos, flow: Flow) -> Flow:
    kratos.flows[flow.id] = flow
    return flow


# Read


def read(kratos: Kratos, request: Request) -> Answer:
    """The document of a flow. A browser's flow is for that browser only."""
    flow = forms.found(kratos, request.query.get("id", ""), "login")
    forms.require_browser(request, flow, csrf.token(request))
    return of_json(flows.document(kratos, flow))


# Submit


def submit(kratos: Kratos, request: Request) -> Answer:
    flow, answer = forms.submitted(kratos, request, "login")
    session = session_of(kratos, request)
    try:
        _require_reason(flow, session)
    except Refusal:
        if session is None:
            raise
        if flow.type == "browser" and not wants_json(request):
            return see_other(kratos.default_return_url)
        return forms.again(kratos, request, flow, flows.SIGNED_IN_ALREADY)
    authenticate = _by_code if flow.requested_aal == "aal2" else _by_password
    authenticated = authenticate(kratos, request, session, answer)
    if authenticated is None:
        flow.identifier = answer.get("identifier", "")
        return forms.again(kratos, request, flow, flows.WRONG_CODE if session else flows.WRONG_PASSWORD)
    return _CompletedFlow(kratos, request, flow, authenticated).answer()


def _by_password(
    kratos: Kratos, request: Request, session: Session | None, answer: Mapping[str, Any]
) -> Session | None:
    """The current session if its identity signs in again, else a new session. The current session does not end."""
    identity, password = kratos.find_identity(answer.get("identifier", "")), answer.get("password")
    if identity is None or not password or identity.password != password or identity.state != "active":
        return None
    if session and session.identity is identity:
        return kratos.reauthenticate(session, "password")
    device = Device(request.headers.get("X-Forwarded-For", "127.0.0.1"), request.headers.get("User-Agent", ""))
    return kratos.sign_in(identity, device=device)


def _by_code(kratos: Kratos, request: Request, session: Session | None, answer: Mapping[str, Any]) -> Session | None:
    if session is None or not totp.is_valid(session.identity.totp_secret, answer.get("totp_code", ""), kratos.clock()):
        return None
    return kratos.reauthenticate(session, "totp")


@dataclass(frozen=True)
class _CompletedFlow:
    """A flow that has a session now."""

    kratos: Kratos
    request: Request
    flow: Flow
    session: Session

    def answer(self) -> Answer:
        return self._for_native() if self.flow.type == "api" else self._for_browser()

    def _for_native(self) -> Answer:
        """The session with its token. Without its identity, if a second factor is missing."""
        session = documents.session(self.kratos, self.session)
        if self.kratos.lacks_second_factor(self.session):
            session["identity"] = None
        return of_json({"session_token": self.session.token, "session": session, "continue_with": None})

    def _for_browser(self) -> Answer:
        """A redirect or a document, with the session's cookie. It has the cookie also if a second factor is missing."""
        headers = set_cookies(csrf.renewed(self.kratos), session_cookie(self.kratos, self.session))
        next_step = self._next_step()
        url = next_step or self.flow.return_to or self.kratos.default_return_url
        if not wants_json(self.request):
            return see_other(url, headers)
        if next_step:
            refusal = location_change_required(next_step)
            refusal.headers = headers
            raise refusal
        redirect = [{"action": "redirect_browser_to", "redirect_browser_to": url}]
        session = documents.session(self.kratos, self.session)
        return of_json({"session": session, "continue_with": redirect}, headers=headers)

    def _next_step(self) -> str:
        """The URL of the next step, if there is one: the second factor, or Hydra."""
        challenge, return_to = self.flow.login_challenge, self.flow.return_to
        if self.kratos.lacks_second_factor(self.session):
            parameters = {"return_to": return_to, "login_challenge": challenge, "aal": "aal2"}
            query = {name: value for name, value in parameters.items() if value}
            return set_query(self.kratos.url("/self-service/login/browser"), **query)
        return hydra.accept(self.kratos, challenge, self.session) if challenge else ""
