"""What a request says about how its parameters are to be read."""

import codecs

from django.http import HttpRequest

from .exceptions import InvalidMessage

#: What is ASCII in these is ASCII in UTF-8. Any other codec of Python's can make parameters that nobody can store.
CHARSETS = frozenset({"utf-8", "ascii", "iso8859-1", "cp1252"})


def check_charset(request: HttpRequest) -> None:
    """Raise :exc:`InvalidMessage` (``charset_unsupported``) for a request whose parameters cannot be read.

    Django reads the query and the body by the ``charset`` of ``Content-Type``, which the client chooses.
    """
    charset = request.encoding
    if charset is not None and codecs.lookup(charset).name not in CHARSETS:
        request.encoding = "utf-8"  # the page that says so may read a parameter
        raise InvalidMessage("charset_unsupported", "the charset of Content-Type is not UTF-8")
