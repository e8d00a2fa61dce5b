"""This site's client at Hydra: as it is registered, as it should be, and what lies between."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .. import conf
from ..exceptions import HydraError
from ..ory.hydra import ClientMetadata, HydraAdmin, OAuth2Client


@dataclass(frozen=True)
class Choices:
    """What whoever registers decides. ``skip_logout_consent`` is left as it is unless it is ``True`` or ``False``."""

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
    """The URLs that the client of ``config`` has to register."""
    site = conf.get()
    return ClientURLs(
        redirect_uri=config.redirect_uri,
        post_logout_redirect_uri=config.post_logout_redirect_uri or site.absolute("logout_callback"),
        backchannel_logout_uri=site.absolute("backchannel_logout"),
        frontchannel_logout_uri=site.absolute("frontchannel_logout"),
    )


@dataclass(frozen=True)
class Difference:
    """One field that is not as it should be. ``registered`` is ``None`` where there is no client."""

    name: str
    registered: Any
    wanted: Any


def registered_client(hydra: HydraAdmin, client_id: str) -> OAuth2Client | None:
    """The client, or ``None`` where Hydra knows none of that id. Raises like :meth:`HydraAdmin.client`."""
    try:
        return hydra.client(client_id)
    except HydraError as error:
        if error.code != "client_unknown":
            raise
        return None


def wanted(config: conf.ProviderConfig, registered: OAuth2Client | None, choices: Choices) -> ClientMetadata:
    """What this site's URLs ask of its client. Further redirect URIs stay, unless they are to be ``exact``."""
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
    """What of ``metadata`` is not registered."""
    found = []
    for name, value in metadata.given().items():
        present = getattr(registered, name) if registered else None
        if present != value:
            found.append(Difference(name, present, value))
    return found


def write(
    hydra: HydraAdmin, config: conf.ProviderConfig, registered: OAuth2Client | None, found: Sequence[Difference]
) -> OAuth2Client:
    """Register what is different, or a new client with all that this site's settings say. Raises like Hydra's calls."""
    changes = {one.name: one.wanted for one in found}
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


def as_dict(found: Sequence[Difference]) -> dict[str, dict[str, Any]]:
    """For JSON, by field."""
    return {one.name: {key: value for key, value in asdict(one).items() if key != "name"} for one in found}


def _with(uris: Sequence[str], ours: str) -> Sequence[str]:
    return uris if ours in uris else (*uris, ours)
