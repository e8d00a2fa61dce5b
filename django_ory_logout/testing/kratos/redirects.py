"""Where browsers are sent: back to where they may go, or to the error page; machines get JSON in its place."""

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
    """Whether JSON is asked for by name, and not a page as much. ``*/*`` asks for a page."""
    accept = request.headers.get("Accept", "")
    named = request.headers.get("Content-Type") == "application/json"
    return named or _quality(accept, "application/json") > _quality(accept, "text/html")


def _quality(accept: str, offer: str) -> tuple[float, int]:
    """How much ``offer`` is wanted: its quality, and how exactly it is named."""
    kinds = ("*/*", offer.partition("/")[0] + "/*", offer)
    found = [(quality, kinds.index(name)) for name, quality in _accepted(accept) if name in kinds]
    return max(found, default=(0, 0))


def _accepted(accept: str) -> Iterator[tuple[str, float]]:
    """With any parameter but ``q`` a name means nothing, such as ``application/json; charset=utf-8``."""
    for one in accept.split(","):
        name, _, quality = one.replace(" ", "").partition(";q=")
        yield name, float(quality or 1)


def return_url(kratos: Kratos, request: Request, default: str) -> str:
    """``return_to``, or ``default`` where there is none. Raises 400 for one that is not allowed."""
    asked = request.query.get("return_to")
    if not asked:
        return default
    try:
        url = urljoin(default, asked)
        parts = _parts(urlsplit(url))
    except ValueError as error:
        reason = f"Unable to parse the return_to query parameter as an URL: {error}"
        raise Refusal(HTTPStatus.BAD_REQUEST, reason) from error
    allowed = [*kratos.allowed_return_urls, kratos.url("/self-service")]
    if not any(parts.is_below(_parts(urlsplit(one))) for one in allowed):
        raise return_to_forbidden(url)
    return url


class _Parts(NamedTuple):
    scheme: str
    host: str
    path: str

    def is_below(self, other: "_Parts") -> bool:
        return self[:2] == other[:2] and self.path.startswith(other.path)


def _parts(url: SplitResult) -> _Parts:
    """Raises ``ValueError`` for a port that is none."""
    return _Parts(url.scheme, f"{url.hostname}:{url.port}", url.path)


def forwarded(kratos: Kratos, request: Request, refusal: Refusal) -> Answer:
    """The refusal as JSON where that is asked for, else a redirect to the error page, which finds it by its id."""
    if wants_json(request):
        return refused(refusal)
    error_id = str(uuid4())
    kratos.errors[error_id] = refusal.document["error"]
    return see_other(set_query(kratos.error_url, id=error_id), refusal.headers)
