"""The member model, and other user models."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models


class MemberManager(BaseUserManager["Member"]):
    """As in Django's documentation: it accepts only the named arguments."""

    def create_user(self, email: str, company: str, password: str | None = None) -> "Member":
        if not email:
            raise ValueError("Users must have an email address")
        user = self.model(email=self.normalize_email(email), company=company)
        user.set_password(password)
        user.save(using=self._db)
        return user


class Member(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    company = models.CharField(max_length=20)
    first_name = models.CharField(max_length=10, blank=True)
    is_active = models.BooleanField(default=True)

    objects: ClassVar[Any] = MemberManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["company"]

    def __str__(self) -> str:
        return self.email


class Plain(AbstractBaseUser):
    """A short username, no e-mail address, and no user manager."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=12, unique=True)
    first_name = models.CharField(max_length=10)

    objects: ClassVar[Any] = models.Manager()

    USERNAME_FIELD = "name"

    def __str__(self) -> str:
        return self.name


class Nameless(AbstractUser):
    """Its address is unique and optional."""

    id = models.BigAutoField(primary_key=True)

    email = models.EmailField(unique=True, blank=True, null=True)  # type: ignore[assignment]
    groups = None  # type: ignore[assignment]
    user_permissions = None  # type: ignore[assignment]


class Blank(AbstractUser):
    """Its address is unique and optional, but it cannot be NULL."""

    id = models.BigAutoField(primary_key=True)

    email = models.EmailField(unique=True, blank=True)
    groups = None  # type: ignore[assignment]
    user_permissions = None  # type: ignore[assignment]
