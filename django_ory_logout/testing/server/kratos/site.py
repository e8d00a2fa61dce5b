"""The data of the Kratos server."""

from dataclasses import dataclass, field

from ...http import Answer, Request
from ...kratos import Kratos


@dataclass
class KratosSite:
    """A Kratos, and the faults that a test set for its paths."""

    kratos: Kratos
    #: Path → status of the answer. The path ``""`` means all paths of both APIs.
    faults: dict[str, int] = field(default_factory=dict)

    def fault(self, request: Request) -> Answer | None:
        status = self.faults.get(request.path) or self.faults.get("")
        return Answer(status) if status else None
