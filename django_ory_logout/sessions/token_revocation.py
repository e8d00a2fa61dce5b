"""Revoking what a sign-in gave once its session has ended, where a setting says so (RFC 7009, Back-Channel Logout 2.7).

The session has ended before. Nothing here raises, no call begins later than :data:`SECONDS` after the first, and who
does not answer is not asked again. Our views leave it until their response is out; everybody else has it done at once.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..exceptions import OryLogoutError, ProviderUnavailable
from ..models import EndReason
from ..ory.hydra import HydraAdmin
from .stored_login import StoredLogin

logger = logging.getLogger("django_ory_logout")

SECONDS = 10.0

#: After these, all that the sign-in gave is revoked ...
LOCAL = frozenset({EndReason.USER, EndReason.RP_INITIATED, EndReason.FORCED})
#: ... after these, the refresh token, unless it was given for use while the person is away (BCL 2.7).
NOTICES = frozenset({EndReason.BACK_CHANNEL, EndReason.FRONT_CHANNEL})
#: Hydra's own name beside the standard's.
OFFLINE = frozenset({"offline_access", "offline"})


@dataclass(frozen=True)
class TokensToRevoke:
    """The tokens that a session left behind and that are to be revoked, by their ``token_type_hint``."""

    config: conf.ProviderConfig
    tokens: Mapping[str, str] = field(repr=False)


_waiting: ContextVar[list[TokensToRevoke] | None] = ContextVar(
    "django_ory_logout.sessions.token_revocation", default=None
)


def asked_for(issuer: str, client_id: str) -> conf.ProviderConfig | None:
    """The registration ``client_id`` at ``issuer``, if its tokens are to be revoked."""
    config = conf.get().of_client(issuer, client_id)
    return config if config and config.revoke_tokens_at_logout else None


@sensitive_variables()
def tokens_of(login: StoredLogin | None, reason: str) -> list[TokensToRevoke]:
    """What of the tokens in ``login`` is to be revoked when its session ends for ``reason``. Raises nothing."""
    try:
        return _tokens_of(login, reason)
    except Exception:
        # Whatever is wrong with the stored session, it has to end.
        logger.exception("tokens not revoked: session_unreadable")
        return []


@sensitive_variables()
def _tokens_of(login: StoredLogin | None, reason: str) -> list[TokensToRevoke]:
    config = asked_for(login.issuer, login.client_id) if login else None
    if not login or not config:
        return []
    tokens = {hint: token for hint in _hints(login, reason) if (token := getattr(login, hint))}
    return [TokensToRevoke(config, tokens)] if tokens else []


def _hints(login: StoredLogin, reason: str) -> Sequence[str]:
    if reason in LOCAL:
        return "refresh_token", "access_token"
    if reason in NOTICES and OFFLINE.isdisjoint(login.scope.split()):
        return ("refresh_token",)
    return ()


def revoke(left: Sequence[TokensToRevoke]) -> None:
    """Revoke ``left``: at once, or when what :func:`collected` wraps is over."""
    waiting = _waiting.get()
    if waiting is None:
        revoke_now(left)
    else:
        waiting.extend(left)


@contextmanager
def collected() -> Iterator[list[TokensToRevoke]]:
    """Collect what is to be revoked instead of revoking it."""
    left: list[TokensToRevoke] = []
    token = _waiting.set(left)
    try:
        yield left
    finally:
        _waiting.reset(token)


@sensitive_variables()
def revoke_now(left: Sequence[TokensToRevoke]) -> None:
    """Revoke ``left``. What fails is logged; a provider, or a Hydra, that does not answer is not asked again."""
    deadline = time.monotonic() + SECONDS
    silent: set[str | HydraAdmin] = set()

    def may_ask(whom: str | HydraAdmin) -> bool:
        return whom not in silent and time.monotonic() <= deadline

    for one in left:
        issuer, hydra = one.config.registration.issuer, one.config.hydra
        for hint, token in one.tokens.items():
            if not may_ask(issuer):
                logger.error("%s not revoked: revocation_given_up", hint)
            elif not _revoked(one.config, hint, token):
                silent.add(issuer)
        for hint, token in one.tokens.items():
            if hydra and may_ask(issuer) and may_ask(hydra) and not _proved(hydra, hint, token):
                silent.add(hydra)


@sensitive_variables()
def _revoked(config: conf.ProviderConfig, hint: str, token: str) -> bool:
    """Revoke ``token``; says whether the provider answered, whatever it said."""
    try:
        config.provider.revoke(token, hint, time.time())
    except OryLogoutError as error:
        logger.error("%s not revoked: %s", hint, error)
        return not isinstance(error, ProviderUnavailable)
    except Exception:
        logger.exception("%s not revoked: internal_error", hint)
    return True


@sensitive_variables()
def _proved(hydra: HydraAdmin, hint: str, token: str) -> bool:
    """Ask whether ``token`` is dead: Hydra says 200 when it revokes nothing too. Says whether it answered this."""
    try:
        if hydra.introspect(token).active:
            logger.error("%s not revoked: token_still_alive", hint)
    except OryLogoutError as error:
        logger.warning("%s revoked: revocation_unproven: %s", hint, error)
        return not isinstance(error, ProviderUnavailable)
    except Exception:
        logger.exception("%s revoked: revocation_unproven: internal_error", hint)
    return True
