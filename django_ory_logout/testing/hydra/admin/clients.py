"""Register, read, replace, change and delete clients."""

from collections.abc import Callable
from http import HTTPStatus

from authlib.oauth2.rfc6749.errors import OAuth2Error

from ...http import Answer, Request
from .. import registration
from ..challenge_store import unknown
from ..records import Client
from .api import NOTHING, Admin, document


def create(admin: Admin, request: Request) -> Answer:
    """201 with the secret, which only this answer contains. 409 if the client exists."""
    client = registration.new_client(document(request))
    if client.client_id in admin.provider.clients:
        description = "Unable to insert or update resource because a resource with that value exists already"
        raise OAuth2Error(description, error="Conflict", status_code=HTTPStatus.CONFLICT)
    admin.provider.register(client)
    created = {**registration.document(client), "client_secret": client.client_secret}
    return Answer.of_json(created, HTTPStatus.CREATED)


def read(admin: Admin, request: Request) -> Answer:
    return Answer.of_json(registration.document(_client(admin, request)))


def put(admin: Admin, request: Request) -> Answer:
    return _change(admin, request, lambda client: registration.replaced(client, document(request)))


def patch(admin: Admin, request: Request) -> Answer:
    """500 for a patch that removes or replaces a missing member."""
    try:
        return _change(admin, request, lambda client: registration.patched(client, document(request)))
    except KeyError as error:
        description = "Unable to apply the JSON Patch: a path is missing."
        raise OAuth2Error(description, error="error", status_code=HTTPStatus.INTERNAL_SERVER_ERROR) from error


def delete(admin: Admin, request: Request) -> Answer:
    """Delete a client with its consents and tokens."""
    client_id = _client(admin, request).client_id
    del admin.provider.clients[client_id]
    admin.provider.revoke_consents(lambda consent: consent.client_id == client_id)
    return NOTHING


def _change(admin: Admin, request: Request, change: Callable[[Client], Client]) -> Answer:
    client = admin.provider.register(change(_client(admin, request)))
    return Answer.of_json(registration.document(client))


def _client(admin: Admin, request: Request) -> Client:
    client = admin.provider.clients.get(request.path.rpartition("/")[2])
    if client is None:
        raise unknown()
    return client
