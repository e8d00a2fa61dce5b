"""The page that lists login sessions and ends them, and the error pages."""

from datetime import UTC, datetime
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST, require_safe

from .site import ProviderSite, found, page

#: A delivery that succeeds at once is in the list when the page comes back; one that is tried again is not waited for.
WAIT_SECONDS = 2.0


@require_safe
def home(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    sessions = [
        {
            "session": session,
            "since": datetime.fromtimestamp(session.auth_time, UTC),
            "clients": face.provider.clients_of(session),
        }
        for session in face.provider.login_sessions.values()
    ]
    reports = list(reversed(face.backchannel.reports))
    return page(request, face, "home", {"sessions": sessions, "reports": reports})


@require_POST
def end(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    """End one login session by its ``sid``, or all of a person by ``subject``."""
    if subject := request.POST.get("subject"):
        deliveries = face.provider.end_subject(subject)
    else:
        deliveries = face.provider.end(request.POST.get("sid", ""))
    face.backchannel.deliver_in_background(deliveries).join(WAIT_SECONDS)
    return found("/")


@require_safe
def error(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    """Hydra's ``urls.error``."""
    context = {name: request.GET.get(name, "") for name in ("error", "error_description")}
    return page(request, face, "error", context, status=HTTPStatus.BAD_REQUEST)


def not_found(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    return page(request, face, "error", {"error": "There is no such page."}, status=HTTPStatus.NOT_FOUND)
