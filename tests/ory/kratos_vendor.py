"""Ory's own client for Kratos: it shows the correct requests. Refusals have Kratos' own words."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import ory_kratos_client as vendor
from ory_kratos_client.rest import RESTClientObject

from .conftest import KRATOS_ADMIN_URL, KRATOS_URL, Asked
from .vendor import sent_by

SESSION_ID = "09493f71-ee9d-4415-810a-7da9de8007f5"
IDENTITY_ID = "1fd0a437-e55c-424c-9348-93f72d0d179e"
COOKIE = "MTc5NTI2ODg0MHx6ei1VUDZ0dTI1VGs-X0diY1RJWQ=="
SESSION_TOKEN = "ory_st_LRNNWcQc8uwPE3yZz8Zpovh3ixqQNezQ"
LOGOUT_TOKEN = "ory_lo_sluOOMEkMrVZPUtHbO8fcGJxh57aiC13"

#: Headers for authentication and content types.
HEADERS = ("Accept", "Authorization", "Content-Type", "Cookie", "X-Session-Token")

IDENTITY = vendor.Identity(
    id=IDENTITY_ID,
    schema_id="default",
    schema_url="https://kratos.example/schemas/ZGVmYXVsdA",
    state="active",
    traits={"email": "amber@example.com"},
    metadata_public={"p": 1},
    verifiable_addresses=[
        vendor.VerifiableIdentityAddress(value="amber@example.com", verified=True, via="email", status="completed")
    ],
)
#: Traits of the default schema. The model of Ory's client needs them.
NEW_IDENTITY = vendor.CreateIdentityBody(
    schema_id="",
    traits={"email": "amber@example.com"},
    credentials=vendor.IdentityWithCredentials(
        password=vendor.IdentityWithCredentialsPassword(
            config=vendor.IdentityWithCredentialsPasswordConfig(password="a password of hers")
        )
    ),
)
FLOW = vendor.LogoutFlow(
    logout_url=f"https://kratos.example/self-service/logout?token={LOGOUT_TOKEN}", logout_token=LOGOUT_TOKEN
)
COUNT = vendor.DeleteMySessionsCount(count=7)


def session(session_id: str = SESSION_ID, **change: Any) -> vendor.Session:
    """A session."""
    given: dict[str, Any] = {
        "id": session_id,
        "active": True,
        "authenticated_at": datetime(2026, 7, 1, 12, tzinfo=UTC),
        "authenticator_assurance_level": vendor.AuthenticatorAssuranceLevel.AAL1,
        "devices": [
            vendor.SessionDevice(
                id="9b3838cc-8bfa-4704-aee7-ec7439c5867d",
                ip_address="127.0.0.1:36256",
                user_agent="a browser",
                location="",
            )
        ],
        "expires_at": datetime(2026, 7, 2, 12, tzinfo=UTC),
        "identity": IDENTITY,
        "issued_at": datetime(2026, 7, 1, 12, tzinfo=UTC),
    }
    return vendor.Session(**(given | change))


def refusal(code: int, **words: str) -> vendor.ErrorGeneric:
    """A refusal in Kratos' format."""
    given: dict[str, Any] = {"message": "no"} | words
    return vendor.ErrorGeneric(error=vendor.GenericError(code=code, **given))


WHOAMI_401 = refusal(
    401,
    status="Unauthorized",
    reason="No valid session credentials found in the request.",
    message="The request could not be authorized",
)
SESSIONS_401 = refusal(
    401,
    status="Unauthorized",
    reason="No valid session cookie found.",
    message="The request could not be authorized",
)
INACTIVE = refusal(
    401,
    id="session_inactive",
    status="Unauthorized",
    reason="No active session was found in this request.",
    message="request does not have a valid authentication session",
)
DATABASE_DOWN = refusal(500, status="Internal Server Error", message="Unable to locate the table")
NOT_FOUND = refusal(404, status="Not Found", message="Unable to locate the resource")
RETURN_TO = refusal(
    400,
    id="self_service_flow_return_to_forbidden",
    status="Bad Request",
    reason='Requested return_to URL "https://elsewhere.example/" is not allowed.',
    message="The request was malformed or contained invalid parameters",
)
FOREIGN_TOKEN = refusal(
    403,
    status="Forbidden",
    reason="Unable to log out because the logout token in the URL query does not match the session cookie.",
    message="The requested action was forbidden",
)
UNKNOWN_TOKEN = refusal(
    403,
    status="Forbidden",
    reason="The provided Ory Session Token could not be found, is invalid, or otherwise malformed.",
    message="The requested action was forbidden",
)
CURRENT = refusal(400, status="Bad Request", message="cannot revoke current session")
AAL2 = {
    "error": {
        "id": "session_aal2_required",
        "code": 403,
        "status": "Forbidden",
        "reason": "An active session was found but it does not fulfill the requested Authenticator Assurance Level.",
        "message": "Session does not fulfill the requested Authenticator Assurance Level",
    },
    "redirect_browser_to": "https://kratos.example/self-service/login/browser?aal=aal2",
}
GATEWAY_401 = {"error": {"code": 401, "status": "Unauthorized", "message": "Access credentials are invalid"}}
GATEWAY_403 = {"error": {"code": 403, "status": "Forbidden", "message": "Access credentials are not sufficient"}}


def relevant(headers: Mapping[str, str]) -> dict[str, str]:
    """The ``headers`` that matter, in any case."""
    given = {name.lower(): value for name, value in headers.items()}
    return {name: given[name.lower()] for name in HEADERS if name.lower() in given}


def request_of(call: Callable[[vendor.FrontendApi], object]) -> tuple[Asked, dict[str, str]]:
    """The request that Ory's client would send to the public API."""
    api = vendor.FrontendApi(vendor.ApiClient(vendor.Configuration(host=KRATOS_URL)))
    request, headers = sent_by(RESTClientObject, lambda: call(api))
    return request, relevant(headers)


def admin_request_of(call: Callable[[vendor.IdentityApi], object], token: str = "") -> tuple[Asked, dict[str, str]]:
    """The request that Ory's client would send to the admin API."""
    configuration = vendor.Configuration(host=KRATOS_ADMIN_URL)
    if token:
        configuration.api_key["oryAccessToken"] = token
        configuration.api_key_prefix["oryAccessToken"] = "Bearer"
    api = vendor.IdentityApi(vendor.ApiClient(configuration))
    request, headers = sent_by(RESTClientObject, lambda: call(api))
    return request, relevant(headers)
