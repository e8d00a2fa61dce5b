"""The base of the clients for the admin APIs of Ory's servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from .. import http


@dataclass(frozen=True)
class AdminAPI:
    """The admin API at ``base_url``, without ``/admin``. ``token`` is an API key, which Ory Network requires."""

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
