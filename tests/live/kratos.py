"""Users and browsers of a Kratos: the admin API creates the users, and they sign in with the real login flows."""

import base64
import hashlib
import hmac
import os
import struct
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import requests

from django_ory_logout.ory.kratos import Credential, KratosAdmin, KratosPublic

from .parties import TIMEOUT, query_of

JSON = {"Accept": "application/json"}
PAGE = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
COOKIE_NAME = os.environ.get("KRATOS_COOKIE_NAME", "ory_kratos_session")
Json = dict[str, Any]


def node(flow: Json, key: str, value: str) -> Json:
    """The attributes of the node whose ``key`` is ``value``, or an empty dict."""
    found = (each["attributes"] for each in flow["ui"]["nodes"] if each["attributes"].get(key) == value)
    return next(found, {})


def totp_code(secret: str) -> str:
    """RFC 6238."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


def set_cookies(response: requests.Response) -> dict[str, str]:
    """The ``Set-Cookie`` headers by the names of their cookies."""
    return {line.partition("=")[0]: line for line in response.raw.headers.getlist("Set-Cookie")}


@dataclass(frozen=True)
class Kratos:
    public_url: str
    admin_url: str

    @property
    def admin(self) -> KratosAdmin:
        return KratosAdmin(self.admin_url, os.environ.get("KRATOS_ADMIN_TOKEN"))

    @property
    def public(self) -> KratosPublic:
        return KratosPublic(self.public_url)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call the public API without a credential, unless ``headers`` has one."""
        options = {"headers": JSON, **options}
        return requests.request(method, self.public_url + path, allow_redirects=False, timeout=TIMEOUT, **options)

    def manage(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call the admin API."""
        headers = {**JSON, **({"Authorization": f"Bearer {self.admin.token}"} if self.admin.token else {})}
        return requests.request(
            method, f"{self.admin_url}/admin{path}", headers=headers, allow_redirects=False, timeout=TIMEOUT, **options
        )

    def is_active(self, session_id: str) -> bool:
        return bool(self.manage("GET", f"/sessions/{session_id}").json()["active"])

    def wait_until_ended(self, session_id: str, seconds: float = 5.0) -> bool:
        """Whether the session ends within ``seconds``."""
        deadline = time.monotonic() + seconds
        while self.is_active(session_id) and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.is_active(session_id)

    def remembers(self, user: "User") -> bool:
        """Whether its cookie outlives the browser: ``session.cookie.persistent``."""
        return "Max-Age" in KratosBrowser(self).sign_in(user).set_cookie

    def requires_second_factor(self, user: "User") -> bool:
        """Whether ``session.whoami.required_aal`` is ``highest_available``. ``user`` gets a second factor."""
        user.enroll(self)
        return bool(Native(self, user).whoami().status_code == requests.codes.forbidden)


@dataclass
class User:
    """An identity with a password."""

    id: str
    email: str
    password: str
    totp_secret: str = ""

    @classmethod
    def make(cls, kratos: Kratos, name: str) -> "User":
        email, password = f"{name}-{uuid4()}@example.com", f"a password {uuid4()}"
        given = {
            "schema_id": os.environ.get("KRATOS_SCHEMA_ID", "default"),
            "traits": {"email": email},
            "credentials": {"password": {"config": {"password": password}}},
        }
        made = kratos.manage("POST", "/identities", json=given)
        assert made.status_code == requests.codes.created, made.text
        return cls(made.json()["id"], email, password)

    @property
    def proof(self) -> dict[str, str]:
        return {"method": "password", "identifier": self.email, "password": self.password}

    @property
    def second_proof(self) -> dict[str, str]:
        return {"method": "totp", "totp_code": totp_code(self.totp_secret)}

    def enroll(self, kratos: Kratos) -> "Native":
        """Add a TOTP as second factor with the settings flow. Return the session that did it, now at AAL2."""
        native = Native(kratos, self)
        flow = native.call("GET", "/self-service/settings/api").json()
        self.totp_secret = node(flow, "id", "totp_secret_key")["text"]["text"]
        done = requests.post(flow["ui"]["action"], json=self.second_proof, headers=native.headers, timeout=TIMEOUT)
        assert done.status_code == requests.codes.ok, done.text
        return native


class Native:
    """A native application in which ``user`` signed in."""

    def __init__(self, kratos: Kratos, user: User) -> None:
        self.kratos = kratos
        flow = kratos.call("GET", "/self-service/login/api").json()
        signed_in = requests.post(flow["ui"]["action"], json=user.proof, headers=JSON, timeout=TIMEOUT).json()
        self.token = str(signed_in["session_token"])
        self.session_id = str(signed_in["session"]["id"])

    @property
    def headers(self) -> dict[str, str]:
        return {**JSON, "X-Session-Token": self.token}

    @property
    def credential(self) -> Credential:
        return Credential(self.token)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.kratos.call(method, path, headers=self.headers, **options)

    def whoami(self) -> requests.Response:
        return self.call("GET", "/sessions/whoami")

    def log_out(self) -> requests.Response:
        """Send the token in the body only."""
        return self.kratos.call("DELETE", "/self-service/logout/api", json={"session_token": self.token})


@dataclass
class KratosBrowser:
    """A browser at Kratos. It shows no page and runs no script."""

    kratos: Kratos
    session: requests.Session = field(default_factory=requests.Session)
    session_id: str = ""
    #: The cookie of the last sign-in.
    set_cookie: str = ""

    @property
    def cookie(self) -> str:
        return next(cookie.value or "" for cookie in self.session.cookies if cookie.name == COOKIE_NAME)

    @property
    def cookie_header(self) -> dict[str, str]:
        return {"Cookie": f"{COOKIE_NAME}={self.cookie}"}

    @property
    def credential(self) -> Credential:
        return Credential(self.cookie, COOKIE_NAME)

    def get(self, path: str, headers: dict[str, str] = JSON, /, **query: str) -> requests.Response:
        url = path if path.startswith("http") else self.kratos.public_url + path
        return self.session.get(url, params=query, headers=headers, allow_redirects=False, timeout=TIMEOUT)

    def delete(self, path: str) -> requests.Response:
        return self.session.delete(self.kratos.public_url + path, headers=JSON, timeout=TIMEOUT)

    def submit(self, flow: Json, answer: dict[str, str], headers: dict[str, str] = JSON) -> requests.Response:
        """Submit by AJAX, or as a form if a page is requested."""
        body = {"csrf_token": node(flow, "name", "csrf_token")["value"], **answer}
        given: Json = {"json": body} if headers["Accept"] == JSON["Accept"] else {"data": body}
        return self.session.post(flow["ui"]["action"], headers=headers, allow_redirects=False, timeout=TIMEOUT, **given)

    def try_to_sign_in(self, user: User, **query: str) -> requests.Response:
        return self.submit(self.get("/self-service/login/browser", **query).json(), user.proof)

    def sign_in(self, user: User, **query: str) -> "KratosBrowser":
        """Sign in, again with ``refresh="true"`` if there is a session. Kratos may still require a second factor."""
        answer = self.try_to_sign_in(user, **query)
        assert answer.status_code in (requests.codes.ok, requests.codes.unprocessable_entity), answer.text
        self.set_cookie = set_cookies(answer)[COOKIE_NAME]
        mine = self.kratos.manage("GET", f"/identities/{user.id}/sessions").json()
        self.session_id = str(answer.json()["session"]["id"] if answer.ok else mine[0]["id"])
        return self

    def step_up(self, user: User) -> requests.Response:
        flow = self.get("/self-service/login/browser", aal="aal2").json()
        return self.submit(flow, user.second_proof)

    def whoami(self, **headers: str) -> requests.Response:
        return self.get("/sessions/whoami", {**JSON, **headers})

    def logout_token(self) -> str:
        return str(self.get("/self-service/logout/browser").json()["logout_token"])

    def answer_login_page(self, location: str, user: User) -> requests.Response:
        """Submit the form of the login page at ``location``. Return Kratos' next answer."""
        flow = self.get("/self-service/login/flows", id=query_of(location)["flow"]).json()
        return self.submit(flow, user.proof, PAGE)
