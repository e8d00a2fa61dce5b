"""``LoginSessionMiddleware``, directly after Django's ``SessionMiddleware``."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest

from .stores import indexed


class LoginSessionMiddleware:
    """Puts a session store that asks the index in place of ``request.session``. Touches neither store nor database."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        session = request.session
        request.session = indexed(type(session))(session.session_key)
        return self.get_response(request)
