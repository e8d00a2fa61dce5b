"""Which user belongs to a provider's subject."""

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from django.contrib.auth import aauthenticate, authenticate
from django.contrib.auth.models import User
from django.db import IntegrityError, models

from django_ory_logout import conf
from django_ory_logout.backends import ProviderBackend
from django_ory_logout.conf import KratosConfig, ProviderConfig
from django_ory_logout.exceptions import SetupError, SignInRefused
from django_ory_logout.kratos.whoami import KratosSession
from django_ory_logout.models import Authentication, Subject
from django_ory_logout.oidc.tokens import Claims, IDToken
from django_ory_logout.users import creation

from .conftest import Configure, Logged

pytestmark = pytest.mark.django_db

ISSUER = "https://op.example"


def id_token(subject: str = "amber", *, issuer: str = ISSUER, **claims: Any) -> IDToken:
    return IDToken(issuer, subject, None, 0, {"sub": subject, **claims}, "raw")


def provider() -> ProviderConfig:
    return conf.get().providers["default"]


def sign_in(token: IDToken, backend: ProviderBackend | None = None) -> User | None:
    user = (backend or ProviderBackend()).authenticate(None, id_token=token, provider=provider())
    assert user is None or isinstance(user, User)
    return user


def signed_in(token: IDToken, backend: ProviderBackend | None = None) -> User:
    user = sign_in(token, backend)
    assert user is not None
    return user


def verified(email: str) -> dict[str, Any]:
    return {"email": email, "email_verified": True}


# The same subject is the same user, and no other user


def test_the_first_sign_in_creates_a_user_without_a_password() -> None:
    user = signed_in(id_token(given_name="Amber", family_name="Stone", **verified("amber@example.com")))

    assert (user.first_name, user.last_name, user.email) == ("Amber", "Stone", "amber@example.com")
    assert not user.has_usable_password()
    assert not user.is_staff
    assert not user.is_superuser
    assert Subject.objects.get().user == user


def test_the_second_sign_in_finds_the_user() -> None:
    assert signed_in(id_token()) == signed_in(id_token())
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    "other",
    [
        id_token("Amber"),
        id_token("amber "),
        id_token("amber", issuer="https://op.example/"),
        id_token("amber", issuer="https://OP.example"),
    ],
)
def test_case_blanks_and_slashes_make_another_user(other: IDToken) -> None:
    assert signed_in(id_token("amber")) != signed_in(other)


def test_a_user_cannot_choose_the_username_of_another() -> None:
    root = User.objects.create_superuser("root")

    user = signed_in(id_token("root", preferred_username="root", username="root"))

    assert user != root
    assert user.username == "root-b4e57d18"
    assert not user.is_superuser


def test_claims_give_no_permissions() -> None:
    user = signed_in(id_token(is_superuser=True, is_staff=True, groups=["admin"], id=1))

    assert not user.is_superuser
    assert not user.is_staff


def test_user_fields_follow_the_claims() -> None:
    signed_in(id_token(given_name="Amber", **verified("amber@example.com")))

    user = signed_in(id_token(given_name="Ember", **verified("ember@example.com")))

    user.refresh_from_db()
    assert (user.first_name, user.email) == ("Ember", "ember@example.com")


def test_fields_without_a_claim_are_unchanged() -> None:
    signed_in(id_token(given_name="Amber"))

    assert signed_in(id_token()).first_name == "Amber"


def test_unchanged_fields_are_not_saved(django_assert_num_queries: Any) -> None:
    signed_in(id_token(given_name="Amber"))

    with django_assert_num_queries(2):
        signed_in(id_token(given_name="Amber"))


@pytest.mark.parametrize("claims", [{"email_verified": False}, {"email_verified": "true"}, {"email_verified": 1}, {}])
def test_an_unverified_address_is_dropped(claims: Claims) -> None:
    assert signed_in(id_token(email="amber@example.com", **claims)).email == ""


@pytest.mark.parametrize("name", [5, None, ["Amber"], {"a": "b"}, ""])
def test_a_claim_with_another_type_is_dropped(name: object) -> None:
    assert signed_in(id_token(given_name=name)).first_name == ""


def test_long_names_are_cut_to_the_field() -> None:
    assert signed_in(id_token(given_name="a" * 500)).first_name == "a" * 150


@pytest.mark.parametrize("half", ["\ud800", "\0"])
def test_a_name_that_cannot_be_stored_does_not_stop_the_sign_in(half: str) -> None:
    token = id_token(given_name=f"Am{half}ber", family_name=half, **verified(f"{half}@example.com"))

    for _ in range(2):
        user = signed_in(token)
        user.refresh_from_db()
        assert (user.first_name, user.last_name, user.email) == ("Amber", "", "")


def test_a_long_address_is_dropped() -> None:
    """A cut address would belong to another user."""
    address = "a" * 242 + "@example.com"
    assert len(address) == 254

    assert signed_in(id_token(**verified(f"{address}.evil.example"))).email == ""
    assert signed_in(id_token(**verified(address))).email == address


# Users who may not sign in


def test_an_inactive_user_is_refused(logged: Logged) -> None:
    signed_in(id_token())
    User.objects.update(is_active=False)

    assert sign_in(id_token(given_name="Amber")) is None

    assert User.objects.get().first_name == ""
    assert logged() == ["sign-in refused: user_inactive"]


def test_an_unknown_subject_is_refused_without_create_users(configure: Configure, logged: Logged) -> None:
    configure(CREATE_USERS=False)

    assert sign_in(id_token(**verified("amber@example.com"))) is None

    assert User.objects.count() == 0
    assert Subject.objects.count() == 0
    assert logged() == ["sign-in refused: user_unknown"]


def test_a_known_subject_signs_in_without_create_users(configure: Configure) -> None:
    user = signed_in(id_token())
    configure(CREATE_USERS=False)

    assert signed_in(id_token()) == user


def test_a_password_does_not_sign_in() -> None:
    user = User.objects.create_user("cedar", password="correct")
    backend = ProviderBackend()

    assert backend.authenticate(None, username="cedar", password="correct") is None
    assert asyncio.run(backend.aauthenticate(None, username="cedar", password="correct")) is None
    assert user.check_password("correct")


def test_a_password_does_not_sign_in_through_django(settings: Any) -> None:
    User.objects.create_user("cedar", password="correct")
    settings.AUTHENTICATION_BACKENDS = ["django_ory_logout.backends.ProviderBackend"]

    assert authenticate(None, username="cedar", password="correct") is None
    assert asyncio.run(aauthenticate(None, username="cedar", password="correct")) is None


@pytest.mark.parametrize("missing", ["id_token", "provider"])
def test_incomplete_credentials_are_ignored(missing: str) -> None:
    credentials: dict[str, Any] = {"id_token": id_token(), "provider": provider(), missing: None}

    assert ProviderBackend().authenticate(None, **credentials) is None


@pytest.mark.django_db(transaction=True)
def test_the_backend_signs_in_asynchronously() -> None:
    user = asyncio.run(ProviderBackend().aauthenticate(None, id_token=id_token(), provider=provider()))

    assert user == User.objects.get()


# Links by e-mail address, if a setting allows them


@pytest.fixture
def by_email(configure: Configure) -> None:
    configure(ASSOCIATE_BY_EMAIL=True)


@pytest.fixture
def cedar() -> User:
    return User.objects.create_user("cedar", "Cedar@Example.com", "correct")


def test_an_address_does_not_link_without_the_setting(cedar: User) -> None:
    assert signed_in(id_token(**verified("cedar@example.com"))) != cedar


def test_a_verified_address_links_its_only_user(by_email: None, cedar: User) -> None:
    assert signed_in(id_token(**verified("cedar@example.com"))) == cedar

    assert signed_in(id_token()) == cedar, "found by its subject from now on"
    assert cedar.check_password("correct")


@pytest.mark.parametrize("claims", [{"email_verified": False}, {"email_verified": "true"}, {}])
def test_an_unverified_address_does_not_link(by_email: None, cedar: User, claims: Claims) -> None:
    assert signed_in(id_token(email="cedar@example.com", **claims)) != cedar


def test_a_hook_that_accepts_any_address_does_not_link(by_email: None, cedar: User) -> None:
    class AnyAddressBackend(ProviderBackend):
        def user_fields(self, claims: Claims) -> dict[str, Any]:
            return {"email": claims.get("email", "")}

    assert signed_in(id_token(email="cedar@example.com"), AnyAddressBackend()) != cedar


@pytest.mark.parametrize("email", ["", None, 5, ["cedar@example.com"]])
def test_an_invalid_address_does_not_link(by_email: None, email: object) -> None:
    nameless = User.objects.create_user("nameless")

    assert signed_in(id_token(email=email, email_verified=True)) != nameless


@pytest.mark.parametrize("email", ["\ud800", "cedar@example.com\0", "cedar\udfff@example.com"])
def test_an_address_that_cannot_be_stored_does_not_link(by_email: None, cedar: User, email: str) -> None:
    assert signed_in(id_token(**verified(email))) != cedar


def test_an_address_of_two_users_does_not_link(by_email: None, cedar: User) -> None:
    other = User.objects.create_user("other", "cedar@example.com")

    assert signed_in(id_token(**verified("cedar@example.com"))) not in (cedar, other)


def test_an_address_of_an_inactive_user_is_refused_and_does_not_link(
    by_email: None, cedar: User, logged: Logged
) -> None:
    User.objects.update(is_active=False)

    assert sign_in(id_token(**verified("cedar@example.com"))) is None

    assert logged() == ["sign-in refused: user_inactive"]
    assert Subject.objects.count() == 0
    assert User.objects.count() == 1


def test_a_linked_subject_is_not_linked_again(by_email: None, cedar: User) -> None:
    user = signed_in(id_token())

    assert signed_in(id_token(**verified("cedar@example.com"))) == user != cedar


def test_an_address_links_without_create_users(configure: Configure, cedar: User) -> None:
    configure(ASSOCIATE_BY_EMAIL=True, CREATE_USERS=False)

    assert signed_in(id_token(**verified("cedar@example.com"))) == cedar
    assert sign_in(id_token("birch", **verified("birch@example.com"))) is None


def test_a_letter_that_a_database_confuses_with_another_does_not_link(
    by_email: None, cedar: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL compares upper case: there, a dotless i equals an i. Other databases ignore accents."""
    filtered = User._default_manager.filter
    monkeypatch.setattr(
        User._default_manager,
        "filter",
        lambda *args, **lookup: [cedar] if "email__iexact" in lookup else filtered(*args, **lookup),
    )

    assert signed_in(id_token(**verified("c\u00e9dar@example.com"))) != cedar
    assert signed_in(id_token("birch", **verified("CEDAR@example.com"))) == cedar


# Sessions at Kratos

PUBLIC_URL = "https://login.example"


@pytest.fixture
def at_kratos(settings: Any) -> Callable[..., KratosConfig]:
    """Kratos' configuration with these settings."""

    def at_kratos(**changes: Any) -> KratosConfig:
        entry = {"KRATOS": {"PUBLIC_URL": PUBLIC_URL}, **changes}
        settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": entry}}
        return conf.get().kratos[0]

    return at_kratos


def kratos_session(subject: str = "amber", **claims: Any) -> KratosSession:
    return KratosSession(PUBLIC_URL, subject, "the sid", 0, 0, claims)


def sign_in_at(kratos: KratosConfig, session: KratosSession, backend: ProviderBackend | None = None) -> Any:
    return (backend or ProviderBackend()).authenticate(None, kratos_session=session, provider=kratos)


def test_an_identity_is_a_user(at_kratos: Callable[..., KratosConfig]) -> None:
    session = kratos_session(given_name="Amber", family_name="Stone", **verified("amber@example.com"))

    user = sign_in_at(at_kratos(), session)

    assert (user.first_name, user.last_name, user.email) == ("Amber", "Stone", "amber@example.com")
    assert not user.has_usable_password()
    link = Subject.objects.get()
    assert (link.user, link.issuer, link.subject) == (user, PUBLIC_URL, "amber")
    assert sign_in_at(at_kratos(), kratos_session(given_name="Ember")) == user
    assert User.objects.get().first_name == "Ember"


def test_an_identity_is_another_user_than_a_subject_with_the_same_name(at_kratos: Callable[..., KratosConfig]) -> None:
    user = signed_in(id_token("amber"))

    assert sign_in_at(at_kratos(), kratos_session("amber")) != user


def test_an_identity_is_refused_without_create_users(at_kratos: Callable[..., KratosConfig], logged: Logged) -> None:
    assert sign_in_at(at_kratos(CREATE_USERS=False), kratos_session()) is None

    assert User.objects.count() == 0
    assert logged() == ["sign-in refused: user_unknown"]


def test_an_inactive_user_of_an_identity_is_refused(at_kratos: Callable[..., KratosConfig], logged: Logged) -> None:
    sign_in_at(at_kratos(), kratos_session())
    User.objects.update(is_active=False)

    assert sign_in_at(at_kratos(), kratos_session()) is None

    assert logged() == ["sign-in refused: user_inactive"]


@pytest.mark.parametrize(
    ("allowed", "claims", "linked"),
    [
        (True, verified("cedar@example.com"), True),
        (True, {"email": "cedar@example.com", "email_verified": False}, False),
        (True, {"email": "cedar@example.com", "traits": verified("cedar@example.com")}, False),
        (False, verified("cedar@example.com"), False),
    ],
)
def test_an_identity_is_linked_by_a_verified_address(
    at_kratos: Callable[..., KratosConfig], cedar: User, allowed: bool, claims: Claims, linked: bool
) -> None:
    user = sign_in_at(at_kratos(ASSOCIATE_BY_EMAIL=allowed), kratos_session(**claims))

    assert (user == cedar) == linked


def test_a_sites_own_backend_can_read_the_traits(at_kratos: Callable[..., KratosConfig]) -> None:
    class Own(ProviderBackend):
        def user_fields(self, claims: Claims) -> dict[str, Any]:
            return {"first_name": claims["traits"]["nickname"]}

    assert sign_in_at(at_kratos(), kratos_session(traits={"nickname": "Am"}), Own()).first_name == "Am"


@pytest.mark.parametrize("missing", ["kratos_session", "provider"])
def test_incomplete_credentials_of_kratos_are_ignored(at_kratos: Callable[..., KratosConfig], missing: str) -> None:
    credentials: dict[str, Any] = {"kratos_session": kratos_session(), "provider": at_kratos(), missing: None}

    assert ProviderBackend().authenticate(None, **credentials) is None
    assert authenticate(None, **credentials) is None
    assert User.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_an_identity_signs_in_through_django(at_kratos: Callable[..., KratosConfig]) -> None:
    credentials: dict[str, Any] = {"kratos_session": kratos_session(), "provider": at_kratos()}

    user = authenticate(None, **credentials)

    assert user == User.objects.get()
    assert asyncio.run(aauthenticate(None, **credentials)) == user


# Hooks of a site


def test_hooks_choose_name_and_fields() -> None:
    class Own(ProviderBackend):
        def username(self, authentication: Authentication) -> str:
            return f"{authentication.subject}@provider"

        def user_fields(self, claims: Claims) -> dict[str, Any]:
            return {"is_staff": "staff" in claims.get("groups", ()), "nickname": "not a field"}

    user = signed_in(id_token(groups=["staff"]), Own())

    assert user.username == "amber@provider"
    assert user.is_staff
    assert not signed_in(id_token(groups=[]), Own()).is_staff


def test_permissions_are_those_of_django() -> None:
    user = signed_in(id_token())
    user.is_superuser = True

    assert user.has_perm("auth.add_user")


# Concurrent requests, and unique fields


class LateBackend(ProviderBackend):
    """Another request links the subject after this one has looked for it."""

    looks = 0

    def linked_user(self, authentication: Authentication) -> Any:
        self.looks += 1
        return None if self.looks == 1 else super().linked_user(authentication)


def test_two_concurrent_first_sign_ins_create_one_user() -> None:
    first = signed_in(id_token())

    assert signed_in(id_token(), LateBackend()) == first
    assert User.objects.count() == 1
    assert Subject.objects.count() == 1


@pytest.mark.parametrize("refusal", [SignInRefused("user_exists"), SetupError("user_invalid")])
def test_a_user_that_another_request_created_signs_in_although_this_one_is_refused(
    refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = signed_in(id_token())
    monkeypatch.setattr(creation, "create", Mock(side_effect=refusal))

    assert signed_in(id_token(), LateBackend()) == first


@pytest.fixture
def unique_email(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A user model whose e-mail addresses are unique."""

    def save(user: User, *args: Any, **kwargs: Any) -> None:
        if user.email and User.objects.filter(email=user.email).exclude(pk=user.pk).exists():
            raise IntegrityError("UNIQUE constraint failed: auth_user.email")
        models.Model.save(user, *args, **kwargs)

    return lambda: monkeypatch.setattr(User, "save", save)


def test_an_address_of_another_account_refuses_a_new_user(
    cedar: User, unique_email: Callable[[], None], logged: Logged
) -> None:
    unique_email()

    assert sign_in(id_token(**verified("Cedar@example.com"))) is None

    assert logged() == [
        "no user made: user_exists: a field must be unique, and its value is taken (auth_user.email)",
        "sign-in refused: user_unknown",
    ]
    assert Subject.objects.count() == 0
    assert list(User.objects.all()) == [cedar]


def test_an_address_of_another_account_is_not_taken(
    cedar: User, unique_email: Callable[[], None], logged: Logged
) -> None:
    user = signed_in(id_token(**verified("amber@example.com")))
    unique_email()

    assert signed_in(id_token(**verified("Cedar@example.com"))) == user

    user.refresh_from_db()
    assert user.email == "amber@example.com"
    reason = "a field must be unique, and its value is taken (auth_user.email)"
    assert logged() == [f"user updated in part: email left out: {reason}"]
