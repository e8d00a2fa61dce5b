"""What is looked at: the site, one provider, one Kratos. Each document is fetched once, past every cache."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn
from urllib.parse import urlencode
from uuid import UUID

from django.utils.translation import gettext as _

from .. import conf, http
from ..exceptions import OryLogoutError, ProviderUnavailable
from ..flows.notices import own_probe
from ..oidc.messages import FORM
from ..oidc.metadata import ProviderMetadata
from ..ory.hydra import ConsentSession, HydraAdmin, OAuth2Client
from ..ory.kratos import KratosAdmin
from .findings import NotKnown, see


def notice() -> str:
    """A form as a provider posts it, with an invalid token that this site knows for the doctor's, and no other."""
    return urlencode({"logout_token": own_probe()})


#: Without a wish for a kind of answer, as providers ask.
NOTICE_HEADERS = {"Content-Type": FORM, "Accept": "*/*"}


@dataclass(frozen=True)
class Fetched:
    """An answer, or why there is none; when it was asked for, and when it was there, in seconds since the epoch."""

    answer: http.Response | ProviderUnavailable
    asked_at: float
    came_at: float

    @property
    def response(self) -> http.Response | None:
        return self.answer if isinstance(self.answer, http.Response) else None

    def document(self) -> Mapping[str, Any]:
        """The JSON object in a good answer. Raises :exc:`ProviderUnavailable`."""
        if isinstance(self.answer, ProviderUnavailable):
            raise self.answer
        if not self.answer.ok:
            raise ProviderUnavailable("document_fault", f"it answers {self.answer.status}")
        return self.answer.json()


class SiteTarget:
    """This site. ``config`` is ``None`` where the settings cannot be read."""

    def __init__(self, config: conf.Config | None) -> None:
        self._config = config
        self._documents: dict[str, Fetched] = {}

    @property
    def config(self) -> conf.Config:
        if self._config is None:
            raise see("site.checks")
        return self._config

    def document(self, url: str) -> Fetched:
        """What is at ``url``; asked once, however many registrations want it."""
        if url not in self._documents:
            self._documents[url] = fetched(lambda: http.get(url))
        return self._documents[url]

    @cached_property
    def receiver(self) -> Fetched:
        """What comes back from outside when an invalid token is posted to the back-channel receiver."""
        url = self.config.absolute("backchannel_logout")
        return fetched(lambda: http.post(url, notice(), NOTICE_HEADERS))

    def must_be_reachable(self) -> None:
        """Raises :exc:`NotKnown` where this machine does not reach the site by its public URL: nothing waits twice."""
        if self.receiver.response is None:
            raise see("receiver.backchannel")


@dataclass(frozen=True)
class LogoutProbeResult:
    """What Hydra makes of the beginning of a logout. ``error``: the words of its error page."""

    status: int
    asks: bool = False
    sends_back: bool = False
    error: str = ""


class UnreadProviderTarget:
    """Stands for providers where the settings cannot be read: whatever is asked of it is not known."""

    def __getattr__(self, name: str) -> NoReturn:
        raise see("site.checks")


class ProviderTarget:
    """An OpenID provider as it is now."""

    def __init__(self, config: conf.ProviderConfig, site: SiteTarget | None = None) -> None:
        self.config = config
        self.registration = config.registration
        self.site = site or SiteTarget(conf.get())
        #: By the key of a login session: ``None`` where it cannot be read.
        self.begun: dict[UUID, LogoutProbeResult | None] = {}
        self._consents: dict[str, list[ConsentSession]] = {}

    @property
    def fetched_discovery(self) -> Fetched:
        """The answer to the request for the discovery document."""
        return self.site.document(self.registration.discovery_url)

    @property
    def discovery(self) -> Mapping[str, Any]:
        """The discovery document, whatever it says."""
        try:
            return self.fetched_discovery.document()
        except ProviderUnavailable as error:
            raise see("provider.discovery") from error

    @property
    def endpoints(self) -> ProviderMetadata:
        """The discovery document, if this site would take it from whoever calls himself as the settings do."""
        document, issuer = self.discovery, self.registration.issuer
        try:
            return ProviderMetadata.parse({**document, "issuer": issuer}, issuer)
        except ProviderUnavailable as error:
            raise see("provider.endpoints") from error

    @property
    def metadata(self) -> ProviderMetadata:
        """The discovery document, if this site would take it."""
        if self.discovery.get("issuer") != self.registration.issuer:
            raise see("provider.issuer")
        return self.endpoints

    @property
    def fetched_jwks(self) -> Fetched:
        """The answer to the request for the JWK Set."""
        return self.site.document(self.endpoints.jwks_uri)

    @property
    def hydra(self) -> HydraAdmin:
        """Hydra's admin API; checks of the scope ``hydra`` have one."""
        if self.config.hydra is None:
            raise NotKnown(_("No HYDRA is configured for this provider."))
        return self.config.hydra

    def consents(self, subject: str) -> list[ConsentSession]:
        """What Hydra lists of ``subject``."""
        if subject not in self._consents:
            self._consents[subject] = list(self.hydra.consent_sessions(subject))
        return self._consents[subject]

    @cached_property
    def _client(self) -> OAuth2Client | OryLogoutError:
        try:
            return self.hydra.client(self.registration.client_id)
        except OryLogoutError as error:
            return error

    @property
    def client(self) -> OAuth2Client:
        """This site's registration at Hydra."""
        if isinstance(self._client, OryLogoutError):
            raise NotKnown(_("See registration.client."))
        return self._client


@dataclass(frozen=True)
class KratosTarget:
    """A Kratos."""

    config: conf.KratosConfig

    @property
    def admin(self) -> KratosAdmin:
        if self.config.admin is None:
            raise NotKnown(_("No ADMIN_URL is configured for this Kratos."))
        return self.config.admin


def fetched(ask: Callable[[], http.Response]) -> Fetched:
    """What ``ask`` brings."""
    asked_at = time.time()
    answer: http.Response | ProviderUnavailable
    try:
        answer = ask()
    except ProviderUnavailable as error:
        answer = error
    return Fetched(answer, asked_at, time.time())


def fault(error: OryLogoutError) -> str:
    """``error`` in two words: its code, which ``--explain`` knows, and the kind of what lies behind it."""
    return f"{error.code} ({type(error.__cause__).__name__})" if error.__cause__ else error.code
