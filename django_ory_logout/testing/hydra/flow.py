"""The state of an authorization request between login and consent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from .authorization import AuthorizationRequest

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Flow:
    """An authorization request with its answers so far. Each answer makes a new flow."""

    request: AuthorizationRequest
    #: The browser that sent it. Another browser cannot use its verifiers.
    browser: str
    sid: str
    subject: str = ""
    auth_time: int = 0
    #: Whether the browser's login session, or an earlier consent, is enough.
    login_skip: bool = False
    consent_skip: bool = False
    login_id: str = field(default_factory=lambda: uuid4().hex)
    consent_request_id: str = field(default_factory=lambda: uuid4().hex)
    #: The answers of the login and consent pages, with the names of the admin API.
    login: Answer = field(default_factory=dict)
    consent: Answer = field(default_factory=dict)
    handled_at: float = 0
