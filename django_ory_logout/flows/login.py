"""Sign-in: to the provider and back. Values out, never a response."""

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

from .. import backends, conf, users
from ..exceptions import InvalidMessage, TemporaryError
from ..models import Authentication, EndReason, SessionName, digest
from ..oidc import messages
from ..oidc.messages import Tokens
from ..oidc.tokens import IDToken, check_authentication
from ..sessions import ending, index, opening
from ..sessions.index import INDEX_KEY
from ..sessions.store import LoginSessionStore
from ..sessions.stored_login import StoredLogin
from . import logout

logger = logging.getLogger("django_ory_logout")

#: How long a person may take at the provider, in seconds.
SIGN_IN_SECONDS = 10 * 60
#: A longer ``next``, in bytes, would not fit into the cookie that carries it.
MAX_NEXT_LENGTH = 2000
SALT = "django_ory_logout.login"
#: Stands in the cache for a sign-in that came back and is not done.
UNDER_WAY = "under way"
#: What Django keeps on a request of who is signed in.
_USER = ("user", "_cached_user", "_acached_user")


@dataclass(frozen=True)
class PendingSignIn:
    """A sign-in that is under way in one browser, which carries it in a signed cookie for each ``state``."""

    provider: str
    next: str
    #: The login session that the browser had before, for ``form_post`` alone: that comes without the session's cookie.
    login_session: str = ""
    #: Where ``max_age`` was sent: since when the person has to have been authenticated, in seconds since the epoch.
    oldest_auth_time: float | None = field(default=None, repr=False)
    #: Whether a page began it by itself, after another had failed: that is done once.
    is_retry: bool = field(default=False, repr=False)
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    code_verifier: str = field(default_factory=lambda: secrets.token_urlsafe(64), repr=False)

    @property
    def config(self) -> conf.ProviderConfig:
        """The provider that the sign-in goes to. Raises :exc:`InvalidMessage` (``provider_unknown``)."""
        return conf.get().of_alias(self.provider)

    @sensitive_variables()
    def signed(self) -> str:
        return signing.dumps(asdict(self), salt=SALT, compress=True)

    @classmethod
    @sensitive_variables()
    def read(cls, signed: str | None, state: str) -> Self:
        """The sign-in that ``signed`` carries. Raises :exc:`InvalidMessage`: ``state_unknown``, ``state_expired``."""
        if not signed:
            unknown = "this browser has no sign-in under way with that state"
            raise InvalidMessage("state_unknown", unknown + _began_elsewhere(state))
        try:
            pending = cls(**signing.loads(signed, salt=SALT, max_age=SIGN_IN_SECONDS))
        except signing.SignatureExpired as error:
            raise InvalidMessage("state_expired", f"the sign-in began more than {SIGN_IN_SECONDS} s ago") from error
        except (signing.BadSignature, TypeError) as error:  # the latter: another version of this app made it
            raise InvalidMessage("state_unknown", "the cookie of this sign-in is not ours") from error
        if pending.state != state:
            raise InvalidMessage("state_unknown", "the cookie belongs to another sign-in")
        return pending

    @property
    def spent(self) -> Self:
        """What the browser carries on when it is signed in: for a callback that it opens again."""
        return replace(self, login_session="", nonce="", code_verifier="")

    def use(self) -> bool:
        """Whether it comes back for the first time. ``False``: an earlier callback goes on, or has signed in.

        Raises :exc:`InvalidMessage` (``state_used``) when that has failed or the person is logged out again, or as
        :class:`SharedCache`.
        """
        if self.code_verifier and self.config.cache.add(self._used_key, UNDER_WAY, SIGN_IN_SECONDS):
            return True
        login_session = self.config.cache.get(self._used_key)
        if login_session == UNDER_WAY or (login_session and index.get_active(login_session)):
            return False
        raise InvalidMessage("state_used", "this sign-in came back before")

    def came_to(self, login_session: str) -> None:
        """Keep what the first callback has opened, or that it opened nothing. Raises nothing."""
        with suppress(TemporaryError):
            self.config.cache.set(self._used_key, login_session, SIGN_IN_SECONDS)

    @property
    def _used_key(self) -> str:
        return f"state:{digest(self.state)}"


def provider_of(parameters: Mapping[str, str]) -> conf.ProviderConfig:
    """The provider that a request to sign in names: by ``iss`` (Core 4), by alias, or the first.

    Raises :exc:`InvalidMessage` for ``issuer_unknown`` and ``provider_unknown``: those start nothing.
    """
    config = conf.get()
    issuer, alias = parameters.get("iss"), parameters.get("provider")
    if issuer is not None:
        of_issuer = config.of_issuer(issuer)
        if not of_issuer:
            raise InvalidMessage("issuer_unknown", "a sign-in was asked for at an issuer that is not configured")
        return of_issuer[0]
    if alias is None:
        return config.providers.get("default") or next(iter(config.providers.values()))
    return config.of_alias(alias)


def safe_next(url: str | None) -> str:
    """``url`` if a browser that follows it stays on this site or goes to an allowed host, else nothing.

    One that is too long is left out, too, and that is logged.
    """
    if not url or not url.isprintable() or "\\" in url or url.lstrip().startswith("//"):
        return ""
    config = conf.get()
    require_https = config.site_url.startswith("https:")
    # Django refuses long ones without a look at their host.
    if not url_has_allowed_host_and_scheme(url[:MAX_NEXT_LENGTH], config.next_allowed_hosts, require_https):
        return ""
    if len(url.encode()) > MAX_NEXT_LENGTH:
        logger.warning("next left out: next_too_long: it has more than %d bytes", MAX_NEXT_LENGTH)
        return ""
    return url


def note_other_host(request: HttpRequest, pending: PendingSignIn) -> None:
    """Under ``DEBUG``, keep at which host ``pending`` began, if its cookie may not come back from there."""
    if settings.DEBUG and _host(request) != urlsplit(conf.get().site_url).hostname:
        with suppress(TemporaryError):
            pending.config.cache.set(_host_key(pending.state), request.get_host(), SIGN_IN_SECONDS)


def _began_elsewhere(state: str) -> str:
    """What :func:`note_other_host` kept of ``state``, for a callback whose cookie did not come."""
    host = None
    if settings.DEBUG and state:
        with suppress(TemporaryError):
            host = conf.get().cache.get(_host_key(state))
    if host is None:
        return ""
    return f": it began at {host!r}, and SITE_URL is {conf.get().site_url!r}. Open the site at SITE_URL"


def _host(request: HttpRequest) -> str | None:
    return urlsplit(f"//{request.get_host()}").hostname


def _host_key(state: str) -> str:
    return f"host:{digest(state)}"


@sensitive_variables()
def begin(
    request: HttpRequest,
    provider: conf.ProviderConfig,
    next_url: str,
    login_hint: str | None,
    *,
    is_retry: bool = False,
) -> tuple[PendingSignIn, str]:
    """A new sign-in, and the URL to send the browser to. Raises :exc:`~.exceptions.TemporaryError`."""
    pending = PendingSignIn(provider.alias, next_url, is_retry=is_retry)
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
    """Sign in whom the provider's ``response`` to ``pending`` is about, unless that is done or under way.

    It came to the redirect URI of the provider ``alias``, or to ``callback/``.

    Raises any :exc:`~.exceptions.OryLogoutError`; then what was signed in before still is, and nothing else. The
    session that this browser had before ends when the new one stands.
    """
    LoginSessionStore.of(request)
    config = pending.config
    if alias != config.callback_alias:
        # Another provider may have sent the browser on, to an honest one whose code it wants (RFC 9700, 4.4).
        raise InvalidMessage("redirect_uri_mismatch", "the response came to another redirect URI than the sign-in has")
    if not pending.use():
        return
    login_session = ""
    try:
        _sign_in(request, pending, response)
        login_session = request.session[INDEX_KEY]["id"]
    finally:
        pending.came_to(login_session)


@sensitive_variables()
def _sign_in(request: HttpRequest, pending: PendingSignIn, response: Mapping[str, str]) -> None:
    config = pending.config
    metadata = config.provider.metadata(time.time())
    code = messages.authorization_code(response, metadata, iss_required=config.iss_required)
    received, id_token = _redeemed(config, code, pending)
    backends.require_importable()
    user = auth.authenticate(request, id_token=id_token, provider=config)
    if user is None:
        raise backends.refusal_of(request)
    start_session(request, user, id_token, _stored_login(config, id_token, received), replaces=pending.login_session)


@sensitive_variables()
def start_session(
    request: HttpRequest,
    user: AbstractBaseUser,
    authentication: Authentication,
    login: StoredLogin,
    *,
    replaces: str = "",
) -> None:
    """Sign ``user`` in, keep ``login``, and then end what this browser had before: also the row ``replaces``, if any.

    Whatever it raises, :exc:`LoggedOutMeanwhile` for one, what was signed in before still is, and nothing else.
    """
    before = LoginSessionStore.of(request)
    user_before = {name: vars(request)[name] for name in _USER if name in vars(request)}
    came = any(before.name)
    row_id, session = uuid4(), None
    kept = replace(login, logout_state=logout.new_state("", login_session=str(row_id)))
    user_agent = request.headers.get("User-Agent", "")
    try:
        request.session = session = before.successor(user)
        with users.receiver_faults():
            auth.login(request, cast(Any, user))
            row = opening.open_login_session(session, user, authentication, kept, row_id=row_id, user_agent=user_agent)
        before.end(EndReason.SUPERSEDED)
        if replaces and not came:
            replaced = SessionName(replaces, None)
            ending.complete(ending.begin(replaced, None, EndReason.SUPERSEDED))
    except BaseException:
        # A receiver of user_logged_in may object, too.
        opening.take_back(session, row_id, user)
        request.session = before
        for name in _USER:
            vars(request).pop(name, None)
        vars(request).update(user_before)
        raise
    before.flush()
    opening.tell_opened(request, row)


@sensitive_variables()
def _redeemed(config: conf.ProviderConfig, code: str, pending: PendingSignIn) -> tuple[Tokens, IDToken]:
    provider = config.provider
    received = provider.exchange(
        code,
        redirect_uri=config.redirect_uri,
        code_verifier=pending.code_verifier,
        now=time.time(),
    )
    id_token = provider.verify_id_token(received, nonce=pending.nonce, now=time.time())
    check_authentication(
        id_token.claims, oldest_auth_time=pending.oldest_auth_time, acr_values=config.acr_values_required
    )
    if config.userinfo:
        userinfo = provider.userinfo(received.access_token, id_token.subject, time.time())
        id_token = replace(id_token, claims={**userinfo, **id_token.claims})
    return received, id_token


@sensitive_variables()
def _stored_login(config: conf.ProviderConfig, id_token: IDToken, received: Tokens) -> StoredLogin:
    """What the Django session keeps: what logging out needs, and the other tokens only when a setting asks for them."""
    login = StoredLogin.of(
        id_token, provider=config.alias, client_id=config.registration.client_id, id_token=id_token.raw
    )
    if not config.keep_tokens:
        return login
    return replace(
        login,
        access_token=received.access_token,
        refresh_token=received.refresh_token,
        scope=received.scope or config.scope,
    )
