"""A Hydra that signs in by Kratos, both in this process."""

from dataclasses import replace

from authlib.oauth2.rfc6749.errors import OAuth2Error

from ..hydra import challenges
from ..hydra.provider import Provider
from ..hydra.records import LoginSession
from .kratos import Kratos
from .records import Session
from .refusals import challenge_refused


def sign_in_by(provider: Provider, kratos: Kratos) -> None:
    """Make ``kratos`` the login page of ``provider``, which ends the Kratos session with its own.

    By ``sid`` and by logout, never by subject. Kratos tells Hydra of nothing.
    """
    kratos.hydra = provider
    provider.identity_provider = kratos
    provider.pages = replace(provider.pages, login=kratos.url("/self-service/login/browser"))


def skips(kratos: Kratos, challenge: str) -> bool:
    """Whether Hydra knows the browser already. Raises 400 for a challenge that it does not know."""
    try:
        return challenges.login_flow(_hydra(kratos), challenge).login_skip
    except OAuth2Error as error:
        raise challenge_refused() from error


def accept(kratos: Kratos, challenge: str, session: Session) -> str:
    """Where the browser goes on at Hydra, which remembers the login where Kratos' cookie outlives the browser."""
    answer = {
        "subject": session.identity.id,
        "remember": kratos.persistent,
        "remember_for": int(kratos.lifespan),
        "amr": [method.method for method in session.methods],
        "identity_provider_session_id": session.id,
    }
    return challenges.accept_login(_hydra(kratos), challenge, answer)


def login_session(provider: Provider, kratos: Kratos, session: Session, *client_ids: str) -> LoginSession:
    """What Hydra keeps once ``session`` has signed in to ``client_ids``."""
    return provider.sign_in(
        session.identity.id, *client_ids, remember=kratos.persistent, identity_provider_session_id=session.id
    )


def _hydra(kratos: Kratos) -> Provider:
    if kratos.hydra is None:
        raise challenge_refused()
    return kratos.hydra
