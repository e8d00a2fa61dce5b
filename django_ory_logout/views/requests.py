"""What a request asks for and how it can be read. Needs no models, so that ``hydra_ui`` can use it too."""

import codecs

from django.http import HttpRequest, QueryDict

from ..exceptions import InvalidMessage

#: What is ASCII in these is ASCII in UTF-8. Any other codec of Python's can make parameters that nobody can store.
CHARSETS = frozenset({"utf-8", "ascii", "iso8859-1", "cp1252"})
#: Where a page can be shown (Fetch Metadata, 2.1). A service worker may hand a page on as ``empty``.
_DOCUMENTS = frozenset({"document", "frame", "iframe"})
_JSON = ("application/json", "application/problem+json")


def check_charset(request: HttpRequest) -> None:
    """Raise :exc:`InvalidMessage` (``charset_unsupported``) for a request whose parameters cannot be read.

    Django reads the query and the body by the ``charset`` of ``Content-Type``, which the client chooses.
    """
    charset = request.encoding
    if charset is not None and codecs.lookup(charset).name not in CHARSETS:
        request.encoding = "utf-8"  # the page that says so may read a parameter
        raise InvalidMessage("charset_unsupported", "the charset of Content-Type is not UTF-8")


def single_values(parameters: QueryDict) -> dict[str, str]:
    """``parameters``, each given once (RFC 6749, 3.1). Raises :exc:`InvalidMessage` (``parameter_repeated``)."""
    for name, values in parameters.lists():
        if len(values) > 1:
            raise InvalidMessage("parameter_repeated", f"a parameter came more than once: {name[:40]!r}")
    return parameters.dict()  # type: ignore[return-value]


def wants_json(request: HttpRequest) -> bool:
    """Whether JSON is asked for rather than a page, as by libraries that take anything for want of it."""
    return preferred_type(request) in _JSON


def preferred_type(request: HttpRequest) -> str | None:
    """A page or JSON, by the ``Accept`` of ``request``; a page where Django cannot read that header."""
    try:
        return request.get_preferred_type(["text/html", *_JSON])
    except (ValueError, LookupError):  # an encoding of RFC 2231 that there is none of, or that does not fit
        return "text/html"


def is_navigation(request: HttpRequest) -> bool:
    """Whether a browser will show the answer as a page, as far as it says so (Fetch Metadata)."""
    mode, dest = request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest")
    places = _DOCUMENTS | {"empty"} if mode else _DOCUMENTS
    return (
        mode in {None, "navigate"}
        and (dest is None or dest in places)
        and "prefetch" not in request.headers.get("Sec-Purpose", request.headers.get("Purpose", ""))
        and request.headers.get("X-Requested-With") != "XMLHttpRequest"  # apps on Android put their names there
        and preferred_type(request) == "text/html"
    )


def journey_of(request: HttpRequest) -> str:
    """What failed: a sign-in, a logout, or the page of that name."""
    name = (request.resolver_match and request.resolver_match.url_name) or request.path
    if "logout" in name:
        return "logout"
    return "sign-in" if name in {"login", "callback", "provider_callback"} else name


def forget_query(request: HttpRequest) -> None:
    """Take the query off ``request``: Django reports each 5xx with its request, and a code must not be in there."""
    request.GET = QueryDict()
    for name in ("QUERY_STRING", "REQUEST_URI", "RAW_URI", "HTTP_REFERER"):
        request.META[name] = ""
