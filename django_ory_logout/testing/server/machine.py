"""Discovery, JWKS, tokens and userinfo, with the same answers as :mod:`..network` without a socket."""

from django.http import HttpRequest, HttpResponse

from ..http import Request
from ..hydra import endpoints
from .site import ProviderSite


def answer(request: HttpRequest, site: ProviderSite) -> HttpResponse:
    received = Request(request.method or "", request.path, request.headers, request.POST.dict())
    result = endpoints.answer(site.provider, received)
    return HttpResponse(result.body, status=result.status, headers=dict(result.headers))
