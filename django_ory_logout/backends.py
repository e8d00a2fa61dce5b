"""``ProviderBackend``: who a provider's subject is here. It knows no password."""

import logging
from contextlib import ExitStack
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model, load_backend
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, router, transaction
from django.http import HttpRequest
from django.utils.module_loading import import_string

from . import users
from .conf import KratosConfig, ProviderConfig
from .exceptions import OryLogoutError, SetupError, SignInRefused
from .models import Authentication, LoginSession, Subject, digest
from .oidc.tokens import Claims, IDToken

logger = logging.getLogger("django_ory_logout")

#: Why nobody was signed in, by the code that a cache can keep.
REFUSALS: dict[str, type[OryLogoutError]] = {
    "backend_missing": SetupError,
    "user_exists": SignInRefused,
    "user_invalid": SetupError,
    "user_refused": SignInRefused,
    "username_unusable": SignInRefused,
}
#: The attribute of a request that keeps it: ``authenticate()`` says no more than ``None``.
_REFUSAL = "_ory_logout_refusal"


def is_configured() -> bool:
    """Whether :class:`ProviderBackend` is in ``AUTHENTICATION_BACKENDS``, or a subclass of it."""
    return any(isinstance(load_backend(name), ProviderBackend) for name in settings.AUTHENTICATION_BACKENDS)


def require_importable() -> None:
    """Raises :exc:`SetupError` (``backend_missing``) for ``AUTHENTICATION_BACKENDS`` that Django cannot import."""
    names: Any = settings.AUTHENTICATION_BACKENDS
    if isinstance(names, str):
        wrong = f"AUTHENTICATION_BACKENDS is a text, {names!r}"
        raise SetupError("backend_missing", f"{wrong}. Write: AUTHENTICATION_BACKENDS = [{names!r}]")
    for name in names:
        try:
            import_string(name)
        except (ImportError, ValueError, AttributeError, TypeError) as error:
            wrong = f"AUTHENTICATION_BACKENDS has {name!r}, which cannot be imported"
            raise SetupError("backend_missing", f"{wrong} ({type(error).__name__}). Correct or remove it.") from error


def refusal_of(request: HttpRequest) -> OryLogoutError:
    """Why Django's ``authenticate()`` has just found nobody for ``request``."""
    kept: OryLogoutError | None = vars(request).pop(_REFUSAL, None)
    if kept:
        return kept
    if not is_configured():
        missing = "AUTHENTICATION_BACKENDS has no django_ory_logout.backends.ProviderBackend"
        return SetupError("backend_missing", f"{missing}. Add it, or a subclass of it.")
    return SignInRefused("user_refused", "no authentication backend lets this subject in")


class ProviderBackend(ModelBackend):
    """Turns ``(issuer, subject)`` into a user through :class:`~.models.Subject`. Permissions are ``ModelBackend``'s.

    Subclass it, and name the subclass in ``AUTHENTICATION_BACKENDS``, to override :meth:`username` and
    :meth:`user_fields`.
    """

    def authenticate(  # type: ignore[override]
        self,
        request: HttpRequest | None,
        id_token: IDToken | None = None,
        provider: ProviderConfig | KratosConfig | None = None,
        kratos_session: Authentication | None = None,
        **credentials: Any,
    ) -> AbstractBaseUser | None:
        """The user whom the verified ``id_token`` or ``kratos_session`` is about.

        ``None``: unknown, inactive, or other credentials. Raises as :func:`users.receiver_faults`.
        """
        authentication = id_token or kratos_session
        if authentication is None or provider is None:
            return None
        refusal: OryLogoutError | None = None
        try:
            with users.receiver_faults():
                user = self.linked_user(authentication) or self.new_user(authentication, provider)
        except (SignInRefused, SetupError) as error:
            logger.warning("no user made: %s", error)
            user, refusal = None, error
        if user is None or not self.user_can_authenticate(user):  # type: ignore[arg-type]
            reason = "user_unknown" if user is None else "user_inactive"
            logger.warning("sign-in refused: %s", reason)
            if request is not None:
                vars(request)[_REFUSAL] = refusal or SignInRefused("user_refused", reason)
            return None
        try:
            with users.receiver_faults():
                self.update_user(user, authentication.claims)
        except Exception:
            users.discard(user)
            raise
        return user

    async def aauthenticate(self, request: HttpRequest | None, **credentials: Any) -> AbstractBaseUser | None:  # type: ignore[override]
        return await sync_to_async(self.authenticate)(request, **credentials)

    def username(self, authentication: Authentication) -> str:
        """The name that a new user should have; it is made valid, and free where somebody else has it.

        An address counts only if the provider verified it: anybody could choose another person's.
        """
        claims, email = authentication.claims, users.verified_email(authentication.claims)
        preferred = claims.get("preferred_username")
        if users.names_are_addresses():
            return email or ""
        if isinstance(preferred, str) and preferred.strip() and ("@" not in preferred or preferred == email):
            return preferred
        return email or authentication.subject

    def user_fields(self, claims: Claims) -> dict[str, Any]:
        """User fields from ``claims``, set at every sign-in. An e-mail address only when the provider verified it.

        A value that the field cannot take is cut, cleaned or left out, and never keeps anybody out.
        """
        fields = {
            "first_name": claims.get("given_name"),
            "last_name": claims.get("family_name"),
            "email": claims.get("email") if claims.get("email_verified") is True else None,
        }
        return {name: value for name, value in fields.items() if isinstance(value, str) and value}

    def linked_user(self, authentication: Authentication) -> AbstractBaseUser | None:
        """The user whom the subject was linked with before. A link with a user who is gone is deleted."""
        link = self._links().filter(subject_digest=digest(authentication.issuer, authentication.subject)).first()
        if link is None:
            return None
        user = users.find(link.user_id)
        if user is None:
            logger.warning("link of a subject deleted: its user is gone")
            link.delete()
        return user

    def new_user(
        self, authentication: Authentication, provider: ProviderConfig | KratosConfig
    ) -> AbstractBaseUser | None:
        """Link the subject with a user: one found by e-mail or a new one, as the provider's settings allow.

        Nobody is linked by e-mail with a user who may not sign in. If the link fails, the new user is deleted.

        Raises :exc:`SignInRefused` and :exc:`SetupError` as :func:`users.create`.
        """
        try:
            return self._link(authentication, provider)
        except (IntegrityError, SignInRefused, SetupError) as error:
            linked = self.linked_user(
                authentication
            )  # where the same person signs in for the first time, twice at once
            if linked is None:
                raise users.refusal(error) if isinstance(error, IntegrityError) else error from error
            return linked

    def _link(self, authentication: Authentication, provider: ProviderConfig | KratosConfig) -> AbstractBaseUser | None:
        user = None
        # The one entered last commits first: a link that others can see names a user whom they can see.
        databases = dict.fromkeys([router.db_for_write(Subject), router.db_for_write(get_user_model())])
        try:
            with ExitStack() as all_or_nothing:
                for alias in databases:
                    all_or_nothing.enter_context(transaction.atomic(using=alias))
                user = self._user_by_email(authentication.claims) if provider.associate_by_email else None
                if user is not None and not self.user_can_authenticate(user):  # type: ignore[arg-type]
                    return user
                if user is None and provider.create_users:
                    LoginSession.objects.using(router.db_for_write(LoginSession)).exists()  # no user without its table
                    user = self._create_user(authentication)
                if user is not None:
                    self._links().create(user=user, issuer=authentication.issuer, subject=authentication.subject)
        except Exception:
            users.discard(user)  # committed in their database, before the commit of the link failed in another one
            raise
        return user

    def update_user(self, user: AbstractBaseUser, claims: Claims) -> None:
        """Bring the user's fields up to date with ``claims``."""
        values, notes = users.fitted(self.user_fields(claims))
        changed = {name: value for name, value in values.items() if getattr(user, name) != value}
        for name in [name for name in changed if users.is_name(name) and not users.is_free(changed[name], user)]:
            del changed[name]
            notes.append(f"{name} left out: a field must be unique, and its value is taken")
        if changed:
            notes += users.save(user, changed)
        for note in notes:
            logger.warning("user updated in part: %s", note)

    def _create_user(self, authentication: Authentication) -> AbstractBaseUser:
        unique = digest(authentication.issuer, authentication.subject)
        wishes = [self.username(authentication)]
        if users.names_are_addresses() and not wishes[0]:
            raise SignInRefused("username_unusable", users.address_missing(authentication.claims))
        if not users.names_are_addresses():
            wishes += [users.verified_email(authentication.claims) or "", authentication.subject]
        return users.create(users.names(wishes, unique), users.fitted(self.user_fields(authentication.claims)).values)

    def _user_by_email(self, claims: Claims) -> AbstractBaseUser | None:
        """The one user with the e-mail address that the provider verified; two of them are none."""
        email = users.verified_email(claims)
        if email is None:
            return None
        model = get_user_model()
        field = model.get_email_field_name()
        try:
            with users.unstorable_values():
                alike = list(model._default_manager.filter(**{f"{field}__iexact": email}))
        except users.UNSTORABLE:
            return None
        # bytes.lower() knows ASCII alone: to some databases more letters are the same (CVE-2019-19844).
        found = [user for user in alike if getattr(user, field).encode().lower() == email.encode().lower()]
        return found[0] if len(found) == 1 else None

    def _links(self) -> Any:
        return Subject.objects.using(router.db_for_write(Subject))
