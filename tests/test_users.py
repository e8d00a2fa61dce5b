"""Users of the site's own model: their names, their values, and why no user is created."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import AbstractBaseUser, User, UserManager
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import DataError, IntegrityError, OperationalError, models
from django.db.models import F
from django.db.models.functions import Lower
from django.db.models.signals import post_save
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_ory_logout import backends
from django_ory_logout.backends import ProviderBackend
from django_ory_logout.models import Authentication, Subject, digest
from django_ory_logout.oidc.tokens import Claims
from django_ory_logout.users import creation, fields, refusals, usernames

from .conftest import Configure, Connect, Logged
from .members.models import Blank, Member, Nameless, Plain
from .test_backends import id_token, provider, sign_in, signed_in, verified

pytestmark = pytest.mark.django_db

REFUSED = "sign-in refused: user_unknown"


# Names


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "amber.stone"}, "amber.stone"),
        ({"preferred_username": "amber.stone", **verified("amber@example.com")}, "amber.stone"),
        ({"preferred_username": "Амбер"}, "Амбер"),
        ({"preferred_username": "amber stone!"}, "amber-stone"),
        ({"preferred_username": "\uff41mber"}, "amber"),
        ({"preferred_username": "!?", **verified("amber@example.com")}, "amber@example.com"),
        ({"preferred_username": "!?"}, "the-subject"),
        ({"preferred_username": " ", **verified("amber@example.com")}, "amber@example.com"),
        ({"preferred_username": 7, **verified("amber@example.com")}, "amber@example.com"),
        ({"preferred_username": "amber@example.com", **verified("amber@example.com")}, "amber@example.com"),
        ({"preferred_username": "ceo@example.com", **verified("amber@example.com")}, "amber@example.com"),
        ({"preferred_username": "ceo@example.com"}, "the-subject"),
        ({"email": "amber@example.com"}, "the-subject"),
        (verified("\ud800@example.com"), "the-subject"),
        ({}, "the-subject"),
    ],
)
def test_a_new_user_gets_a_name(claims: Claims, name: str) -> None:
    assert signed_in(id_token("the-subject", **claims)).username == name


def test_the_name_stays_when_the_claim_changes() -> None:
    signed_in(id_token(preferred_username="amber"))

    assert signed_in(id_token(preferred_username="ember")).username == "amber"


@pytest.mark.parametrize("taken", ["root", "Root", "ROOT"])
def test_a_name_in_use_gets_a_suffix(taken: str) -> None:
    User.objects.create_user(taken)
    suffix = digest("https://op.example", "amber")[:8]

    assert signed_in(id_token(preferred_username="root")).username == f"root-{suffix}"


def test_a_name_that_is_the_address_of_another_user_gets_a_suffix() -> None:
    User.objects.create_user("cedar", "cedar@example.com")

    assert signed_in(id_token(**verified("Cedar@example.com"))).username.startswith("Cedar@example.com-")


def test_a_long_name_is_cut_and_gets_a_suffix() -> None:
    name = signed_in(id_token(preferred_username="a" * 200)).username

    assert len(name) == 150
    assert name.startswith("a" * 141 + "-")


def test_a_subject_that_is_no_valid_name_is_changed() -> None:
    assert signed_in(id_token("auth0|5f7c8ec7")).username == "auth0-5f7c8ec7"
    assert signed_in(id_token("|")).username == digest("https://op.example", "|")[:30]


def test_a_name_with_a_character_that_the_database_cannot_store_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """MySQL's utf8mb3 cannot store four bytes."""

    def save(user: User, *args: Any, **kwargs: Any) -> None:
        if not user.username.isascii() or not user.first_name.isascii():
            raise DataError(1366, "Incorrect string value")
        models.Model.save(user, *args, **kwargs)

    monkeypatch.setattr(User, "save", save)

    user = signed_in(id_token(preferred_username="\U00020bb7", given_name="\U00020bb7"))

    assert (user.username, user.first_name) == ("amber", "")


def test_a_name_that_the_database_cannot_look_up_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_free(name: str, exclude: object = None) -> bool:
        if not name.isascii():
            raise DataError
        return True

    monkeypatch.setattr(usernames, "is_free", is_free)

    assert signed_in(id_token(preferred_username="Амбер")).username == "amber"


@pytest.fixture
def latin1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that hold few characters, as MySQL and MariaDB have them."""
    fetch_all, exists = models.QuerySet._fetch_all, models.QuerySet.exists

    def checked(method: Any) -> Any:
        def compared(queryset: Any) -> Any:
            if not str(queryset.query).isascii():
                raise OperationalError(1267, "Illegal mix of collations")
            return method(queryset)

        return compared

    def save(user: User, *args: Any, **kwargs: Any) -> None:
        if not user.first_name.isascii():
            raise OperationalError(1366, "Incorrect string value")
        models.Model.save(user, *args, **kwargs)

    monkeypatch.setattr(models.QuerySet, "exists", checked(exists))
    monkeypatch.setattr(models.QuerySet, "_fetch_all", checked(fetch_all))
    monkeypatch.setattr(User, "save", save)


@pytest.mark.usefixtures("latin1")
def test_values_that_the_character_set_of_the_database_lacks(configure: Configure, logged: Logged) -> None:
    configure(ASSOCIATE_BY_EMAIL=True)
    claims = {"preferred_username": "Ж", "given_name": "Ж", "family_name": "Stone", **verified("amber@ж.example")}

    user = signed_in(id_token(**claims))

    assert (user.username, user.first_name, user.last_name) == ("amber", "", "Stone")
    assert "user updated in part: first_name left out: a value cannot be stored" in logged()


def test_operational_fault_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def exists(queryset: Any) -> bool:
        if queryset.model is User:
            raise OperationalError(2006, "Server has gone away")
        return False

    monkeypatch.setattr(models.QuerySet, "exists", exists)

    with pytest.raises(OperationalError):
        sign_in(id_token())


def test_a_name_that_is_taken_meanwhile_gets_a_suffix(monkeypatch: pytest.MonkeyPatch) -> None:
    create_user = UserManager.create_user

    def overtaken(manager: Any, username: str, **fields: Any) -> Any:
        if username == "amber":
            raise IntegrityError("UNIQUE constraint failed: auth_user.username")
        return create_user(manager, username, **fields)

    monkeypatch.setattr(UserManager, "create_user", overtaken)

    assert signed_in(id_token()).username.startswith("amber-")


def test_a_name_of_a_hook_gets_a_suffix() -> None:
    class Own(ProviderBackend):
        def username(self, authentication: Any) -> str:
            return "everybody"

    first, second = signed_in(id_token("amber"), Own()), signed_in(id_token("birch"), Own())

    assert first.username == "everybody"
    assert second.username.startswith("everybody-")


# Values for display only


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Am\ud800ber", "Amber"),
        ("A\nm\x1b[2Jber", "Am[2Jber"),
        ("\udcff\ud83d", ""),
        ("Am\0ber", "Amber"),
        ("a" * 151, "a" * 150),
    ],
)
def test_a_value_that_cannot_be_stored_is_cleaned(given: str, stored: str, logged: Logged) -> None:
    user = signed_in(id_token(given_name=given, family_name="Stone"))

    user.refresh_from_db()
    assert (user.first_name, user.last_name) == (stored, "Stone")
    assert logged() == [f"user updated in part: first_name {'cut or cleaned' if stored else 'left out'}"]


def test_blanks_around_a_value_are_removed(logged: Logged) -> None:
    assert signed_in(id_token(given_name=" Amber ")).first_name == "Amber"
    assert logged() == []


@pytest.mark.parametrize("email", ["no address", "a" * 243 + "@example.com", "am\ud800ber@example.com"])
def test_an_address_that_the_field_refuses_is_dropped(email: str, logged: Logged) -> None:
    assert signed_in(id_token(**verified(email))).email == ""
    assert logged() == ["user updated in part: email left out"]


@pytest.mark.parametrize("email", ["\ud800@example.com", "a\0@example.com"])
def test_an_address_that_cannot_be_looked_up_does_not_link(email: str, configure: Configure) -> None:
    configure(ASSOCIATE_BY_EMAIL=True)

    assert signed_in(id_token(**verified(email))).email == ""


@pytest.mark.parametrize("fault", [DataError("Incorrect string value"), UnicodeEncodeError("latin-1", "x", 0, 1, "no")])
def test_values_that_the_database_refuses_are_dropped_one_by_one(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    signed_in(id_token())

    def save(user: User, *args: Any, **kwargs: Any) -> None:
        if not user.first_name.isascii():
            raise fault
        models.Model.save(user, *args, **kwargs)

    monkeypatch.setattr(User, "save", save)
    user = signed_in(id_token(given_name="Амбер", family_name="Stone"))

    user.refresh_from_db()
    assert (user.first_name, user.last_name) == ("", "Stone")
    assert logged() == ["user updated in part: first_name left out: a value cannot be stored"]


# The site's own user model


class Links:
    """Replaces ``Subject``, which refers to the user model of the tests."""

    def __init__(self) -> None:
        self.links: dict[str, Any] = {}
        self.found: Any = None

    def filter(self, subject_digest: str) -> "Links":
        self.found = self.links.get(subject_digest)
        return self

    def first(self) -> Any:
        return self.found and _Link(self.found.pk)

    def create(self, *, user: Any, issuer: str, subject: str) -> None:
        self.links[digest(issuer, subject)] = user


class _Link:
    def __init__(self, user_id: Any) -> None:
        self.user_id = user_id


SignIn = Callable[..., Any]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SignIn]:
    """Sign in at a site with this user model and these hooks."""

    def at(model: type, base: type[ProviderBackend] = ProviderBackend) -> SignIn:
        for module in (backends, creation, fields, refusals, usernames):
            monkeypatch.setattr(module, "get_user_model", lambda: model)
        links = Links()
        monkeypatch.setattr(base, "_links", lambda _backend: links)
        return lambda token: base().authenticate(None, id_token=token, provider=provider())

    return at


class WithCompany(ProviderBackend):
    def user_fields(self, claims: Claims) -> dict[str, Any]:
        return {**super().user_fields(claims), "company": claims.get("company", "Stone & Sons")}


def member(at: Callable[..., SignIn], *, by: type[ProviderBackend] = WithCompany) -> SignIn:
    return at(Member, by)


def test_a_member_is_created(at: Callable[..., SignIn]) -> None:
    sign_in = member(at)

    user = sign_in(id_token(given_name="Amber", **verified("Amber@Example.ORG")))

    assert (user.email, user.company, user.first_name) == ("Amber@example.org", "Stone & Sons", "Amber")
    assert not user.has_usable_password()
    assert sign_in(id_token()) == user
    assert Member.objects.count() == 1


@pytest.mark.parametrize("email", ["E1@Example.ORG", "e1@EXAMPLE.org", "e1@example.org"])
def test_an_address_in_another_case_is_the_same_member(email: str, at: Callable[..., SignIn], logged: Logged) -> None:
    Member.objects.create_user("e1@example.org", "Stone & Sons")

    assert member(at)(id_token(**verified(email))) is None

    assert logged() == ["no user made: username_unusable: another account has the e-mail address", REFUSED]
    assert Member.objects.count() == 1


def test_an_address_in_another_case_links_if_a_setting_allows_it(
    at: Callable[..., SignIn], configure: Configure
) -> None:
    configure(ASSOCIATE_BY_EMAIL=True)
    known = Member.objects.create_user("e1@example.org", "Stone & Sons")

    assert member(at)(id_token(**verified("E1@Example.ORG"))) == known


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, "the provider sent no e-mail address"),
        ({"email": "amber@example.com"}, "the provider has not verified the e-mail address"),
        ({"email": "amber@example.com", "email_verified": False}, "the provider has not verified the e-mail address"),
        ({"preferred_username": "amber@example.com"}, "the provider sent no e-mail address"),
        (verified("not an address"), "the e-mail address is not valid"),
        (verified("amber\x00@example.com"), "the e-mail address is not valid"),
    ],
)
def test_a_member_needs_a_verified_address(
    claims: Claims, reason: str, at: Callable[..., SignIn], logged: Logged
) -> None:
    assert member(at)(id_token("amber@example.com", **claims)) is None

    assert logged() == [f"no user made: username_unusable: {reason}", REFUSED]
    assert Member.objects.count() == 0


def test_a_required_field_without_a_value_is_reported(at: Callable[..., SignIn], logged: Logged) -> None:
    assert member(at, by=ProviderBackend)(id_token(**verified("amber@example.com"))) is None

    assert logged() == ["no user made: user_invalid: company: blank", REFUSED]
    assert Member.objects.count() == 0


def test_a_changed_address_never_belongs_to_another_member(at: Callable[..., SignIn], logged: Logged) -> None:
    sign_in = member(at)
    Member.objects.create_user("cedar@example.org", "Stone & Sons")
    user = sign_in(id_token(**verified("amber@example.org")))

    assert sign_in(id_token(**verified("Cedar@example.org"))) == user

    user.refresh_from_db()
    assert user.email == "amber@example.org"
    assert logged() == ["user updated in part: email left out: a field must be unique, and its value is taken"]
    assert sign_in(id_token(**verified("Amber@example.org"))).email == "Amber@example.org", "its own in another case"


def test_a_name_that_is_an_address_follows_the_claim(at: Callable[..., SignIn]) -> None:
    """``users.md`` says so. It does not change if the hook leaves out ``email``."""

    class Kept(WithCompany):
        def user_fields(self, claims: Claims) -> dict[str, Any]:
            return {name: value for name, value in super().user_fields(claims).items() if name != "email"}

    for backend, address in ((WithCompany, "ember@example.org"), (Kept, "amber@example.org")):
        Member.objects.all().delete()
        sign_in = member(at, by=backend)
        sign_in(id_token(**verified("amber@example.org")))

        assert sign_in(id_token(**verified("ember@example.org"))).email == address


def test_members_sign_in_and_log_out(tmp_path: Path) -> None:
    """Run in another process, because a running one cannot change ``AUTH_USER_MODEL``."""
    names = ("tests/members/journeys.py", "--ds", "tests.members.settings", "-p", "no:cacheprovider", "-q")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *names, f"--basetemp={tmp_path}"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_a_model_without_create_user_works(at: Callable[..., SignIn]) -> None:
    user = at(Plain)(id_token("a-long-subject", given_name="Amber", **verified("amber@example.org")))

    assert user.name.startswith("amb-") or user.name.startswith("a-l-")
    assert len(user.name) == 12
    assert not user.has_usable_password()


@given(
    length=st.integers(1, 40),
    preferred=st.text(max_size=50) | st.none(),
    subject=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60),
)
@hypothesis_settings(max_examples=200, deadline=None)
def test_names_of_any_length_are_valid(length: int, preferred: str | None, subject: str) -> None:
    field = models.CharField(max_length=length)
    with (
        patch.object(usernames, "_username_field", lambda: field),
        patch.object(usernames, "is_free", lambda _: True),
    ):
        found = list(usernames.available_usernames([preferred or "", subject], digest("https://op.example", subject)))

    assert found
    assert all(0 < len(name) <= length for name in found)
    assert len(set(found)) == len(found)
    if length < 30:
        assert len(found) >= 10, "another one, if the first is taken"


@pytest.mark.parametrize("length", [1, 8, 9, 10])
def test_users_of_a_model_with_short_names_are_created(
    length: int, at: Callable[..., SignIn], monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    field = Plain._meta.get_field("name")
    monkeypatch.setattr(field, "max_length", length)
    monkeypatch.setattr(field, "validators", [MaxLengthValidator(length)])
    sign_in = at(Plain)

    made = [sign_in(id_token(f"person-{number}", given_name="Amber")) for number in range(20)]

    taken = [user.name for user in made if user]
    assert len(set(taken)) == len(taken) == (16 if length == 1 else 20)
    assert {len(name) for name in taken} <= set(range(1, length + 1))
    if length == 1:
        words = "no user made: username_unusable: another account has the user name (max_length is 1)"
        assert words in logged()


def test_users_without_an_address_are_created_if_it_is_unique(at: Callable[..., SignIn]) -> None:
    Nameless.objects.create_user("willow", "")
    sign_in = at(Nameless)

    amber, birch = (sign_in(id_token(name, preferred_username=name)) for name in ("amber", "birch"))

    assert (amber.username, birch.username) == ("amber", "birch")
    assert list(Nameless.objects.filter(email=None)) == [amber, birch]
    assert Nameless.objects.create_user("cedar", "cedar@example.org").email == "cedar@example.org"
    assert sign_in(id_token("elm", **verified("elm@example.org"))).email == "elm@example.org"


def test_users_without_an_address_are_refused_if_it_is_required(at: Callable[..., SignIn], logged: Logged) -> None:
    sign_in = at(Blank)

    assert sign_in(id_token("amber")).email == ""
    assert sign_in(id_token("birch")) is None
    assert logged()[0] == (
        "no user made: user_invalid: email: it must be unique, and another user has none. "
        "Write null=True in this field of the user model"
    )


def test_a_create_user_with_more_required_arguments_is_reported(
    at: Callable[..., SignIn], monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    def create_user(email: str, company: str, birthday: str) -> None:
        raise AssertionError

    monkeypatch.setattr(Member.objects, "create_user", create_user)

    assert member(at)(id_token(**verified("amber@example.org"))) is None
    assert logged()[0] == "no user made: user_invalid: create_user: missing a required argument: 'birthday'"


def test_a_create_user_that_raises_is_reported(
    at: Callable[..., SignIn], monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    def create_user(**_fields: Any) -> None:
        raise ValueError("amber@example.org is a secret")

    monkeypatch.setattr(Member.objects, "create_user", create_user)

    assert member(at)(id_token(**verified("amber@example.org"))) is None
    assert logged()[0] == "no user made: user_invalid: create_user, or the model, refuses a value"


def test_a_password_that_a_manager_sets_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    create_user = UserManager.create_user
    monkeypatch.setattr(
        UserManager, "create_user", lambda self, username, **fields: create_user(self, username, password="welcome")
    )

    assert not signed_in(id_token()).has_usable_password()


def test_a_user_who_needs_approval_is_created_once(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    create_user = UserManager.create_user
    monkeypatch.setattr(
        UserManager, "create_user", lambda self, username, **fields: create_user(self, username, is_active=False)
    )

    assert sign_in(id_token()) is None
    assert sign_in(id_token()) is None

    assert User.objects.count() == 1
    assert logged() == ["sign-in refused: user_inactive"] * 2
    User.objects.update(is_active=True)
    assert signed_in(id_token())


def test_the_models_clean_is_respected(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    def clean(_user: User) -> None:
        raise ValidationError("amber is a secret", code="not_here")

    monkeypatch.setattr(User, "clean", clean)

    assert sign_in(id_token()) is None
    assert logged() == ["no user made: user_refused: the user model refuses: __all__: not_here", REFUSED]


@pytest.fixture
def capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user model that validates itself whenever it is saved, and wants capitals in first names."""

    def clean(user: User) -> None:
        if user.first_name.islower():
            raise ValidationError({"first_name": "amber is a secret"})

    def save(user: User, *args: Any, **kwargs: Any) -> None:
        user.full_clean()
        AbstractBaseUser.save(user, *args, **kwargs)

    monkeypatch.setattr(User, "clean", clean)
    monkeypatch.setattr(User, "save", save)


@pytest.mark.usefixtures("capitals")
@pytest.mark.parametrize("before", [{}, {"given_name": "Amber"}])
def test_display_value_that_the_model_refuses_is_left_out(before: Claims, logged: Logged) -> None:
    for claims in (before, {"given_name": "amber", "family_name": "Stone"}):
        user = signed_in(id_token(**claims))

    user.refresh_from_db()
    assert (user.first_name, user.last_name) == (before.get("given_name", ""), "Stone")
    reason = "create_user, or the model, refuses: first_name: refused without a code"
    assert logged() == [f"user updated in part: first_name left out: {reason}"]


@pytest.mark.usefixtures("capitals")
def test_display_value_that_the_model_refuses_is_left_out_of_a_new_user(logged: Logged) -> None:
    user = signed_in(id_token(given_name="amber", family_name="Stone"))

    user.refresh_from_db()
    assert (user.first_name, user.last_name) == ("", "Stone")
    reason = "create_user, or the model, refuses: first_name: refused without a code"
    assert logged() == [f"user updated in part: first_name left out: {reason}"]


@pytest.mark.parametrize("code", [None, "not_here"])
def test_rule_of_the_model_about_an_address_is_no_fault_of_the_site(
    code: str | None, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    def clean(_user: User) -> None:
        raise ValidationError({"email": ValidationError("amber is a secret", code=code)})

    monkeypatch.setattr(User, "clean", clean)

    assert sign_in(id_token(**verified("amber@example.org"))) is None
    reason = f"the user model refuses: email: {code or 'refused without a code'}"
    assert logged() == [f"no user made: user_refused: {reason}", REFUSED]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            ValidationError("a secret"),
            "user_refused: create_user, or the model, refuses: __all__: refused without a code",
        ),
        (
            ValidationError("a secret", code="not_here"),
            "user_refused: create_user, or the model, refuses: __all__: not_here",
        ),
        (
            ValidationError({"email": "a secret"}),
            "user_refused: create_user, or the model, refuses: email: refused without a code",
        ),
        (ValidationError({"city": ValidationError("a secret", code="blank")}), "user_invalid: city: blank"),
        (ValidationError({"email": ValidationError("a secret", code="unique")}), "user_exists: email: unique"),
    ],
)
def test_validation_error_of_create_user(
    error: ValidationError, reason: str, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    def create_user(*_args: Any, **_fields: Any) -> None:
        raise error

    monkeypatch.setattr(UserManager, "create_user", create_user)

    assert sign_in(id_token()) is None
    assert logged() == [f"no user made: {reason}", REFUSED]


# Constraints in Meta


@pytest.mark.parametrize(
    "constraint",
    [
        models.UniqueConstraint(Lower("email"), name="one_email"),
        models.UniqueConstraint("email", F("last_name"), name="one_email"),
        models.UniqueConstraint(fields=["email"], condition=~models.Q(first_name="x"), name="one_email"),
    ],
    ids=["lower", "F", "condition"],
)
@pytest.mark.parametrize("email", ["", "cedar@example.org"])
def test_unique_constraint(
    constraint: models.UniqueConstraint, email: str, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    User.objects.create_user("cedar", email)
    monkeypatch.setattr(User._meta, "constraints", [constraint])

    assert sign_in(id_token(**verified(email))) is None

    nothing_twice = 'constraint one_email: another user has no value either. Write condition=~Q(field="") in it'
    reason = "user_exists: constraint one_email" if email else f"user_invalid: {nothing_twice}"
    assert logged() == [f"no user made: {reason}", REFUSED]


def test_display_value_that_another_has_and_that_is_required(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    def clean(user: User) -> None:
        code = "unique" if user.first_name else "blank"
        raise ValidationError({"first_name": ValidationError("a secret", code=code)})

    monkeypatch.setattr(User, "clean", clean)

    assert sign_in(id_token(given_name="Amber")) is None
    assert logged() == ["no user made: user_exists: first_name: unique", REFUSED]


def test_check_constraint(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    adult = models.CheckConstraint(condition=models.Q(first_name="Amber"), name="amber_only")
    other = models.CheckConstraint(condition=models.Q(username="amber"), name="holds")
    monkeypatch.setattr(User._meta, "constraints", [other, adult])

    assert sign_in(id_token(given_name="Birch")) is None
    assert logged() == ["no user made: user_invalid: constraint amber_only does not hold", REFUSED]


class WithoutNames(WithCompany):
    def username(self, _authentication: Authentication) -> str:
        return ""


def test_a_member_without_a_name_from_the_sites_hook_is_reported(at: Callable[..., SignIn], logged: Logged) -> None:
    assert member(at, by=WithoutNames)(id_token(**verified("amber@example.com"))) is None

    assert logged() == ["no user made: username_unusable: username() gives none", REFUSED]


def test_a_name_that_the_database_cannot_store_is_reported(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    def is_free(_name: str) -> bool:
        raise DataError("a value")

    monkeypatch.setattr(usernames, "is_free", is_free)

    assert sign_in(id_token()) is None

    assert logged() == ["no user made: username_unusable: the user name cannot be stored", REFUSED]


def test_a_unique_field_of_another_account_is_reported(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    def clean(_user: User) -> None:
        raise ValidationError({"email": ValidationError("taken", code="unique")})

    monkeypatch.setattr(User, "clean", clean)

    assert sign_in(id_token(**verified("amber@example.org"))) is None
    assert logged() == ["no user made: user_exists: email: unique", REFUSED]


# Receivers of the site


def doubled_link(instance: Any, created: bool, **_arguments: Any) -> None:
    if created and isinstance(instance, User):
        for _ in range(2):
            Subject.objects.create(user=instance, issuer="https://op.example", subject="cedar")


def without_a_link(instance: Any, created: bool, **_arguments: Any) -> None:
    if created and isinstance(instance, User):
        raise ValueError("amber is a secret")


@pytest.mark.parametrize(
    ("receiver", "reason"),
    [
        (doubled_link, "a field must be unique, and its value is taken (ory_logout_subject.subject_digest)"),
        (without_a_link, "ValueError"),
    ],
)
def test_a_receiver_that_fails_is_named(
    receiver: Callable[..., None], reason: str, connect_receiver: Connect, logged: Logged
) -> None:
    connect_receiver(post_save, receiver)

    assert sign_in(id_token()) is None

    said = f"{__name__}.{receiver.__name__}, a receiver of a signal, fails: {reason}"
    assert logged() == [f"no user made: user_invalid: {said}", REFUSED]
    assert User.objects.count() == 0


def test_another_model_that_is_not_saved_is_named(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    def save(user: User, *args: Any, **kwargs: Any) -> None:
        AbstractBaseUser.save(user, *args, **kwargs)
        doubled_link(user, created=True)

    monkeypatch.setattr(User, "save", save)

    assert sign_in(id_token()) is None

    reason = "a field must be unique, and its value is taken (ory_logout_subject.subject_digest)"
    assert logged()[0] == f"no user made: user_invalid: ory_logout.Subject is not saved: {reason}"


# Database errors


@pytest.mark.parametrize("code", [(), (1062,)])  # the drivers of MySQL raise (code, message)
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("UNIQUE constraint failed: auth_user.email", "user_exists: a field must be unique, and its value is taken"),
        (
            'duplicate key value violates unique constraint "x"\nDETAIL: Key (a)=(b)',
            "user_exists: a field must be unique",
        ),
        (
            "Duplicate entry 'a@b' for key 'email'",
            "user_exists: a field must be unique, and its value is taken (email)",
        ),
        (
            "Duplicate entry 'column \"a@b\"' for key 'u.email'",
            "user_exists: a field must be unique, and its value is taken (u.email)",
        ),
        (
            "NOT NULL constraint failed: auth_user.company",
            "user_invalid: a required field has no value (auth_user.company)",
        ),
        (
            'null value in column "company" violates not-null constraint',
            "user_invalid: a required field has no value (company)",
        ),
        (
            "Field 'company' doesn't have a default value",
            "user_invalid: a required field has no value (company)",
        ),
        ("FOREIGN KEY constraint failed", "user_invalid: what a field refers to is not there"),
        ("CHECK constraint failed: adult", "user_invalid: a value is not allowed (adult)"),
        ("something else about secrets", "user_invalid: the database refuses it (IntegrityError)"),
    ],
)
def test_an_integrity_error_is_reported_with_its_cause(
    code: tuple[int, ...], said: str, reason: str, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    def save(*_args: Any, **_kwargs: Any) -> None:
        raise IntegrityError(*code, said)

    monkeypatch.setattr(User, "save", save)

    assert sign_in(id_token()) is None
    assert logged()[0].startswith(f"no user made: {reason}")
    assert "a@b" not in logged()[0]


def test_a_fault_of_a_link_is_reported_and_leaves_no_user(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    def save(*_args: Any, **_kwargs: Any) -> None:
        raise IntegrityError("FOREIGN KEY constraint failed")

    monkeypatch.setattr(Subject, "save", save)

    assert sign_in(id_token()) is None
    assert logged()[0] == "no user made: user_invalid: what a field refers to is not there"
    assert User.objects.count() == 0
