"""The user of Kratos' cookie or session token. We ask Kratos at most once in ``WHOAMI_SECONDS``."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from ..conf import KratosConfig
from ..exceptions import KratosError, ProviderUnavailable, SecondFactorRequired, SetupError, TemporaryError
from ..http import NO_ANSWER
from ..models import digest, moment
from ..ory.kratos import Credential, Identity, Session
from ..sessions import receipts

#: If Kratos does not answer, we send it no request for so many seconds.
COOL_DOWN_SECONDS = 5


@dataclass(frozen=True)
class KratosSession:
    """An active session at Kratos: an :class:`~..models.Authentication`. Times in seconds since the epoch."""

    issuer: str
    subject: str
    sid: str
    iat: float
    expires_at: float
    claims: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, issuer: str, session: Session) -> "KratosSession":
        return cls(
            issuer=issuer,
            subject=session.identity.id,
            sid=session.id,
            iat=seconds(session.authenticated_at),
            expires_at=seconds(session.expires_at),
            claims=claims(session.identity),
        )


@dataclass(frozen=True)
class WhoamiResult:
    """The answer for a credential, from Kratos or this site: its session, or the ``code`` of the refusal.

    ``detail``: why this site refuses it.
    ``logged_out_here``: the session is active at Kratos, but this site signs nobody in by it.
    ``redirect_browser_to``: where Kratos asks for the second factor, if that is missing.
    """

    session: KratosSession | None = None
    code: str = ""
    detail: str = ""
    redirect_browser_to: str = ""

    @property
    def accepted_session(self) -> KratosSession | None:
        """The session, if it signs the user in here."""
        return None if self.code else self.session


def seconds(moment: datetime | None) -> float:
    """``moment`` in seconds since the epoch. If Kratos gives no time, it is the current time."""
    return moment.timestamp() if moment else time.time()


def claims(identity: Identity) -> dict[str, Any]:
    """The claims of ``identity``, with the names of an ID token's claims (Core 5.1), and the traits themselves."""
    traits = identity.traits
    email, name = traits.get("email"), traits.get("name")
    names = name if isinstance(name, Mapping) else {"given_name": name, **traits}
    addresses = identity.verifiable_addresses
    verified = {address.value.lower() for address in addresses if address.verified and address.via == "email"}
    return {
        "email": email,
        "email_verified": isinstance(email, str) and email.lower() in verified,
        "given_name": names.get("first") or names.get("first_name") or names.get("given_name"),
        "family_name": names.get("last") or names.get("last_name") or names.get("family_name"),
        "traits": traits,
    }


@sensitive_variables()
def credential_of(request: HttpRequest, kratos: KratosConfig) -> Credential | None:
    """The session token of ``request``, else the cookie. With a token, the cookie does not count: so at Kratos."""
    token = request.headers.get("X-Session-Token", "")
    return Credential(token) if token else cookie_of(request, kratos)


@sensitive_variables()
def cookie_of(request: HttpRequest, kratos: KratosConfig) -> Credential | None:
    cookie = request.COOKIES.get(kratos.cookie_name, "")
    return Credential(cookie, kratos.cookie_name) if cookie else None


@sensitive_variables()
def lookup(kratos: KratosConfig, credential: Credential) -> WhoamiResult:
    """The cached result for ``credential``, or a new one from Kratos. Raises :exc:`~..exceptions.TemporaryError`."""
    result = cached(kratos, credential)
    if result is None:
        result = fetch(kratos, credential)
        if result.session and is_logged_out(kratos, credential, result.session):
            result = replace(result, code="logged_out_here")
        # A token stays the same when its session gets a second factor, so a cached refusal would be wrong then.
        if not (credential.is_token and result.code == "session_aal2_required"):
            store(kratos, credential, result)
    return result


@sensitive_variables()
def is_logged_out(kratos: KratosConfig, credential: Credential, session: KratosSession) -> bool:
    """Whether a logout here named the session or, if that was unknown, the credential. Prolongs its receipt."""
    names = session.sid, credential_digest(kratos, credential)
    if not any(receipts.is_logged_out(kratos.issuer, name) for name in names):
        return False
    for name in names:
        receipts.prolong(kratos.issuer, name, moment(session.expires_at))
    return True


@sensitive_variables()
def cached(kratos: KratosConfig, credential: Credential) -> WhoamiResult | None:
    """The cached result; sends no request to Kratos. Raises :exc:`~..exceptions.TemporaryError` without the cache."""
    entry = kratos.cache.get(_key(kratos, credential))
    if entry is None:
        return None
    session = entry["session"]
    return WhoamiResult(**{**entry, "session": KratosSession(**session) if session else None})


@sensitive_variables()
def store(kratos: KratosConfig, credential: Credential, result: WhoamiResult) -> None:
    """Store a result in the cache for ``WHOAMI_SECONDS``."""
    if kratos.whoami_seconds:
        kratos.cache.set(_key(kratos, credential), asdict(result), kratos.whoami_seconds)


@sensitive_variables()
def delete_cached(kratos: KratosConfig, credential: Credential) -> None:
    """Delete the cached result, so that the next lookup asks Kratos."""
    kratos.cache.delete(_key(kratos, credential))


@contextmanager
def cool_down(kratos: KratosConfig) -> Iterator[None]:
    """Use this around each call to ``kratos``. If Kratos has just not answered, the call fails at once.

    Raises :exc:`ProviderUnavailable` (``cooling_down``). Without the cache, each call goes to Kratos.
    """
    key = f"kratos:silent:{digest(kratos.issuer)}"
    if _is_cooling_down(kratos, key):
        raise ProviderUnavailable("cooling_down", f"Kratos did not answer within the last {COOL_DOWN_SECONDS} s")
    try:
        yield
    except ProviderUnavailable as error:
        if error.code in NO_ANSWER:
            with suppress(TemporaryError):
                kratos.cache.set(key, True, COOL_DOWN_SECONDS)
        raise


def _is_cooling_down(kratos: KratosConfig, key: str) -> bool:
    with suppress(TemporaryError):
        return bool(kratos.cache.get(key))
    return False


@sensitive_variables()
def fetch(kratos: KratosConfig, credential: Credential) -> WhoamiResult:
    """Ask Kratos about ``credential``. Raises :exc:`~..exceptions.ProviderUnavailable`."""
    try:
        with cool_down(kratos):
            return WhoamiResult(KratosSession.of(kratos.issuer, kratos.public.whoami(credential)))
    except SecondFactorRequired as error:
        return WhoamiResult(code=error.code, redirect_browser_to=error.redirect_browser_to)
    except KratosError as error:
        if error.code != "session_inactive":
            raise SetupError("kratos_unusable", f"{error} at {kratos.public.base_url}") from error
        return WhoamiResult(code=error.code)


def credential_digest(kratos: KratosConfig, credential: Credential) -> str:
    """The name of ``credential`` in a receipt, if its session is not known. It does not reveal the credential."""
    return digest(kratos.issuer, credential.cookie_name, credential.value)


def _key(kratos: KratosConfig, credential: Credential) -> str:
    return f"kratos:verdict:{credential_digest(kratos, credential)}"
