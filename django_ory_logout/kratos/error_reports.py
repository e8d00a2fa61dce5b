"""Error reports hide Kratos' cookie. Django hides only its own session cookie, and names that sound secret."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter, get_exception_reporter_filter


@dataclass(frozen=True)
class WithoutCookie:
    """The filter of the site, which also hides ``cookie_name``."""

    site_filter: SafeExceptionReporterFilter
    cookie_name: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.site_filter, name)

    def get_safe_cookies(self, request: HttpRequest) -> dict[str, Any]:
        cookies = self.site_filter.get_safe_cookies(request)
        return {**cookies, **({self.cookie_name: "*" * 20} if self.cookie_name in cookies else {})}


def hide_cookies(request: Any, *cookie_names: str) -> None:
    for name in cookie_names:
        request.exception_reporter_filter = WithoutCookie(get_exception_reporter_filter(request), name)
