"""Kratos over HTTP: its public API with its pages, and its admin API for machines only."""

from ...http import Answer, Request
from ...kratos import routes
from ..wsgi import Application, MachineApplication
from . import pages, switches
from .site import KratosSite

__all__ = ["KratosSite", "admin_application", "public_application"]


def public_application(site: KratosSite) -> Application:
    """The public API, the pages and the switches."""

    def answer(request: Request) -> Answer:
        page = switches.answer(site, request) or site.fault(request) or pages.answer(site.kratos, request)
        return page or routes.public(site.kratos, request)

    return Application(answer)


def admin_application(site: KratosSite) -> Application:
    return MachineApplication(lambda request: site.fault(request) or routes.private(site.kratos, request))
