"""The JSON reader gives a value for any content, or one reason to refuse it."""

import json
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_ory_logout.strict_json import MAX_DEPTH, NotJSON, parse

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def reason(content: bytes) -> str:
    with pytest.raises(NotJSON) as refused:
        parse(content)
    return refused.value.reason


@given(values, st.booleans())
def test_written_json_is_read(value: Any, as_ascii: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=as_ascii).encode()) == value


@given(st.binary() | st.text('[]{}",:\\ 1e\ud800').map(lambda text: text.encode(errors="replace")))
def test_anything_is_a_value_or_refused(content: bytes) -> None:
    try:
        value = parse(content)
    except NotJSON:
        return
    assert value == json.loads(content)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":', "[0,", '["\\"",'])
@pytest.mark.parametrize("times", [MAX_DEPTH + 1, 936, 400_000])
def test_json_that_is_too_deep_is_refused(opening: str, times: int) -> None:
    assert reason(opening.encode() * times) == "depth"


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
def test_json_of_the_largest_depth_is_read(depth: int) -> None:
    content = b"[" * depth + b"]" * depth

    if depth > MAX_DEPTH:
        assert reason(content) == "depth"
    else:
        assert json.dumps(parse(content)).encode() == content


def test_the_depth_is_checked_near_the_end_of_the_stack() -> None:
    def deeper(frames: int) -> object:
        return deeper(frames - 1) if frames else parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)

    frame, used = sys._getframe(), 0
    while frame := frame.f_back:  # type: ignore[assignment]
        used += 1
    assert deeper(sys.getrecursionlimit() - used - MAX_DEPTH - 50)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps("[{" * 1000),
        json.dumps("\\" * 999 + '"' + "[" * 1000),
        json.dumps([[]] * 1000),
        json.dumps({"[": "{"}),
    ],
)
def test_brackets_in_texts_and_in_a_row_do_not_count_as_depth(content: str) -> None:
    assert parse(content.encode()) == json.loads(content)


@pytest.mark.parametrize(
    "content",
    [b'"' + b'\\"' * 500_000, b'"' + b"\\" * 1_000_001, b'"' * 1_000_000, b"[]" * 500_000, b'{"' * 500_000],
)
def test_no_content_takes_long(content: bytes) -> None:
    started = time.process_time()

    with pytest.raises(NotJSON):
        parse(content)

    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 1}',
        b'[{"b": {"": 0, "c": 1, "": 0}}]',
        '{"ä": 1, "\\u00e4": 1}'.encode(),
    ],
)
def test_a_repeated_member_is_refused(content: bytes) -> None:
    assert reason(content) == "member"


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_another_encoding_is_refused(encoding: str) -> None:
    assert reason('{"a": 1}'.encode(encoding)) == "encoding"


@pytest.mark.parametrize("content", [b'"\xff"', b'"\xe4"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'{"a": "\xe2\x82"}'])
def test_bytes_that_are_not_utf_8_are_refused(content: bytes) -> None:
    assert reason(content) == "encoding"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 5000, "1" * 400 + ".0"])
def test_an_unusable_number_is_refused(number: str) -> None:
    assert reason(f'{{"a": [{number}]}}'.encode()) == "number"


@pytest.mark.parametrize(
    "content", [b"", b" ", b"<html>", b"{", b"[1,]", b"{} {}", b"'a'", b'"\n"', b"nan", b"]", b"\0"]
)
def test_other_text_is_no_json(content: bytes) -> None:
    assert reason(content) == "syntax"


def test_no_reason_shows_the_content() -> None:
    for content in (b'{"secret": 1, "secret": 1}', b"[secret", b'"secret\xff"', b'{"secret": NaN}'):
        with pytest.raises(NotJSON) as refused:
            parse(content)
        assert "secret" not in str(refused.value)
