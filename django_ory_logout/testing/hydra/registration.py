"""The JSON documents of clients in Hydra's admin API, with the names of dynamic client registration."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any
from urllib.parse import urlsplit

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.errors import OAuth2Error

from .records import Client

#: Fields of a client that are not in its document.
_NOT_IN_DOCUMENT = ("client_secret", "encryption_key", "more")
#: Hydra leaves these out if they are empty or false.
_ABSENT_WHEN_EMPTY = (
    "post_logout_redirect_uris",
    "backchannel_logout_uri",
    "backchannel_logout_session_required",
    "frontchannel_logout_uri",
    "frontchannel_logout_session_required",
    "jwks_uri",
    "request_uris",
    "sector_identifier_uri",
)
#: The grant types of a registration without grant types.
_GRANT_TYPES = ("authorization_code",)
_NOT_OF_A_REDIRECT_URI = (
    "The value of one of the Client Metadata fields is invalid. Each post_logout_redirect_uri must match the domain, "
    "port, scheme of at least one of the registered redirect URIs."
)
_NAMES = tuple(field.name for field in fields(Client) if field.name not in _NOT_IN_DOCUMENT)


def document(client: Client) -> dict[str, Any]:
    """``client`` without its secret."""
    members = {**client.more, **{name: getattr(client, name) for name in _NAMES}}
    return {name: value for name, value in members.items() if value or name not in _ABSENT_WHEN_EMPTY}


def new_client(metadata: Mapping[str, Any]) -> Client:
    """A client to create. If ``metadata`` has no id or no secret, it gets a new one."""
    complete = {"client_id": generate_token(36), "client_secret": generate_token(26), **metadata}
    return _read(complete, Client("", grant_types=_GRANT_TYPES))


def replaced(client: Client, metadata: Mapping[str, Any]) -> Client:
    """PUT: deletes each field that ``metadata`` leaves out, except the secret."""
    return _read(
        {**metadata, "client_id": client.client_id}, Client("", client.client_secret, grant_types=_GRANT_TYPES)
    )


def patched(client: Client, patch: Sequence[Mapping[str, Any]]) -> Client:
    """JSON Patch (RFC 6902) of members. Raises :exc:`KeyError` for a missing member."""
    metadata = document(client)
    for operation in patch:
        name = operation["path"].removeprefix("/")
        if operation["op"] != "add":
            del metadata[name]
        if operation["op"] != "remove":
            metadata[name] = operation["value"]
    return _read(metadata, Client("", client.client_secret, encryption_key=client.encryption_key))


def _read(metadata: Mapping[str, Any], base: Client) -> Client:
    """``base`` with ``metadata``. Raises Authlib's ``OAuth2Error`` (``invalid_client_metadata``)."""
    origins = {_origin(uri) for uri in metadata.get("redirect_uris") or ()}
    for uri in metadata.get("post_logout_redirect_uris") or ():
        if _origin(uri) not in origins:
            raise OAuth2Error(_NOT_OF_A_REDIRECT_URI, error="invalid_client_metadata")
    known = {name: metadata[name] for name in (*_NAMES, "client_secret") if metadata.get(name) is not None}
    more = {name: value for name, value in metadata.items() if name not in _NAMES + _NOT_IN_DOCUMENT}
    return replace(base, more=more, **known)


def _origin(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.netloc
