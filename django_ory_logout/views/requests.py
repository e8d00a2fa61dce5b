"""Read and check requests. Imports no models, so that ``hydra_ui`` can use it too."""

import codecs
from collections.abc import Callable
from typing import TypeVar

from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.http import escape_leading_slashes

from ..exceptions import InvalidMessage

View = TypeVar("View", bound=Callable[..., HttpResponse])

#: Supersets of ASCII that decode to text which every database can store. Other codecs of Python may not.
CHARSETS = frozenset({"utf-8", "ascii", "iso8859-1", "cp1252"})
#: The destinations that show a page (Fetch Metadata, 2.1). A service worker may request a page as ``empty``.
_DOCUMENTS = frozenset({"document", "frame", "iframe"})
_JSON = ("application/json", "application/problem+json")


def non_atomic(view: View) -> View:
    """Switch ``ATOMIC_REQUESTS`` off: other requests, Hydra and Kratos must find what a view has stored."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def check_charset(request: HttpRequest) -> None:
    """Raise :exc:`InvalidMessage` (``charset_unsupported``) for a request whose parameters cannot be read.

    Django reads the query and the body by the ``charset`` of ``Content-Type``, which the client chooses.
    """
    charset = request.encoding
    if charset is not None and codecs.lookup(charset).name not in CHARSETS:
        request.encoding = "utf-8"  # the error page may read a parameter
        raise InvalidMessage("charset_unsupported", "the charset of Content-Type is not UTF-8")


def single_values(parameters: QueryDict) -> dict[str, str]:
    """``parameters`` as a dict. Raises :exc:`InvalidMessage` (``parameter_repeated``; RFC 6749, 3.1)."""
    for name, values in parameters.lists():
        if len(values) > 1:
            raise InvalidMessage("parameter_repeated", f"a parameter came more than once: {name[:40]!r}")
    return parameters.dict()  # type: ignore[return-value]


def wants_json(request: HttpRequest) -> bool:
    return preferred_type(request) in _JSON


def preferred_type(request: HttpRequest) -> str | None:
    """``text/html`` or ``application/json``, by the ``Accept`` header; HTML if Django cannot read that header."""
    try:
        return request.get_preferred_type(["text/html", *_JSON])
    except (ValueError, LookupError):  # an unknown or wrong encoding of RFC 2231
        return "text/html"


def is_navigation(request: HttpRequest) -> bool:
    """Whether a browser will show the response as a page, by the headers that it sent (Fetch Metadata)."""
    mode, dest = request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest")
    destinations = _DOCUMENTS | {"empty"} if mode else _DOCUMENTS
    return (
        mode in {None, "navigate"}
        and (dest is None or dest in destinations)
        and "prefetch" not in request.headers.get("Sec-Purpose", request.headers.get("Purpose", ""))
        and request.headers.get("X-Requested-With") != "XMLHttpRequest"  # Android apps send their own names here
        and preferred_type(request) == "text/html"
    )


def flow_of(request: HttpRequest) -> str:
    """The name that messages use: ``sign-in``, ``logout``, or the name of another page."""
    name = (request.resolver_match and request.resolver_match.url_name) or request.path
    if "logout" in name:
        return "logout"
    return "sign-in" if name in {"login", "callback", "provider_callback"} else name


def again_url(request: HttpRequest) -> str:
    """Where the error page of ``request`` tries again by itself, once; empty for a form, and for the second time."""
    if request.method != "GET" or "retried" in request.GET:
        return ""
    url = own_url(request)
    return f"{url}{'&' if '?' in url else '?'}retried=1"


def own_url(request: HttpRequest) -> str:
    """Path and query of ``request``. A path that begins with two slashes must not lead to another host."""
    return escape_leading_slashes(request.get_full_path())


def forget_query(request: HttpRequest) -> None:
    """Remove the query from ``request``. Django reports each 5xx with its request, and a query can hold a code."""
    request.GET = QueryDict()
    for name in ("QUERY_STRING", "REQUEST_URI", "RAW_URI", "HTTP_REFERER"):
        request.META[name] = ""
