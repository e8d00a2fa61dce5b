"""The page that lists and ends login sessions, and the error pages."""

from datetime import UTC, datetime
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST, require_safe

from .site import ProviderSite, found, page

#: How long the page waits for deliveries. It does not wait for later attempts.
WAIT_SECONDS = 2.0


@require_safe
def home(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    sessions = [
        {
            "session": session,
            "since": datetime.fromtimestamp(session.auth_time, UTC),
            "clients": site.provider.clients_of(session),
        }
        for session in site.provider.login_sessions.values()
    ]
    reports = list(reversed(site.backchannel.reports))
    return page(request, site, "home", {"sessions": sessions, "reports": reports})


@require_POST
def end(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    """End one login session by its ``sid``, or all login sessions of a ``subject``."""
    if subject := request.POST.get("subject"):
        deliveries = site.provider.end_subject(subject)
    else:
        deliveries = site.provider.end(request.POST.get("sid", ""))
    site.backchannel.deliver_in_background(deliveries).join(WAIT_SECONDS)
    return found("/")


@require_safe
def error(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    """Hydra's ``urls.error``."""
    context = {name: request.GET.get(name, "") for name in ("error", "error_description")}
    return page(request, site, "error", context, status=HTTPStatus.BAD_REQUEST)


def not_found(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    return page(request, site, "error", {"error": "There is no such page."}, status=HTTPStatus.NOT_FOUND)
