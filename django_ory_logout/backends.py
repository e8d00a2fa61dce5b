"""``ProviderBackend``: who a provider's subject is here. It knows no password."""

import logging
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, router, transaction
from django.db.models import EmailField
from django.http import HttpRequest

from .conf import KratosConfig, ProviderConfig
from .models import Authentication, Subject, digest
from .oidc.tokens import Claims, IDToken

logger = logging.getLogger("django_ory_logout")


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

        ``None``: unknown, inactive, or other credentials.
        """
        authentication = id_token or kratos_session
        if authentication is None or provider is None:
            return None
        user = self.linked_user(authentication) or self.new_user(authentication, provider)
        if user is None or not self.user_can_authenticate(user):  # type: ignore[arg-type]
            logger.warning("sign-in refused: user_%s", "unknown" if user is None else "inactive")
            return None
        self.update_user(user, authentication.claims)
        return user

    async def aauthenticate(self, request: HttpRequest | None, **credentials: Any) -> AbstractBaseUser | None:  # type: ignore[override]
        return await sync_to_async(self.authenticate)(request, **credentials)

    def username(self, authentication: Authentication) -> str:
        """The name of a new user: unique, and the same for the same subject. Nothing that the person could choose."""
        return digest(authentication.issuer, authentication.subject)[:30]

    def user_fields(self, claims: Claims) -> dict[str, Any]:
        """User fields from ``claims``, set at every sign-in. An e-mail address only when the provider verified it."""
        fields = {
            "first_name": claims.get("given_name"),
            "last_name": claims.get("family_name"),
            "email": claims.get("email") if claims.get("email_verified") is True else None,
        }
        return {name: value for name, value in fields.items() if isinstance(value, str) and value}

    def linked_user(self, authentication: Authentication) -> AbstractBaseUser | None:
        """The user whom the subject was linked with before."""
        link = (
            self._links()
            .select_related("user")
            .filter(subject_digest=digest(authentication.issuer, authentication.subject))
            .first()
        )
        return link.user if link else None

    def new_user(
        self, authentication: Authentication, provider: ProviderConfig | KratosConfig
    ) -> AbstractBaseUser | None:
        """Link the subject with a user: one found by e-mail or a new one, as the provider's settings allow.

        Nobody is linked with a user who may not sign in.
        """
        try:
            with transaction.atomic(using=router.db_for_write(Subject)):
                user = self._user_by_email(authentication.claims) if provider.associate_by_email else None
                if user is None and provider.create_users:
                    user = self._create_user(authentication)
                if user is not None and self.user_can_authenticate(user):  # type: ignore[arg-type]
                    self._links().create(user=user, issuer=authentication.issuer, subject=authentication.subject)
                return user
        except IntegrityError:  # the same person signs in for the first time, twice at once
            linked = self.linked_user(authentication)
            if linked is None:
                logger.warning("no user made: a field must be unique, and its value is taken")
            return linked

    def update_user(self, user: AbstractBaseUser, claims: Claims) -> None:
        """Bring the user's fields up to date with ``claims``."""
        changed = {
            name: value
            for name, value in self._fitting(self.user_fields(claims)).items()
            if getattr(user, name) != value
        }
        if not changed:
            return
        for name, value in changed.items():
            setattr(user, name, value)
        try:
            with transaction.atomic(using=router.db_for_write(type(user))):
                user.save(update_fields=list(changed))
        except IntegrityError:
            logger.warning("user not updated: a field must be unique, and its value is taken")
            user.refresh_from_db()

    def _create_user(self, authentication: Authentication) -> AbstractBaseUser:
        model = get_user_model()
        fields = self._fitting(self.user_fields(authentication.claims))
        user = model(**{model.USERNAME_FIELD: self.username(authentication), **fields})
        user.set_unusable_password()
        user.save(force_insert=True)
        return user

    def _user_by_email(self, claims: Claims) -> AbstractBaseUser | None:
        """The one user with the e-mail address that the provider verified; two of them are none."""
        email = claims.get("email")
        if claims.get("email_verified") is not True or not isinstance(email, str) or not email:
            return None
        if email != cleaned(email):
            return None
        model = get_user_model()
        field = model.get_email_field_name()
        users = model._default_manager.filter(**{f"{field}__iexact": email})
        # bytes.lower() knows ASCII alone: to some databases more letters are the same (CVE-2019-19844).
        found = [user for user in users if getattr(user, field).encode().lower() == email.encode().lower()]
        return found[0] if len(found) == 1 else None

    def _fitting(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Those of ``fields`` that the site's user model has, cleaned, and cut to its lengths."""
        known = {field.name: field for field in get_user_model()._meta.concrete_fields if field.name in fields}
        cut = {
            name: cleaned(fields[name])[: field.max_length] if isinstance(fields[name], str) else fields[name]
            for name, field in known.items()
        }
        # An address that had to be changed is left out: it is somebody else's now.
        return {
            name: value
            for name, value in cut.items()
            if value == fields[name] or not isinstance(known[name], EmailField)
        }

    def _links(self) -> Any:
        return Subject.objects.using(router.db_for_write(Subject))


def cleaned(text: str) -> str:
    """``text`` with a question mark for what no database stores: halves of surrogate pairs, and NUL.

    A name is for display. It keeps nobody out.
    """
    return text.encode(errors="replace").decode().replace("\0", "?")
