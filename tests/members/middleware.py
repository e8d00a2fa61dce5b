"""Middleware of a site."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as Django
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin


class SessionMiddleware(MiddlewareMixin):
    """Like the middleware of django-user-sessions, it is no subclass of Django's."""

    def process_request(self, request: HttpRequest) -> None:
        store: Any = import_module(settings.SESSION_ENGINE).SessionStore
        request.session = store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        return Django(lambda _request: response).process_response(request, response)


class Visits(MiddlewareMixin):
    """Sets no session."""
