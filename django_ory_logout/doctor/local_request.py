"""A request to this site in this process: with its settings and middleware, without the network."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit
from wsgiref.util import setup_testing_defaults

from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIRequest
from django.urls import get_script_prefix
from django.utils import translation

from ..http import Response


def post_locally(url: str, body: str, content_type: str) -> Response:
    """This site's response to a POST at ``url``. Raises what its middleware raises."""
    handler = BaseHandler()
    handler.load_middleware()
    with _without_logging():
        response = handler.get_response(WSGIRequest(_environ(url, body.encode(), content_type)))
    return Response(response.status_code, response.headers, getattr(response, "content", b""))


def _environ(url: str, body: bytes, content_type: str) -> dict[str, Any]:
    parts = urlsplit(url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/" + parts.path.removeprefix(get_script_prefix()),
        "HTTP_HOST": parts.netloc,
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": str(parts.port or {"https": 443}.get(parts.scheme, 80)),
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": BytesIO(body),
    }
    setup_testing_defaults(environ)
    return environ


@contextmanager
def _without_logging() -> Iterator[None]:
    """Log nothing in the block, and restore the active language after it: a middleware may change it."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with translation.override(translation.get_language()):
            yield
    finally:
        logging.disable(disabled)
