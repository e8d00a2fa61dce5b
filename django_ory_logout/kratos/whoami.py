"""Whom Kratos' cookie or session token stands for, asked at most every ``WHOAMI_SECONDS``."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from ..conf import KratosConfig
from ..exceptions import KratosError, ProviderUnavailable, SecondFactorRequired
from ..models import digest
from ..ory.kratos import Credential, Identity, Session

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
class Verdict:
    """What Kratos, or this site, said of a credential: whose session it is, or the ``code`` of the refusal.

    ``redirect_browser_to``: where Kratos asks for a second factor, if that is what is missing.
    """

    session: KratosSession | None = None
    code: str = ""
    redirect_browser_to: str = ""


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
def verdict(kratos: KratosConfig, credential: Credential) -> Verdict:
    """What Kratos says of ``credential``, or said lately. Raises :exc:`~..exceptions.Undecided`."""
    found = held(kratos, credential)
    if found is None:
        found = _asked(kratos, credential)
        hold(kratos, credential, found)
    return found


@sensitive_variables()
def held(kratos: KratosConfig, credential: Credential) -> Verdict | None:
    """What Kratos said lately; asks nobody. Raises :exc:`~..exceptions.Undecided` without the cache."""
    kept = kratos.cache.get(_key(kratos, credential))
    if kept is None:
        return None
    session = kept["session"]
    return Verdict(**{**kept, "session": KratosSession(**session) if session else None})


@sensitive_variables()
def hold(kratos: KratosConfig, credential: Credential, found: Verdict) -> None:
    """Keep a verdict for as long as it holds."""
    if kratos.whoami_seconds:
        kratos.cache.set(_key(kratos, credential), asdict(found), kratos.whoami_seconds)


@sensitive_variables()
def forget(kratos: KratosConfig, credential: Credential) -> None:
    """Ask again next time."""
    kratos.cache.delete(_key(kratos, credential))


@sensitive_variables()
def _asked(kratos: KratosConfig, credential: Credential) -> Verdict:
    silent = f"kratos:silent:{digest(kratos.issuer)}"
    if kratos.cache.get(silent):
        raise ProviderUnavailable("cooling_down", f"Kratos did not answer within the last {COOL_DOWN_SECONDS} s")
    try:
        return Verdict(KratosSession.of(kratos.issuer, kratos.public.whoami(credential)))
    except SecondFactorRequired as error:
        return Verdict(code=error.code, redirect_browser_to=error.redirect_browser_to)
    except KratosError as error:
        if error.code != "session_inactive":
            raise ProviderUnavailable("kratos_fault", str(error)) from error
        return Verdict(code=error.code)
    except ProviderUnavailable as error:
        if error.code in SILENCE:
            kratos.cache.set(silent, True, COOL_DOWN_SECONDS)
        raise


def named(kratos: KratosConfig, credential: Credential) -> str:
    """``credential`` in a receipt, where nobody can say whose session it is. Tells nothing of it."""
    return digest(kratos.issuer, credential.cookie_name, credential.value)


def _key(kratos: KratosConfig, credential: Credential) -> str:
    return f"kratos:verdict:{named(kratos, credential)}"
