"""Ory's own client for Python: it shows the correct requests, and its models make the answers."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import ory_hydra_client as vendor
from ory_hydra_client.rest import RESTClientObject

from .conftest import ADMIN_URL, Asked, asked

CLIENT = vendor.OAuth2Client(
    client_id="rp",
    client_name="the site",
    redirect_uris=["https://rp.example/callback"],
    post_logout_redirect_uris=["https://rp.example/bye"],
    backchannel_logout_uri="https://rp.example/backchannel",
    backchannel_logout_session_required=True,
    skip_logout_consent=True,
    subject_type="public",
)
REDIRECT = vendor.OAuth2RedirectTo(redirect_to="https://op.example/next")
LOGIN_REQUEST = vendor.OAuth2LoginRequest(
    challenge="a challenge",
    client=CLIENT,
    oidc_context=vendor.OAuth2ConsentRequestOpenIDConnectContext(
        login_hint="amber", ui_locales=["de"], acr_values=["2"], display="page", id_token_hint_claims={"sub": "amber"}
    ),
    request_url="https://op.example/oauth2/auth?prompt=login",
    requested_access_token_audience=["api"],
    requested_scope=["openid"],
    session_id="a sid",
    skip=True,
    subject="amber",
)
CONSENT_REQUEST = vendor.OAuth2ConsentRequest(
    acr="2",
    amr=["pwd"],
    challenge="a challenge",
    client=CLIENT,
    consent_request_id="an id",
    context={"from": "login"},
    login_session_id="a sid",
    request_url="https://op.example/oauth2/auth",
    requested_access_token_audience=["api"],
    requested_scope=["openid"],
    skip=False,
    subject="amber",
)


class _Sent(Exception):
    pass


def sent_by(rest_client: type, call: Callable[[], object]) -> tuple[Asked, dict[str, str]]:
    """The request and headers that ``call`` of Ory's client would send with its ``rest_client``."""
    sent: list[tuple[Asked, dict[str, str]]] = []

    def request(
        _self: object, method: str, url: str, headers: Any, body: Any = None, post_params: Any = None, **_: object
    ) -> None:
        body = body if body is not None else dict(post_params) if post_params else None
        sent.append((asked(method, url, body), headers))
        raise _Sent

    with patch.object(rest_client, "request", request):
        try:
            call()
        except _Sent:
            return sent[0]
    raise AssertionError("the vendor's client sent nothing")


def request_of(call: Callable[[vendor.OAuth2Api], object]) -> Asked:
    """The request that Ory's client would send to Hydra."""
    api = vendor.OAuth2Api(vendor.ApiClient(vendor.Configuration(host=ADMIN_URL)))
    return sent_by(RESTClientObject, lambda: call(api))[0]


def session(number: int, **change: Any) -> vendor.OAuth2ConsentSession:
    """A consent."""
    request = CONSENT_REQUEST.model_copy(update={"challenge": "", "consent_request_id": f"id {number}"})
    given: dict[str, Any] = {
        "consent_request": request,
        "consent_request_id": f"id {number}",
        "grant_scope": ["openid"],
        "handled_at": "2026-07-01T12:00:00.123456789Z",
        "remember": True,
        "remember_for": 3600,
    }
    return vendor.OAuth2ConsentSession(**(given | change))
