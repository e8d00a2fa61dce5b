"""The pages without a challenge: ``urls.error`` and ``urls.post_logout_redirect``."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from .base import page

MAX_DETAIL = 500

#: The message for the user, by error code (Core 3.1.2.6, RFC 6749 4.1.2.1).
_MESSAGES = {
    "access_denied": _("The sign-in was cancelled."),
    "login_required": _("You have to sign in for this."),
    "consent_required": _("The application needs your agreement for this."),
    "request_forbidden": _("Your browser did not send the cookies of this sign-in. Perhaps it took too long."),
    "request_unauthorized": _("This took too long."),
    "temporarily_unavailable": _("The sign-in service is overloaded. Please wait a moment."),
    "server_error": _("The sign-in service has a problem. This is not your fault."),
}


@page("error")
@require_safe
def error(request: HttpRequest) -> HttpResponse:
    """Errors that Hydra cannot send to the application. Anyone can make such a link, so our text comes first."""
    code = request.GET.get("error", "")[:MAX_DETAIL]
    message = _MESSAGES.get(code, _("The application asked for something that cannot be done."))
    details = {name: request.GET.get(name, "")[:MAX_DETAIL] for name in ("error_description", "error_hint")}
    context = {"meaning": message, "error": code, "details": [text for text in details.values() if text]}
    response = render(request, "ory_hydra_ui/error.html", context, status=HTTPStatus.BAD_REQUEST)
    response["X-Robots-Tag"] = "noindex"
    return response


@page("logged_out")
@require_safe
def logged_out(request: HttpRequest) -> HttpResponse:
    """The page after a logout if no application has a post-logout redirect URI."""
    return render(request, "ory_hydra_ui/logged_out.html")
