"""Compare this site's client at Hydra with its settings, and register or update it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import conf
from ..exceptions import HydraError
from ..ory.hydra import ClientMetadata, HydraAdmin, OAuth2Client


@dataclass(frozen=True)
class Choices:
    """The options of a registration. With ``None``, ``skip_logout_consent`` does not change."""

    exact: bool = False
    frontchannel: bool = True
    skip_logout_consent: bool | None = None


@dataclass(frozen=True)
class ClientURLs:
    """The URLs of this site that its client registers at a provider."""

    redirect_uri: str
    post_logout_redirect_uri: str
    backchannel_logout_uri: str
    frontchannel_logout_uri: str


def client_urls(config: conf.ProviderConfig) -> ClientURLs:
    """The URLs that the client of ``config`` must register."""
    site = conf.get()
    return ClientURLs(
        redirect_uri=config.redirect_uri,
        post_logout_redirect_uri=config.post_logout_redirect_uri or site.absolute("logout_callback"),
        backchannel_logout_uri=site.absolute("backchannel_logout"),
        frontchannel_logout_uri=site.absolute("frontchannel_logout"),
    )


@dataclass(frozen=True)
class Difference:
    """A field whose registered value is not the wanted one. ``registered`` is ``None`` if there is no client."""

    name: str
    registered: Any
    wanted: Any


def registered_client(hydra: HydraAdmin, client_id: str) -> OAuth2Client | None:
    """The client, or ``None`` if Hydra has none with that id. Raises like :meth:`HydraAdmin.client`."""
    try:
        return hydra.client(client_id)
    except HydraError as error:
        if error.code != "client_unknown":
            raise
        return None


def wanted(config: conf.ProviderConfig, registered: OAuth2Client | None, choices: Choices) -> ClientMetadata:
    """The metadata that this site's client should have. Other redirect URIs stay, unless ``choices.exact``."""
    urls = client_urls(config)
    kept = registered if not choices.exact else None
    return ClientMetadata(
        redirect_uris=_with(kept.redirect_uris if kept else (), urls.redirect_uri),
        post_logout_redirect_uris=_with(kept.post_logout_redirect_uris if kept else (), urls.post_logout_redirect_uri),
        backchannel_logout_uri=urls.backchannel_logout_uri,
        backchannel_logout_session_required=True,
        frontchannel_logout_uri=urls.frontchannel_logout_uri if choices.frontchannel else "",
        frontchannel_logout_session_required=choices.frontchannel and config.frontchannel_logout_session_required,
        skip_logout_consent=choices.skip_logout_consent,
    )


def differences(registered: OAuth2Client | None, metadata: ClientMetadata) -> list[Difference]:
    """The fields of ``metadata`` whose registered value differs."""
    result = []
    for name, value in metadata.given().items():
        current = getattr(registered, name) if registered else None
        if current != value:
            result.append(Difference(name, current, value))
    return result


def write(
    hydra: HydraAdmin, config: conf.ProviderConfig, registered: OAuth2Client | None, changed: Sequence[Difference]
) -> OAuth2Client:
    """Update the fields ``changed``, or create the client from this site's settings. Raises like Hydra's calls."""
    changes = {difference.name: difference.wanted for difference in changed}
    registration = config.registration
    if registered:
        return hydra.update_client(registration.client_id, ClientMetadata(**changes))
    is_online = {"offline_access", "offline"}.isdisjoint(config.scope.split())
    created = ClientMetadata(
        **changes,
        client_secret=registration.client_secret or None,
        token_endpoint_auth_method=registration.token_endpoint_auth_method,
        grant_types=["authorization_code"] if is_online else ["authorization_code", "refresh_token"],
        response_types=["code"],
        scope=config.scope,
    )
    return hydra.create_client(registration.client_id, created)


def as_dict(changed: Sequence[Difference]) -> dict[str, dict[str, Any]]:
    """The differences for JSON, by the name of the field."""
    return {
        difference.name: {"registered": difference.registered, "wanted": difference.wanted} for difference in changed
    }


def _with(uris: Sequence[str], uri: str) -> Sequence[str]:
    return uris if uri in uris else (*uris, uri)
