"""Kratos' documents: any JSON gives a value, or always the same error."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ory_logout.exceptions import ProviderUnavailable
from django_ory_logout.ory.kratos.documents import (
    Address,
    Count,
    Device,
    Document,
    Identity,
    LogoutFlow,
    SecondFactor,
    Session,
)

from ..oidc.samples import anything, objects
from .kratos_vendor import COUNT, FLOW, IDENTITY, session

KINDS: list[type[Document]] = [Address, Count, Device, Identity, LogoutFlow, SecondFactor, Session]
VALID: dict[str, tuple[type[Document], dict[str, Any]]] = {
    "session": (Session, json.loads(session().model_dump_json(exclude_none=True))),
    "identity": (Identity, IDENTITY.to_dict()),
    "flow": (LogoutFlow, FLOW.to_dict()),
    "count": (Count, COUNT.to_dict()),
}
#: Arbitrary values, and some that look like a time, an id or a list.
odd_ones: list[Any] = ["2026-07-01", "2026-07-01T12:00:00", "24:00", [None], [{}], {"id": "x"}, [[]]]
values: st.SearchStrategy[Any] = anything | st.sampled_from(odd_ones)


def paths(document: Any) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in ``document``."""
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(document, dict):
        inner = document.items()
    if isinstance(document, list):
        inner = enumerate(document)
    for key, value in inner:
        yield (key,)
        yield from ((key, *path) for path in paths(value))


def replaced(document: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = replaced(document[path[0]], path[1:], value)
    return copy


def read(kind: type[Document], raw: dict[str, Any]) -> None:
    """Any exception other than the one that is caught here fails the test."""
    codes = []
    try:
        assert kind.parse(raw).raw is raw
    except ProviderUnavailable as error:
        codes.append(error.code)
    assert codes in ([], ["kratos_answer_invalid"])


@settings(max_examples=150)
@given(st.sampled_from(KINDS), objects)
def test_any_object_is_read_or_refused(kind: type[Document], raw: dict[str, Any]) -> None:
    read(kind, raw)


@settings(max_examples=400)
@given(st.data())
def test_a_document_with_any_value_in_any_field_is_read_or_refused(data: st.DataObject) -> None:
    kind, raw = VALID[data.draw(st.sampled_from(sorted(VALID)))]
    path = data.draw(st.sampled_from(list(paths(raw))))

    read(kind, replaced(raw, path, data.draw(values)))


@pytest.mark.parametrize("name", VALID)
def test_the_valid_documents_are_read(name: str) -> None:
    kind, raw = VALID[name]

    assert kind.parse(raw).raw is raw
