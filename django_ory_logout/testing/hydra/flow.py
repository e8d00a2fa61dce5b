"""An authorization request on its way through login and consent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from .authorization import AuthorizationRequest

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Flow:
    """An authorization request with the answers that it got so far; each answer makes another."""

    asked: AuthorizationRequest
    #: The browser that brought it: nobody else's goes on with a verifier.
    browser: str
    sid: str
    subject: str = ""
    auth_time: int = 0
    #: Whether the browser's login session, or an earlier consent, spares the question.
    login_skip: bool = False
    consent_skip: bool = False
    login_id: str = field(default_factory=lambda: uuid4().hex)
    consent_request_id: str = field(default_factory=lambda: uuid4().hex)
    #: What the login and the consent page said, in the admin API's words.
    login: Answer = field(default_factory=dict)
    consent: Answer = field(default_factory=dict)
    handled_at: float = 0
