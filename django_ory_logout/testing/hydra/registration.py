"""Clients as Hydra's admin API says and takes them: JSON documents in the words of dynamic registration."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any
from urllib.parse import urlsplit

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.errors import OAuth2Error

from .records import Client

#: What of a client is no part of its document.
_UNSAID = ("client_secret", "encryption_key", "more")
#: Hydra leaves these out where they are empty or false.
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
#: A registration that names none has this one.
_GRANT_TYPES = ("authorization_code",)
_NOT_OF_A_REDIRECT_URI = (
    "The value of one of the Client Metadata fields is invalid. Each post_logout_redirect_uri must match the domain, "
    "port, scheme of at least one of the registered redirect URIs."
)
_NAMES = tuple(field.name for field in fields(Client) if field.name not in _UNSAID)


def document(client: Client) -> dict[str, Any]:
    """``client`` without its secret."""
    said = {**client.more, **{name: getattr(client, name) for name in _NAMES}}
    return {name: value for name, value in said.items() if value or name not in _ABSENT_WHEN_EMPTY}


def new_client(said: Mapping[str, Any]) -> Client:
    """A client to create, with an id and a secret where ``said`` has none."""
    given = {"client_id": generate_token(36), "client_secret": generate_token(26), **said}
    return _read(given, Client("", grant_types=_GRANT_TYPES))


def replaced(client: Client, said: Mapping[str, Any]) -> Client:
    """PUT: what ``said`` leaves out is gone, but for the secret."""
    return _read({**said, "client_id": client.client_id}, Client("", client.client_secret, grant_types=_GRANT_TYPES))


def patched(client: Client, patch: Sequence[Mapping[str, Any]]) -> Client:
    """JSON Patch (RFC 6902) of members. Raises :exc:`KeyError` for one that is not there."""
    said = document(client)
    for operation in patch:
        name = operation["path"].removeprefix("/")
        if operation["op"] != "add":
            del said[name]
        if operation["op"] != "remove":
            said[name] = operation["value"]
    return _read(said, Client("", client.client_secret, encryption_key=client.encryption_key))


def _read(said: Mapping[str, Any], base: Client) -> Client:
    """``said`` over ``base``. Raises Authlib's ``OAuth2Error`` (``invalid_client_metadata``)."""
    origins = {_origin(uri) for uri in said.get("redirect_uris") or ()}
    for uri in said.get("post_logout_redirect_uris") or ():
        if _origin(uri) not in origins:
            raise OAuth2Error(_NOT_OF_A_REDIRECT_URI, error="invalid_client_metadata")
    known = {name: said[name] for name in (*_NAMES, "client_secret") if said.get(name) is not None}
    return replace(base, more={name: value for name, value in said.items() if name not in _NAMES + _UNSAID}, **known)


def _origin(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.netloc
