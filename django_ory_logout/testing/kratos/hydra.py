"""Kratos as the login page of a Hydra, both in this process."""

from dataclasses import replace

from authlib.oauth2.rfc6749.errors import OAuth2Error

from ..hydra import challenges
from ..hydra.provider import Provider
from ..hydra.records import LoginSession
from .kratos import Kratos
from .records import Session
from .refusals import challenge_refused


def sign_in_by(provider: Provider, kratos: Kratos) -> None:
    """Make ``kratos`` the login page of ``provider``. The provider ends the Kratos session with its own session.

    It does so at a logout and at an end by ``sid``, not at an end by subject. Kratos does not notify Hydra.
    """
    kratos.hydra = provider
    provider.identity_provider = kratos
    provider.pages = replace(provider.pages, login=kratos.url("/self-service/login/browser"))


def skips(kratos: Kratos, challenge: str) -> bool:
    """Whether the browser has a login session at Hydra. Raises 400 for an unknown challenge."""
    try:
        return challenges.login_flow(_hydra(kratos), challenge).login_skip
    except OAuth2Error as error:
        raise challenge_refused() from error


def accept(kratos: Kratos, challenge: str, session: Session) -> str:
    """Accept the login at Hydra. Returns the URL to send the browser to.

    Hydra remembers the login only if Kratos' cookie is persistent.
    """
    answer = {
        "subject": session.identity.id,
        "remember": kratos.persistent,
        "remember_for": int(kratos.lifespan),
        "amr": [method.method for method in session.methods],
        "identity_provider_session_id": session.id,
    }
    return challenges.accept_login(_hydra(kratos), challenge, answer)


def login_session(provider: Provider, kratos: Kratos, session: Session, *client_ids: str) -> LoginSession:
    """The login session of Hydra after ``session`` has signed in to ``client_ids``."""
    return provider.sign_in(
        session.identity.id, *client_ids, remember=kratos.persistent, identity_provider_session_id=session.id
    )


def _hydra(kratos: Kratos) -> Provider:
    if kratos.hydra is None:
        raise challenge_refused()
    return kratos.hydra
