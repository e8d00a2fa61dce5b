"""A request to this site in this process: with its settings and middleware, without the network."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from django.core.handlers.base import BaseHandler
from django.test import RequestFactory
from django.urls import get_script_prefix
from django.utils import translation

from ..http import Response


def post_locally(url: str, body: str, content_type: str) -> Response:
    """This site's response to a POST at ``url``. Raises what its middleware raises."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    request = RequestFactory().post(
        "/" + parts.path.removeprefix(get_script_prefix()),
        body,
        content_type,
        secure=is_secure,
        headers={"Host": parts.netloc},
        SERVER_NAME=parts.hostname,
        SERVER_PORT=str(parts.port or (443 if is_secure else 80)),
    )
    handler = BaseHandler()
    handler.load_middleware()
    with _without_logging():
        response = handler.get_response(request)
    return Response(response.status_code, response.headers, getattr(response, "content", b""))


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
