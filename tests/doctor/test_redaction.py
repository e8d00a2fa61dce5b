"""Texts of the report, without secrets."""

import pytest

from django_ory_logout.doctor.redaction import redact, redact_url, truncate


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://name:password@op.example/x answers", "https://***@op.example/x answers"),
        # A password can hold the characters that end it. A path with an @ is masked with it.
        ("postgres://u:p@ss@h/db", "postgres://***@h/db"),
        ("redis://:pa/ss@h:6379, again", "redis://***@h:6379, again"),
        ("https://name:pass?a=b#c@op.example/x", "https://***@op.example/x"),
        ("https://op.example/@x answers", "https://***@x answers"),
        (
            "https://rp.example/cb?access_token=AAA&next=%2F&a[]=b answers",
            "https://rp.example/cb?access_token=***&next=***&a[]=*** answers",
        ),
        ("https://rp.example/cb#id_token=AAA", "https://rp.example/cb#id_token=***"),
        ("Is it well? a=b", "Is it well? a=b"),
        ("a@b.example", "a@b.example"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln!", "token ***!"),
        ("ory_pat_abc.def, ory_st_xyz-1", "***, ***"),
        ("Run manage.py ory_doctor, ory_register_client", "Run manage.py ory_doctor, ory_register_client"),
        ("the cookie ory_hydra_session", "the cookie ory_hydra_session"),
        ("red \x1b[31m\r\nand a line", "red ?[31m??and a line"),
    ],
)
def test_secrets_and_control_characters_are_replaced(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "url",
    [
        "https://a:b@op.example/x?code=1#part",
        "https://a:b?c#d@op.example/x?code",
        "https://op.example/x#token=1?",
        "https://op.example/x",
    ],
)
def test_a_url_loses_its_user_query_and_fragment(url: str) -> None:
    assert redact_url(url).replace("***@", "") == "https://op.example/x"


def test_texts_from_outside_are_cut() -> None:
    assert truncate("short") == "short"
    assert len(truncate("x" * 1000)) == 123
