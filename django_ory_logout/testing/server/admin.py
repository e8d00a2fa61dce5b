"""Hydra's admin API on an address of its own: for machines, and for no browser."""

from dataclasses import replace

from ..hydra.admin import Admin, answer
from ..hydra.endpoints import Answer, Request
from .wsgi import MachineApplication

PREFIX = "/admin"


class AdminApplication(MachineApplication):
    """Answers calls below ``/admin`` and ``/health``."""

    def __init__(self, admin: Admin) -> None:
        super().__init__(self._call)
        self.admin = admin

    def _call(self, request: Request) -> Answer:
        """What is not below ``/admin`` is at no path."""
        if request.path.startswith("/health/"):
            return Answer.of_json({"status": "ok"})
        path = request.path.removeprefix(PREFIX) if request.path.startswith(f"{PREFIX}/") else ""
        return answer(self.admin, replace(request, path=path))
