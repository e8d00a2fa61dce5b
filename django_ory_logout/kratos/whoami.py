"""Whom Kratos' cookie or session token stands for, asked at most every ``WHOAMI_SECONDS``."""

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
from ..models import digest, moment
from ..ory.kratos import Credential, Identity, Session
from ..sessions import receipts

#: How long a Kratos that does not answer is not asked again, in seconds.
COOL_DOWN_SECONDS = 5
SILENCE = frozenset({"unreachable", "too_slow"})


@dataclass(frozen=True)
class KratosSession:
    """A living session at Kratos: an :class:`~..models.Authentication`. Times in seconds since the epoch."""

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
    """What Kratos, or this site, said of a credential: whose session it is, or the ``code`` of the refusal.

    ``detail``: why this site refuses it.
    ``logged_out_here``: Kratos still knows the session, and this site signs nobody in by it.
    ``redirect_browser_to``: where Kratos asks for a second factor, if that is what is missing.
    """

    session: KratosSession | None = None
    code: str = ""
    detail: str = ""
    redirect_browser_to: str = ""

    @property
    def admitted(self) -> KratosSession | None:
        """The session that signs somebody in."""
        return None if self.code else self.session


def seconds(moment: datetime | None) -> float:
    """``moment`` since the epoch; now for what Kratos does not say."""
    return moment.timestamp() if moment else time.time()


def claims(identity: Identity) -> dict[str, Any]:
    """What an ID token would say of ``identity``, by its claims' names (Core 5.1), and the traits themselves."""
    traits = identity.traits
    email, name = traits.get("email"), traits.get("name")
    names = name if isinstance(name, Mapping) else {"given_name": name, **traits}
    verified = {one.value.lower() for one in identity.verifiable_addresses if one.verified and one.via == "email"}
    return {
        "email": email,
        "email_verified": isinstance(email, str) and email.lower() in verified,
        "given_name": names.get("first") or names.get("first_name") or names.get("given_name"),
        "family_name": names.get("last") or names.get("last_name") or names.get("family_name"),
        "traits": traits,
    }


@sensitive_variables()
def credential_of(request: HttpRequest, kratos: KratosConfig) -> Credential | None:
    """What ``request`` carries: a session token, else the cookie. As at Kratos, a bad token beats a good cookie."""
    token = request.headers.get("X-Session-Token", "")
    return Credential(token) if token else cookie_of(request, kratos)


@sensitive_variables()
def cookie_of(request: HttpRequest, kratos: KratosConfig) -> Credential | None:
    """Kratos' cookie, if it came."""
    cookie = request.COOKIES.get(kratos.cookie_name, "")
    return Credential(cookie, kratos.cookie_name) if cookie else None


@sensitive_variables()
def lookup(kratos: KratosConfig, credential: Credential) -> WhoamiResult:
    """What Kratos says of ``credential``, or said lately. Raises :exc:`~..exceptions.TemporaryError`."""
    found = cached(kratos, credential)
    if found is None:
        found = _unless_logged_out(kratos, credential, ask(kratos, credential))
        # A token stays the same when its session is given a second factor, and nobody would notice.
        if not (credential.is_token and found.code == "session_aal2_required"):
            keep(kratos, credential, found)
    return found


@sensitive_variables()
def _unless_logged_out(kratos: KratosConfig, credential: Credential, found: WhoamiResult) -> WhoamiResult:
    if found.session and is_logged_out(kratos, credential, found.session):
        return replace(found, code="logged_out_here")
    return found


@sensitive_variables()
def is_logged_out(kratos: KratosConfig, credential: Credential, session: KratosSession) -> bool:
    """Whether a logout here named the session, or the credential where nobody could say whose session it was.

    That is remembered for as long as the session at Kratos may live by now.
    """
    names = session.sid, credential_digest(kratos, credential)
    if not any(receipts.is_logged_out(kratos.issuer, name) for name in names):
        return False
    for name in names:
        receipts.prolong(kratos.issuer, name, moment(session.expires_at))
    return True


@sensitive_variables()
def cached(kratos: KratosConfig, credential: Credential) -> WhoamiResult | None:
    """What Kratos said lately; asks nobody. Raises :exc:`~..exceptions.TemporaryError` without the cache."""
    kept = kratos.cache.get(_key(kratos, credential))
    if kept is None:
        return None
    session = kept["session"]
    return WhoamiResult(**{**kept, "session": KratosSession(**session) if session else None})


@sensitive_variables()
def keep(kratos: KratosConfig, credential: Credential, found: WhoamiResult) -> None:
    """Keep a verdict for as long as it holds."""
    if kratos.whoami_seconds:
        kratos.cache.set(_key(kratos, credential), asdict(found), kratos.whoami_seconds)


@sensitive_variables()
def forget(kratos: KratosConfig, credential: Credential) -> None:
    """Ask again next time."""
    kratos.cache.delete(_key(kratos, credential))


@contextmanager
def cool_down(kratos: KratosConfig) -> Iterator[None]:
    """Around any call of ours to ``kratos``: one that has just not answered is not waited for again.

    Raises :exc:`ProviderUnavailable` (``cooling_down``). Without the cache nobody knows, and Kratos is asked.
    """
    silent = f"kratos:silent:{digest(kratos.issuer)}"
    if _noted(kratos, silent):
        raise ProviderUnavailable("cooling_down", f"Kratos did not answer within the last {COOL_DOWN_SECONDS} s")
    try:
        yield
    except ProviderUnavailable as error:
        if error.code in SILENCE:
            with suppress(TemporaryError):
                kratos.cache.set(silent, True, COOL_DOWN_SECONDS)
        raise


def _noted(kratos: KratosConfig, silent: str) -> bool:
    with suppress(TemporaryError):
        return bool(kratos.cache.get(silent))
    return False


@sensitive_variables()
def ask(kratos: KratosConfig, credential: Credential) -> WhoamiResult:
    """What Kratos says of ``credential``. Raises :exc:`~..exceptions.ProviderUnavailable`."""
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
    """``credential`` in a receipt, where nobody can say whose session it is. Tells nothing of it."""
    return digest(kratos.issuer, credential.cookie_name, credential.value)


def _key(kratos: KratosConfig, credential: Credential) -> str:
    return f"kratos:verdict:{credential_digest(kratos, credential)}"
