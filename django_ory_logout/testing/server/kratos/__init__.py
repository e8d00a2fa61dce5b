"""Kratos over HTTP: its public API with its pages, and its admin API for machines alone."""

from ...http import Answer, Request
from ...kratos import routes
from ..wsgi import Application, MachineApplication
from . import pages, switches
from .site import KratosSite

__all__ = ["KratosSite", "admin_application", "public_application"]


def public_application(face: KratosSite) -> Application:
    """The public API, the pages and the switches."""

    def answer(request: Request) -> Answer:
        page = switches.answer(face, request) or face.fault(request) or pages.answer(face.kratos, request)
        return page or routes.public(face.kratos, request)

    return Application(answer)


def admin_application(face: KratosSite) -> Application:
    return MachineApplication(lambda request: face.fault(request) or routes.private(face.kratos, request))
