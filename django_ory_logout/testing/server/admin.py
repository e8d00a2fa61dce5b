"""Hydra's admin API on its own address. Machines use it, browsers may not."""

from dataclasses import replace

from ..http import Answer, Request
from ..hydra.admin import Admin, answer
from .wsgi import MachineApplication

PREFIX = "/admin"


def admin_application(admin: Admin) -> MachineApplication:
    """Answers calls below ``/admin`` and ``/health``."""

    def call(request: Request) -> Answer:
        if request.path.startswith("/health/"):
            return Answer.of_json({"status": "ok"})
        # The empty path is unknown: a path that is not below /admin gets a 404.
        path = request.path.removeprefix(PREFIX) if request.path.startswith(f"{PREFIX}/") else ""
        return answer(admin, replace(request, path=path))

    return MachineApplication(call)
