"""Answers, of which one header can stand in several lines."""

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
    own = {"Content-Type": "text/html; charset=utf-8", "Location": url}
    return _answer(HTTPStatus.SEE_OTHER, own, headers, f'<a href="{escape(url)}">See Other</a>.\n')


def uncached(answer: Answer) -> Answer:
    own = {"Cache-Control": "private, no-cache, no-store, must-revalidate"}
    return Answer(answer.status, HTTPHeaderDict(own) | answer.headers, answer.body)


def set_cookies(*values: str) -> HTTPHeaderDict:
    """A header ``Set-Cookie`` for each."""
    return HTTPHeaderDict([("Set-Cookie", value) for value in values])


def _answer(status: int, own: Mapping[str, str], more: Mapping[str, str] | None, body: str) -> Answer:
    return Answer(status, HTTPHeaderDict(own) | (more or {}), body.encode())
