"""Sign-in at an OpenID provider. Functions return values, never a response."""

import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self, cast
from urllib.parse import urlsplit
from uuid import uuid4

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AbstractBaseUser
from django.core import signing
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_variables

from .. import backends, conf
from ..exceptions import InvalidMessage, SetupError, TemporaryError
from ..models import Authentication, EndReason, SessionName, digest
from ..oidc import messages
from ..oidc.messages import Tokens
from ..oidc.tokens import IDToken, check_authentication
from ..sessions import ending, index, opening
from ..sessions.index import INDEX_KEY
from ..sessions.store import LoginSessionStore
from ..sessions.stored_login import StoredLogin
from ..users import refusals
from . import logout

logger = logging.getLogger("django_ory_logout")

#: How long a sign-in may take, in seconds.
SIGN_IN_SECONDS = 10 * 60
#: The longest ``next``, in bytes, that fits into the cookie of a pending sign-in.
MAX_NEXT_LENGTH = 2000
SALT = "django_ory_logout.login"
#: If a browser starts a sign-in less than this many seconds after it completed one, it did not keep its session.
REPEAT_SECONDS = 10
#: After this many such sign-ins in a row, the app shows a page. Otherwise, the site and the provider could redirect
#: the browser without end.
MAX_REPEATS = 3
#: The value in the cache while the callback of a sign-in runs.
IN_PROGRESS = "under way"
#: The attributes in which Django keeps the user of a request.
_USER_ATTRIBUTES = ("user", "_cached_user", "_acached_user")


@dataclass(frozen=True)
class PendingSignIn:
    """A sign-in that a browser has started. The browser keeps it in a signed cookie, one for each ``state``."""

    provider: str
    next: str
    #: The browser's previous login session, only for ``form_post``: that request comes without the session cookie.
    login_session: str = ""
    #: If ``max_age`` was sent: the earliest ``auth_time`` to accept, in seconds since the epoch.
    oldest_auth_time: float | None = field(default=None, repr=False)
    #: Whether an error page started it by itself. It does so only once.
    is_retry: bool = field(default=False, repr=False)
    #: How many sign-ins this browser completed before, each less than :data:`REPEAT_SECONDS` before the next.
    repeats: int = field(default=0, repr=False)
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    code_verifier: str = field(default_factory=lambda: secrets.token_urlsafe(64), repr=False)

    @property
    def config(self) -> conf.ProviderConfig:
        """The provider of the sign-in. Raises :exc:`InvalidMessage` (``provider_unknown``)."""
        return conf.get().of_alias(self.provider)

    @sensitive_variables()
    def signed(self) -> str:
        return signing.dumps(asdict(self), salt=SALT, compress=True)

    @classmethod
    @sensitive_variables()
    def read(cls, signed: str | None, state: str) -> Self:
        """The sign-in in the cookie ``signed``. Raises :exc:`InvalidMessage`: ``state_unknown``, ``state_expired``."""
        if not signed:
            unknown = "this browser has no sign-in under way with that state"
            raise InvalidMessage("state_unknown", unknown + _other_host_detail(state))
        try:
            pending = cls(**signing.loads(signed, salt=SALT, max_age=SIGN_IN_SECONDS))
        except signing.SignatureExpired as error:
            raise InvalidMessage("state_expired", f"the sign-in began more than {SIGN_IN_SECONDS} s ago") from error
        except (signing.BadSignature, TypeError) as error:  # TypeError: another version of this app made it
            raise InvalidMessage("state_unknown", "the cookie of this sign-in is not ours") from error
        if pending.state != state:
            raise InvalidMessage("state_unknown", "the cookie belongs to another sign-in")
        return pending

    @property
    def without_secrets(self) -> Self:
        """A copy for the browser to keep after the sign-in, in case it opens the callback again."""
        return replace(self, login_session="", nonce="", code_verifier="")

    def use(self) -> bool:
        """Whether this is its first callback.

        ``False``: an earlier one still runs, or the session that it opened is active.

        Raises :exc:`InvalidMessage` (``state_used``) if the earlier callback failed or the session that it opened has
        ended. Raises like :class:`SharedCache`.
        """
        if self.code_verifier and self.config.cache.add(self._used_key, IN_PROGRESS, SIGN_IN_SECONDS):
            return True
        if self.is_active:
            return False
        raise InvalidMessage("state_used", "this sign-in came back before")

    @property
    def is_active(self) -> bool:
        """Whether its callback runs, or the session that it opened is active. Raises like :class:`SharedCache`."""
        login_session = self.config.cache.get(self._used_key)
        return bool(login_session == IN_PROGRESS or (login_session and index.get_active(login_session)))

    def record_result(self, login_session: str) -> None:
        """Keep the id of the login session that the callback opened; empty if it failed. Raises nothing."""
        with suppress(TemporaryError):
            self.config.cache.set(self._used_key, login_session, SIGN_IN_SECONDS)

    @property
    def _used_key(self) -> str:
        return f"state:{digest(self.state)}"


def provider_of(parameters: Mapping[str, str]) -> conf.ProviderConfig:
    """The provider that ``parameters`` name by ``iss`` (Core 4) or by ``provider``, an alias; or else the default.

    Raises :exc:`InvalidMessage`: ``issuer_unknown``, ``provider_unknown``.
    """
    config = conf.get()
    issuer, alias = parameters.get("iss"), parameters.get("provider")
    if issuer is not None:
        of_issuer = config.of_issuer(issuer)
        if not of_issuer:
            raise InvalidMessage("issuer_unknown", "iss of the request to sign in is no configured issuer")
        return of_issuer[0]
    if alias is None:
        return config.providers.get("default") or next(iter(config.providers.values()))
    return config.of_alias(alias)


def safe_next(url: str | None) -> str:
    """``url`` if it leads to this site or to an allowed host; otherwise an empty text.

    It is also empty if ``url`` is too long. That is logged.
    """
    if not url or not url.isprintable() or "\\" in url or url.lstrip().startswith("//"):
        return ""
    config = conf.get()
    # Django refuses long URLs and does not check their host.
    if not url_has_allowed_host_and_scheme(url[:MAX_NEXT_LENGTH], config.next_allowed_hosts, config.is_https):
        return ""
    if len(url.encode()) > MAX_NEXT_LENGTH:
        logger.warning("next left out: next_too_long: it has more than %d bytes", MAX_NEXT_LENGTH)
        return ""
    return url


def note_other_host(request: HttpRequest, pending: PendingSignIn) -> None:
    """Under ``DEBUG``, cache the host at which ``pending`` started, if it is not the host of ``SITE_URL``."""
    if settings.DEBUG and urlsplit(f"//{request.get_host()}").hostname != urlsplit(conf.get().site_url).hostname:
        with suppress(TemporaryError):
            pending.config.cache.set(_host_key(pending.state), request.get_host(), SIGN_IN_SECONDS)


def _other_host_detail(state: str) -> str:
    """The host that :func:`note_other_host` cached. Used in the error message when the cookie is missing."""
    host = None
    if settings.DEBUG and state:
        with suppress(TemporaryError):
            host = conf.get().cache.get(_host_key(state))
    if host is None:
        return ""
    return f": it began at {host!r}, and SITE_URL is {conf.get().site_url!r}. Open the site at SITE_URL"


def _host_key(state: str) -> str:
    return f"host:{digest(state)}"


@sensitive_variables()
def _repeats_after(last: str) -> int:
    """The ``repeats`` of a sign-in that starts now, after the one in ``last``; 0 if that one completed too long ago.

    Raises :exc:`SetupError` (``session_not_kept``) above :data:`MAX_REPEATS`.
    """
    try:
        done = PendingSignIn(**signing.loads(last, salt=SALT, max_age=REPEAT_SECONDS))
    except (signing.BadSignature, TypeError):
        return 0
    repeats = done.repeats + 1
    if repeats <= MAX_REPEATS:
        return repeats
    if not done.is_active:
        return 0  # a logout is between them
    detail = f"this browser completed {repeats} sign-ins within seconds, and came back without its session"
    raise SetupError("session_not_kept", f"{detail}. Compare the SESSION_ settings with SITE_URL")


@sensitive_variables()
def begin(
    request: HttpRequest,
    provider: conf.ProviderConfig,
    next_url: str,
    login_hint: str | None,
    *,
    is_retry: bool = False,
    last: str = "",
) -> tuple[PendingSignIn, str]:
    """A new sign-in, and the URL to send the browser to. Raises :exc:`~.exceptions.TemporaryError`.

    ``last``: the signed value of the sign-in that the browser completed last.
    """
    pending = PendingSignIn(provider.alias, next_url, is_retry=is_retry)
    if not is_retry and not request.user.is_authenticated:
        pending = replace(pending, repeats=_repeats_after(last))
    if provider.response_mode == "form_post":
        pending = replace(pending, login_session=request.session.get(INDEX_KEY, {}).get("id", ""))
    extra = dict(provider.authorization_parameters)
    if "max_age" in extra:
        pending = replace(pending, oldest_auth_time=int(time.time()) - int(extra["max_age"]))
    if provider.acr_values_required:
        extra.setdefault("acr_values", " ".join(provider.acr_values_required))
    if login_hint:
        extra["login_hint"] = login_hint
    if provider.response_mode != "query":
        extra["response_mode"] = provider.response_mode
    url = messages.authorization_request(
        provider.provider.metadata(time.time()),
        provider.registration,
        redirect_uri=provider.redirect_uri,
        scope=provider.scope,
        state=pending.state,
        nonce=pending.nonce,
        code_verifier=pending.code_verifier,
        extra=extra,
    )
    return pending, url


@sensitive_variables()
def finish(request: HttpRequest, pending: PendingSignIn, response: Mapping[str, str], alias: str = "") -> None:
    """Sign in the user of the authorization ``response`` to ``pending``. Do nothing if an earlier callback did it.

    ``alias``: the provider whose redirect URI received the response; empty for ``callback/``.

    When the new session is open, the browser's previous session ends. Raises any :exc:`~.exceptions.OryLogoutError`;
    then the previous session stays as it was.
    """
    LoginSessionStore.of(request)
    config = pending.config
    if alias != config.callback_alias:
        # A malicious provider may want the code of another provider (mix-up attack, RFC 9700, 4.4).
        raise InvalidMessage("redirect_uri_mismatch", "the response came to another redirect URI than the sign-in has")
    if not pending.use():
        return
    login_session = ""
    try:
        _sign_in(request, pending, response)
        login_session = request.session[INDEX_KEY]["id"]
    finally:
        pending.record_result(login_session)


@sensitive_variables()
def _sign_in(request: HttpRequest, pending: PendingSignIn, response: Mapping[str, str]) -> None:
    config = pending.config
    metadata = config.provider.metadata(time.time())
    code = messages.authorization_code(response, metadata, iss_required=config.iss_required)
    tokens, id_token = _exchange(config, code, pending)
    user = backends.authenticate(request, id_token=id_token, provider=config)
    start_session(request, user, id_token, _stored_login(config, id_token, tokens), replaces=pending.login_session)


@sensitive_variables()
def start_session(
    request: HttpRequest,
    user: AbstractBaseUser,
    authentication: Authentication,
    login: StoredLogin,
    *,
    replaces: str = "",
) -> None:
    """Sign ``user`` in and store ``login`` in a new session. Then end this browser's previous session.

    ``replaces``: the id of the previous session's row, for a request without the session cookie.

    Raises :exc:`LoggedOutMeanwhile` and others. Then the previous session and user stay as they were.
    """
    previous = LoginSessionStore.of(request)
    previous_user = {name: vars(request)[name] for name in _USER_ATTRIBUTES if name in vars(request)}
    has_previous = any(previous.name)
    row_id, session = uuid4(), None
    login = replace(login, logout_state=logout.new_state("", login_session=str(row_id)))
    user_agent = request.headers.get("User-Agent", "")
    try:
        request.session = session = previous.new_session_for(user)
        with refusals.receiver_faults():
            auth.login(request, cast(Any, user))
            row = opening.open_login_session(session, user, authentication, login, row_id=row_id, user_agent=user_agent)
        previous.end(EndReason.SUPERSEDED)
        if replaces and not has_previous:
            replaced = SessionName(replaces, None)
            ending.clean_up(ending.end_session(replaced, None, EndReason.SUPERSEDED))
    except BaseException:
        # A receiver of user_logged_in can raise, too.
        opening.discard_login_session(session, row_id, user)
        request.session = previous
        for name in _USER_ATTRIBUTES:
            vars(request).pop(name, None)
        vars(request).update(previous_user)
        raise
    previous.flush()
    opening.send_opened_signal(request, row)


@sensitive_variables()
def _exchange(config: conf.ProviderConfig, code: str, pending: PendingSignIn) -> tuple[Tokens, IDToken]:
    """The tokens for ``code``, and the verified ID token with the claims of the UserInfo endpoint."""
    provider = config.provider
    tokens = provider.exchange(
        code,
        redirect_uri=config.redirect_uri,
        code_verifier=pending.code_verifier,
        now=time.time(),
    )
    id_token = provider.verify_id_token(tokens, nonce=pending.nonce, now=time.time())
    check_authentication(
        id_token.claims,
        oldest_auth_time=pending.oldest_auth_time,
        acr_values=config.acr_values_required,
        now=time.time(),
    )
    if config.userinfo:
        userinfo = provider.userinfo(tokens.access_token, id_token.subject, time.time())
        id_token = replace(id_token, claims={**userinfo, **id_token.claims})
    return tokens, id_token


@sensitive_variables()
def _stored_login(config: conf.ProviderConfig, id_token: IDToken, tokens: Tokens) -> StoredLogin:
    """The data that the Django session keeps for a logout. ``KEEP_TOKENS`` adds the other tokens."""
    login = StoredLogin.of(
        id_token, provider=config.alias, client_id=config.registration.client_id, id_token=id_token.raw
    )
    if not config.keep_tokens:
        return login
    return replace(
        login,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        scope=tokens.scope or config.scope,
    )
