"""Error reports without Kratos' cookie: Django leaves out its own session's, and what sounds secret by its name."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter, get_exception_reporter_filter


@dataclass(frozen=True)
class WithoutCookie:
    """``own``, the filter of the site, with ``cookie_name`` left out too."""

    own: SafeExceptionReporterFilter
    cookie_name: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def get_safe_cookies(self, request: HttpRequest) -> dict[str, Any]:
        cookies = self.own.get_safe_cookies(request)
        return {**cookies, **({self.cookie_name: "*" * 20} if self.cookie_name in cookies else {})}


def leave_out(request: Any, *cookie_names: str) -> None:
    """No report of a fault while ``request`` is answered shows those cookies."""
    for name in cookie_names:
        request.exception_reporter_filter = WithoutCookie(get_exception_reporter_filter(request), name)
