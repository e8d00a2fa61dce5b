"""How the admin APIs of Ory's servers are reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from .. import http


@dataclass(frozen=True)
class AdminAPI:
    """The admin API at ``base_url``, without ``/admin``. ``token`` is an API key, such as Ory Network asks for."""

    base_url: str
    token: str | None = field(default=None, repr=False)

    def _send(
        self, method: str, path: str, query: Mapping[str, str] | None = None, document: object = None
    ) -> http.Response:
        return http.send(method, url(self._base, path, query), document, self._headers())

    @property
    def _base(self) -> str:
        return f"{self.base_url.rstrip('/')}/admin"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def url(base_url: str, path: str, query: Mapping[str, str] | None = None) -> str:
    """The URL of ``path`` below ``base_url``."""
    return base_url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
