"""Revoke the tokens of a sign-in after its session has ended, if a setting says so (RFC 7009, Back-Channel Logout 2.7).

Nothing here raises. No call begins later than :data:`SECONDS` after the first one, and a server that does not answer is
not called again. Our views revoke after they have sent their response; all other code revokes at once.
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

#: After these reasons, all tokens of the sign-in are revoked.
LOCAL = frozenset({EndReason.USER, EndReason.RP_INITIATED, EndReason.FORCED})
#: After these, only the refresh token, unless its scope allows offline access (Back-Channel Logout 2.7).
NOTICES = frozenset({EndReason.BACK_CHANNEL, EndReason.FRONT_CHANNEL})
#: The scope of the specification, and Hydra's own name for it.
OFFLINE = frozenset({"offline_access", "offline"})


@dataclass(frozen=True)
class TokensToRevoke:
    """The tokens of an ended session that have to be revoked, by their ``token_type_hint``."""

    config: conf.ProviderConfig
    tokens: Mapping[str, str] = field(repr=False)


_waiting: ContextVar[list[TokensToRevoke] | None] = ContextVar("tokens_to_revoke", default=None)


def revoking_config(issuer: str, client_id: str) -> conf.ProviderConfig | None:
    """The configuration of ``client_id`` at ``issuer``, if its settings ask to revoke tokens."""
    config = conf.get().of_client(issuer, client_id)
    return config if config and config.revoke_tokens_at_logout else None


@sensitive_variables()
def tokens_of(login: StoredLogin | None, reason: str) -> list[TokensToRevoke]:
    """The tokens in ``login`` that have to be revoked when its session ends for ``reason``. Raises nothing."""
    try:
        config = revoking_config(login.issuer, login.client_id) if login else None
        if not login or not config:
            return []
        tokens = {hint: token for hint in _hints(login, reason) if (token := getattr(login, hint))}
    except Exception:
        # The session has to end, even if its stored data is broken.
        logger.exception("tokens not revoked: session_unreadable")
        return []
    return [TokensToRevoke(config, tokens)] if tokens else []


def _hints(login: StoredLogin, reason: str) -> Sequence[str]:
    if reason in LOCAL:
        return "refresh_token", "access_token"
    if reason in NOTICES and OFFLINE.isdisjoint(login.scope.split()):
        return ("refresh_token",)
    return ()


def revoke(to_revoke: Sequence[TokensToRevoke]) -> None:
    """Revoke the tokens at once. In a block of :func:`deferred`, only add them to its list."""
    waiting = _waiting.get()
    if waiting is None:
        revoke_now(to_revoke)
    else:
        waiting.extend(to_revoke)


@contextmanager
def deferred() -> Iterator[list[TokensToRevoke]]:
    """Collect in a list the tokens passed to :func:`revoke`. The caller has to revoke them later."""
    to_revoke: list[TokensToRevoke] = []
    token = _waiting.set(to_revoke)
    try:
        yield to_revoke
    finally:
        _waiting.reset(token)


@sensitive_variables()
def revoke_now(to_revoke: Sequence[TokensToRevoke]) -> None:
    """Revoke the tokens. Failures are logged. A provider or a Hydra that does not answer is not called again."""
    deadline = time.monotonic() + SECONDS
    unavailable: set[str | HydraAdmin] = set()

    def may_call(server: str | HydraAdmin) -> bool:
        return server not in unavailable and time.monotonic() <= deadline

    for revocation in to_revoke:
        issuer, hydra = revocation.config.registration.issuer, revocation.config.hydra
        for hint, token in revocation.tokens.items():
            if not may_call(issuer):
                logger.error("%s not revoked: revocation_given_up", hint)
            elif not _revoke_token(revocation.config, hint, token):
                unavailable.add(issuer)
        for hint, token in revocation.tokens.items():
            if hydra and may_call(issuer) and may_call(hydra) and not _check_revoked(hydra, hint, token):
                unavailable.add(hydra)


@sensitive_variables()
def _revoke_token(config: conf.ProviderConfig, hint: str, token: str) -> bool:
    """Revoke ``token``. Return whether the provider answered, even if it refused."""
    try:
        config.provider.revoke(token, hint, time.time())
    except OryLogoutError as error:
        logger.error("%s not revoked: %s", hint, error)
        return not isinstance(error, ProviderUnavailable)
    except Exception:
        logger.exception("%s not revoked: internal_error", hint)
    return True


@sensitive_variables()
def _check_revoked(hydra: HydraAdmin, hint: str, token: str) -> bool:
    """Ask Hydra whether ``token`` is revoked: a 200 does not prove it. Return whether Hydra answered."""
    try:
        if hydra.introspect(token).active:
            logger.error("%s not revoked: token_still_alive", hint)
    except OryLogoutError as error:
        logger.warning("%s revoked: revocation_unproven: %s", hint, error)
        return not isinstance(error, ProviderUnavailable)
    except Exception:
        logger.exception("%s revoked: revocation_unproven: internal_error", hint)
    return True
