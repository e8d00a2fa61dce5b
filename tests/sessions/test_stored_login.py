"""A Django session stores data of its sign-in. The app reads it back, also from sessions of another version."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ory_logout.sessions.stored_login import LOGIN_KEY, StoredLogin

TEXT, OPTIONAL = st.text(), st.none() | st.text(min_size=1)
LOGINS = st.builds(
    StoredLogin,
    provider=TEXT,
    issuer=TEXT,
    client_id=TEXT,
    subject=TEXT,
    sid=OPTIONAL,
    expires_at=st.floats(min_value=0, max_value=1e11),
    logout_state=TEXT,
    logout_token=TEXT,
    id_token=TEXT,
    access_token=OPTIONAL,
    refresh_token=OPTIONAL,
    scope=TEXT,
)


@given(login=LOGINS)
def test_stored_data_is_read_back(login: StoredLogin) -> None:
    assert StoredLogin.read({LOGIN_KEY: login.as_dict()}) == login


def test_a_session_of_an_earlier_version_is_read_as_far_as_possible() -> None:
    stored = {"issuer": "https://op.example", "sid": None, "refresh_token": None, "of_another_version": 1}

    assert StoredLogin.read({LOGIN_KEY: stored}) == StoredLogin(issuer="https://op.example")


@pytest.mark.parametrize("stored", [None, "", "junk", 7, ["issuer"]])
def test_other_data_is_no_sign_in(stored: object) -> None:
    assert StoredLogin.read({LOGIN_KEY: stored}) is None
    assert StoredLogin.read({}) is None


def test_a_sign_in_of_another_issuer_is_none() -> None:
    session = {LOGIN_KEY: {"issuer": "https://op.example"}}

    assert StoredLogin.read_if_opened_by(session, "https://op.example")
    assert StoredLogin.read_if_opened_by(session, "https://kratos.example") is None
    assert StoredLogin.read_if_opened_by({}, "https://op.example") is None


def test_no_token_is_shown() -> None:
    secrets = {"id_token", "access_token", "refresh_token", "logout_token", "logout_state"}
    login = StoredLogin(**{name: f"secret-{name}" for name in secrets})  # type: ignore[arg-type]

    assert "secret" not in repr(login)
