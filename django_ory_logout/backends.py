"""``ProviderBackend`` finds or creates the user of a provider's subject. It accepts no password."""

import logging
from contextlib import ExitStack
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.auth import get_user_model, load_backend
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, router, transaction
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from .conf import KratosConfig, ProviderConfig
from .exceptions import OryLogoutError, SetupError, SignInRefused
from .models import Authentication, LoginSession, Subject, digest
from .oidc.tokens import Claims, IDToken
from .users import creation, fields, refusals, usernames

logger = logging.getLogger("django_ory_logout")

#: The class of each error with which this backend refuses a sign-in, by its code. A cache can keep the code.
REFUSALS: dict[str, type[OryLogoutError]] = {
    "backend_missing": SetupError,
    "user_exists": SignInRefused,
    "user_invalid": SetupError,
    "user_refused": SignInRefused,
    "username_unusable": SignInRefused,
}
#: The attribute of a request that keeps the refusal, because ``authenticate()`` can only return ``None``.
_REFUSAL = "_ory_logout_refusal"


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


@sensitive_variables()
def authenticate(request: HttpRequest, **credentials: Any) -> AbstractBaseUser:
    """The user whom Django's ``authenticate()`` returns. Raises the refusal of :class:`ProviderBackend` if none."""
    require_importable()
    user = auth.authenticate(request, **credentials)
    if user is not None:
        return user
    refusal: OryLogoutError | None = vars(request).pop(_REFUSAL, None)
    if refusal:
        raise refusal
    if not any(isinstance(load_backend(name), ProviderBackend) for name in settings.AUTHENTICATION_BACKENDS):
        missing = "AUTHENTICATION_BACKENDS has no django_ory_logout.backends.ProviderBackend"
        raise SetupError("backend_missing", f"{missing}. Add it, or a subclass of it.")
    raise SignInRefused("user_refused", "no authentication backend accepts this subject")


class ProviderBackend(ModelBackend):
    """Finds the user of ``(issuer, subject)`` by :class:`~.models.Subject`. Permissions are those of ``ModelBackend``.

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
        """The user of the verified ``id_token`` or ``kratos_session``.

        ``None`` if there is none, the user is inactive, or ``credentials`` are for another backend. Raises like
        :func:`.users.refusals.receiver_faults`.
        """
        authentication = id_token or kratos_session
        if authentication is None or provider is None:
            return None
        refusal: OryLogoutError | None = None
        try:
            with refusals.receiver_faults():
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
            with refusals.receiver_faults():
                self.update_user(user, authentication.claims)
        except Exception:
            creation.delete_if_new(user)
            raise
        return user

    async def aauthenticate(self, request: HttpRequest | None, **credentials: Any) -> AbstractBaseUser | None:  # type: ignore[override]
        return await sync_to_async(self.authenticate)(request, **credentials)

    def username(self, authentication: Authentication) -> str:
        """The preferred user name of a new user. The caller changes it if it is not valid or another user has it.

        An e-mail address is used only if the provider verified it, because anyone could enter another user's address.
        """
        claims, email = authentication.claims, fields.verified_email(authentication.claims)
        preferred = claims.get("preferred_username")
        if usernames.names_are_addresses():
            return email or ""
        if isinstance(preferred, str) and preferred.strip() and ("@" not in preferred or preferred == email):
            return preferred
        return email or authentication.subject

    def user_fields(self, claims: Claims) -> dict[str, Any]:
        """User fields from ``claims``, set at every sign-in. An e-mail address only if the provider verified it.

        A value that does not fit the field is cut, cleaned or left out. It never stops the sign-in.
        """
        values = {
            "first_name": claims.get("given_name"),
            "last_name": claims.get("family_name"),
            "email": claims.get("email") if claims.get("email_verified") is True else None,
        }
        return {name: value for name, value in values.items() if isinstance(value, str) and value}

    def linked_user(self, authentication: Authentication) -> AbstractBaseUser | None:
        """The user that the subject is linked with. If that user does not exist any more, the link is deleted."""
        link = self._links().filter(subject_digest=digest(authentication.issuer, authentication.subject)).first()
        if link is None:
            return None
        user = creation.find(link.user_id)
        if user is None:
            logger.warning("link of a subject deleted: its user is gone")
            link.delete()
        return user

    def new_user(
        self, authentication: Authentication, provider: ProviderConfig | KratosConfig
    ) -> AbstractBaseUser | None:
        """Link the subject with a user: one found by e-mail or a new one, as the provider's settings allow.

        A user who may not sign in is never linked by e-mail. If the link fails, the new user is deleted.

        Raises :exc:`SignInRefused` and :exc:`SetupError` as :func:`creation.create`.
        """
        try:
            return self._link(authentication, provider)
        except (IntegrityError, SignInRefused, SetupError) as error:
            # The same user may have signed in for the first time in two requests at once.
            linked = self.linked_user(authentication)
            if linked is None:
                raise refusals.sign_in_error(error) if isinstance(error, IntegrityError) else error from error
            return linked

    def _link(self, authentication: Authentication, provider: ProviderConfig | KratosConfig) -> AbstractBaseUser | None:
        user = None
        # The last one commits first. So when others can see the link, they can also see its user.
        databases = dict.fromkeys([router.db_for_write(Subject), router.db_for_write(get_user_model())])
        try:
            with ExitStack() as transactions:
                for alias in databases:
                    transactions.enter_context(transaction.atomic(using=alias))
                user = self._user_by_email(authentication.claims) if provider.associate_by_email else None
                if user is not None and not self.user_can_authenticate(user):  # type: ignore[arg-type]
                    return user
                if user is None and provider.create_users:
                    LoginSession.objects.using(router.db_for_write(LoginSession)).exists()  # no user without its table
                    user = self._create_user(authentication)
                if user is not None:
                    self._links().create(user=user, issuer=authentication.issuer, subject=authentication.subject)
        except Exception:
            creation.delete_if_new(user)  # in another database, the user can be committed although the link failed
            raise
        return user

    def update_user(self, user: AbstractBaseUser, claims: Claims) -> None:
        """Update the user's fields from ``claims``."""
        values, messages = fields.storable_values(self.user_fields(claims))
        changed = {name: value for name, value in values.items() if getattr(user, name) != value}
        username_field = get_user_model().USERNAME_FIELD
        if username_field in changed and not usernames.is_free(changed[username_field], user):
            del changed[username_field]
            messages.append(f"{username_field} left out: a field must be unique, and its value is taken")
        if changed:
            messages += creation.save(user, changed)
        for message in messages:
            logger.warning("user updated in part: %s", message)

    def _create_user(self, authentication: Authentication) -> AbstractBaseUser:
        unique = digest(authentication.issuer, authentication.subject)
        preferred = [self.username(authentication)]
        if usernames.names_are_addresses() and not preferred[0]:
            raise SignInRefused("username_unusable", usernames.address_missing(authentication.claims))
        if not usernames.names_are_addresses():
            preferred += [fields.verified_email(authentication.claims) or "", authentication.subject]
        values, _messages = fields.storable_values(self.user_fields(authentication.claims))
        return creation.create(usernames.available_usernames(preferred, unique), values)

    def _user_by_email(self, claims: Claims) -> AbstractBaseUser | None:
        """The user with the e-mail address that the provider verified; ``None`` if several users have it."""
        email = fields.verified_email(claims)
        if email is None:
            return None
        model = get_user_model()
        field = model.get_email_field_name()
        try:
            with fields.unstorable_values():
                similar = list(model._default_manager.filter(**{f"{field}__iexact": email}))
        except fields.UNSTORABLE:
            return None
        # Some databases treat more letters as equal (CVE-2019-19844). bytes.lower() changes only ASCII letters.
        equal = [user for user in similar if getattr(user, field).encode().lower() == email.encode().lower()]
        return equal[0] if len(equal) == 1 else None

    def _links(self) -> Any:
        return Subject.objects.using(router.db_for_write(Subject))
