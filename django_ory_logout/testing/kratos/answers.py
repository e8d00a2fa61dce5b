"""Answers that can contain the same header several times."""

import json
from collections.abc import Mapping
from html import escape
from http import HTTPStatus

from urllib3 import HTTPHeaderDict

from ..http import Answer
from .refusals import Refusal


def of_json(document: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Answer:
    return _answer(status, {"Content-Type": "application/json; charset=utf-8"}, headers, json.dumps(document))


def refused(refusal: Refusal) -> Answer:
    return _answer(refusal.status, {"Content-Type": "application/json"}, refusal.headers, json.dumps(refusal.document))


def see_other(url: str, headers: Mapping[str, str] | None = None) -> Answer:
    defaults = {"Content-Type": "text/html; charset=utf-8", "Location": url}
    return _answer(HTTPStatus.SEE_OTHER, defaults, headers, f'<a href="{escape(url)}">See Other</a>.\n')


def uncached(answer: Answer) -> Answer:
    defaults = {"Cache-Control": "private, no-cache, no-store, must-revalidate"}
    return Answer(answer.status, HTTPHeaderDict(defaults) | answer.headers, answer.body)


def set_cookies(*values: str) -> HTTPHeaderDict:
    """One ``Set-Cookie`` header for each value."""
    return HTTPHeaderDict([("Set-Cookie", value) for value in values])


def _answer(status: int, defaults: Mapping[str, str], more: Mapping[str, str] | None, body: str) -> Answer:
    return Answer(status, HTTPHeaderDict(defaults) | (more or {}), body.encode())
