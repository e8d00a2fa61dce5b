"""Pages for Kratos, which has none of its own, and the subject for Hydra if Kratos is its login page."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

import requests
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from django_ory_logout.models import Subject

from . import provider

SECONDS = 10
TITLES = {"login": "Sign in", "registration": "Sign up", "settings": "Your account"}
#: How the name of Kratos' CSRF cookie begins.
CSRF_COOKIE = "csrf_token_"
UNAVAILABLE = {"reason": "The sign-in service does not answer now. Try again in a moment."}


def _show_when_kratos_is_unavailable(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except requests.RequestException:
            response = render(
                request, "kratos_error.html", {"error": UNAVAILABLE}, status=HTTPStatus.SERVICE_UNAVAILABLE
            )
            response["Retry-After"] = "5"
            return response

    return wrapped


@never_cache
@_show_when_kratos_is_unavailable
def flow(request: HttpRequest, name: str) -> HttpResponse:
    """The forms of one of Kratos' flows. The browser sends them to Kratos itself."""
    found = _fetch(request, f"self-service/{name}/flows")
    if found is None:
        return HttpResponseRedirect(f"{provider.entry()['KRATOS']['PUBLIC_URL']}/self-service/{name}/browser")
    return render(request, "kratos_flow.html", {"title": TITLES[name], "ui": found["ui"], "forms": _forms(found["ui"])})


@never_cache
@_show_when_kratos_is_unavailable
def error(request: HttpRequest) -> HttpResponse:
    """The error page of Kratos."""
    found = _fetch(request, "self-service/errors") or {}
    return render(request, "kratos_error.html", found, status=HTTPStatus.BAD_REQUEST)


def identity_of(user: Any) -> str:
    """The id of the user's identity at Kratos. Kratos gives it to Hydra as the subject."""
    links = Subject.objects.filter(user=user, issuer=provider.url())
    return links.values_list("subject", flat=True).first() or ""


def _fetch(request: HttpRequest, path: str) -> Any:
    """Kratos' flow or error with the id in the query, for this browser; None if there is none."""
    kratos = provider.entry()["KRATOS"]
    url = f"{kratos.get('INTERNAL_URL') or kratos['PUBLIC_URL']}/{path}"
    headers = {"Accept": "application/json", "Cookie": _cookies_of_kratos(request)}
    params = {"id": request.GET.get("flow") or request.GET.get("id", "")}
    response = requests.get(url, params=params, headers=headers, timeout=SECONDS, allow_redirects=False)
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        response.raise_for_status()
    return response.json() if response.status_code == HTTPStatus.OK else None


def _cookies_of_kratos(request: HttpRequest) -> str:
    """Kratos shows a flow only to the browser that began it. The site's own cookies must not go to Kratos."""
    session = provider.entry()["KRATOS"].get("COOKIE_NAME", "ory_kratos_session")
    cookies = request.COOKIES.items()
    return "; ".join(f"{name}={value}" for name, value in cookies if name == session or name.startswith(CSRF_COOKIE))


def _forms(ui: Any) -> list[list[Any]]:
    """The nodes of each form. Each group of nodes needs its own form: a single form would require the fields of all."""
    groups: dict[str, list[Any]] = {}
    for node in ui["nodes"]:
        groups.setdefault(node["group"], []).append(node)
    common = groups.pop("default", [])
    return [[*common, *nodes] for nodes in groups.values()]
