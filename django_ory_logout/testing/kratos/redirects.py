"""Redirects of browsers: back to an allowed URL, or to the error page. Machines get JSON instead of the error page."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit
from uuid import uuid4

from ..http import Answer, Request
from ..uris import set_query
from .answers import refused, see_other
from .kratos import Kratos
from .refusals import Refusal, return_to_forbidden


def wants_json(request: Request) -> bool:
    """Whether the client prefers JSON to HTML. ``*/*`` means HTML."""
    accept = request.headers.get("Accept", "")
    sends_json = request.headers.get("Content-Type") == "application/json"
    return sends_json or _quality(accept, "application/json") > _quality(accept, "text/html")


def _quality(accept: str, offer: str) -> tuple[float, int]:
    """The priority of ``offer`` in ``accept``: its quality, and how exact the matching media range is."""
    ranges = ("*/*", offer.partition("/")[0] + "/*", offer)
    matches = [(quality, ranges.index(name)) for name, quality in _accepted(accept) if name in ranges]
    return max(matches, default=(0, 0))


def _accepted(accept: str) -> Iterator[tuple[str, float]]:
    """The media ranges with their qualities. A range with another parameter than ``q`` does not match any type."""
    for media_range in accept.split(","):
        name, _, quality = media_range.replace(" ", "").partition(";q=")
        yield name, float(quality or 1)


def return_url(kratos: Kratos, request: Request, default: str) -> str:
    """``return_to``, or ``default`` if it is missing. Raises 400 if it is not allowed."""
    return_to = request.query.get("return_to")
    if not return_to:
        return default
    try:
        url = urljoin(default, return_to)
        parts = _parts(urlsplit(url))
    except ValueError as error:
        reason = f"Unable to parse the return_to query parameter as an URL: {error}"
        raise Refusal(HTTPStatus.BAD_REQUEST, reason) from error
    allowed = [*kratos.allowed_return_urls, kratos.url("/self-service")]
    if not any(parts.is_below(_parts(urlsplit(allowed_url))) for allowed_url in allowed):
        raise return_to_forbidden(url)
    return url


class _Parts(NamedTuple):
    scheme: str
    host: str
    path: str

    def is_below(self, other: "_Parts") -> bool:
        return self[:2] == other[:2] and self.path.startswith(other.path)


def _parts(url: SplitResult) -> _Parts:
    """The parts that matter here. Raises ``ValueError`` for an invalid port."""
    return _Parts(url.scheme, f"{url.hostname}:{url.port}", url.path)


def forwarded(kratos: Kratos, request: Request, refusal: Refusal) -> Answer:
    """The refusal as JSON if the client wants JSON, else a redirect to the error page with the id of the error."""
    if wants_json(request):
        return refused(refusal)
    error_id = str(uuid4())
    kratos.errors[error_id] = refusal.document["error"]
    return see_other(set_query(kratos.error_url, id=error_id), refusal.headers)
