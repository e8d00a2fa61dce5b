"""Discovery, JWKS, tokens and userinfo: the same answers that :mod:`..network` gives without a socket."""

from django.http import HttpRequest, HttpResponse

from ..http import Request
from ..hydra import endpoints
from .site import ProviderSite


def answer(request: HttpRequest, face: ProviderSite) -> HttpResponse:
    asked = Request(request.method or "", request.path, request.headers, request.POST.dict())
    given = endpoints.answer(face.provider, asked)
    return HttpResponse(given.body, status=given.status, headers=dict(given.headers))
