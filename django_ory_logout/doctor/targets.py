"""The targets of the checks: the site, a provider, a Kratos. Each document is fetched once, and never from a cache."""

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
from .findings import NotKnown, Scope, refer_to


def probe_form() -> str:
    """The form of a logout notice, with an invalid token. This site alone knows that the token is the doctor's."""
    return urlencode({"logout_token": own_probe()})


def send_probe(url: str) -> http.Response:
    """Post the form to ``url`` as providers do: they accept any content type. Raises like :func:`.http.get`."""
    return http.post(url, probe_form(), {"Content-Type": FORM, "Accept": "*/*"})


def document_in(response: http.Response) -> Mapping[str, Any]:
    """The JSON object in ``response``; empty if there is none."""
    try:
        return response.json()
    except ProviderUnavailable:
        return {}


@dataclass(frozen=True)
class FetchResult:
    """A response or the error instead of it, and the times of request and response in seconds since the epoch."""

    outcome: http.Response | ProviderUnavailable
    started_at: float
    finished_at: float

    @property
    def response(self) -> http.Response | None:
        return self.outcome if isinstance(self.outcome, http.Response) else None

    def document(self) -> Mapping[str, Any]:
        """The JSON object in the response. Raises :exc:`ProviderUnavailable`."""
        if isinstance(self.outcome, ProviderUnavailable):
            raise self.outcome
        if not self.outcome.ok:
            raise ProviderUnavailable("document_fault", f"it answers {self.outcome.status}")
        return self.outcome.json()


class SiteTarget:
    """This site. ``config`` is ``None`` if the settings cannot be read."""

    def __init__(self, config: conf.Config | None) -> None:
        self._config = config
        self._documents: dict[str, FetchResult] = {}

    @property
    def config(self) -> conf.Config:
        if self._config is None:
            raise refer_to("site.checks")
        return self._config

    def document(self, url: str) -> FetchResult:
        """The document at ``url``. It is fetched once, even if several providers share it."""
        if url not in self._documents:
            self._documents[url] = fetch(lambda: http.get(url))
        return self._documents[url]

    @cached_property
    def receiver(self) -> FetchResult:
        """The response of the back-channel receiver to an invalid token that is posted to its public URL."""
        url = self.config.absolute("backchannel_logout")
        return fetch(lambda: send_probe(url))

    def must_be_reachable(self) -> None:
        """Raise :exc:`NotKnown` if this machine does not reach the public URL, so that only one check waits for it."""
        if self.receiver.response is None:
            raise refer_to("receiver.backchannel")


@dataclass(frozen=True)
class LogoutProbe:
    """Hydra's response to a logout request. ``error``: the text of its error page."""

    status: int
    shows_logout_page: bool = False
    redirects_back: bool = False
    error: str = ""


class UnreadProviderTarget:
    """The target if the settings cannot be read: each attribute raises :exc:`NotKnown`."""

    def __getattr__(self, name: str) -> NoReturn:
        raise refer_to("site.checks")


class ProviderTarget:
    """An OpenID provider, with its present documents."""

    def __init__(self, config: conf.ProviderConfig, site: SiteTarget | None = None) -> None:
        self.config = config
        self.registration = config.registration
        self.site = site or SiteTarget(conf.get())
        #: By the primary key of the login session. ``None``: its stored session cannot be read.
        self.logout_probes: dict[UUID, LogoutProbe | None] = {}
        self._consents: dict[str, list[ConsentSession]] = {}

    @property
    def discovery_result(self) -> FetchResult:
        """The answer to the request for the discovery document."""
        return self.site.document(self.registration.discovery_url)

    @property
    def discovery(self) -> Mapping[str, Any]:
        """The discovery document, not yet validated."""
        try:
            return self.discovery_result.document()
        except ProviderUnavailable as error:
            raise refer_to("provider.discovery") from error

    @property
    def endpoints(self) -> ProviderMetadata:
        """The discovery document, if it is valid apart from its ``issuer``."""
        document, issuer = self.discovery, self.registration.issuer
        try:
            return ProviderMetadata.parse({**document, "issuer": issuer}, issuer)
        except ProviderUnavailable as error:
            raise refer_to("provider.endpoints") from error

    @property
    def metadata(self) -> ProviderMetadata:
        """The discovery document, if it is valid."""
        if self.discovery.get("issuer") != self.registration.issuer:
            raise refer_to("provider.issuer")
        return self.endpoints

    @property
    def hydra(self) -> HydraAdmin:
        """Hydra's admin API. The targets of the scope ``hydra`` have it."""
        if self.config.hydra is None:
            raise NotKnown(_("No HYDRA is configured for this provider."))
        return self.config.hydra

    def consents(self, subject: str) -> list[ConsentSession]:
        """The consents of ``subject`` that Hydra lists."""
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
            raise refer_to("registration.client")
        return self._client


#: The targets of each scope, with the alias of the provider; empty for the site.
Targets = dict[Scope, list[tuple[Any, str]]]


def targets_of(config: conf.Config, alias: str | None = None) -> Targets:
    """The site, and all providers and Kratoses, or only this ``alias``. Raises ``ValueError`` for an unknown one."""
    site = SiteTarget(config)
    providers = [
        (ProviderTarget(provider, site), provider.alias)
        for provider in config.providers.values()
        if alias in {None, provider.alias}
    ]
    kratoses = [(kratos, kratos.alias) for kratos in config.kratos if alias in {None, kratos.alias}]
    if alias is not None and not providers and not kratoses:
        raise ValueError(_("There is no provider %(alias)r in the settings.") % {"alias": alias})
    return {
        Scope.SITE: [(site, "")],
        Scope.PROVIDER: providers,
        Scope.HYDRA: [(target, name) for target, name in providers if target.config.hydra],
        Scope.KRATOS: kratoses,
    }


def fetch(send: Callable[[], http.Response]) -> FetchResult:
    """Call ``send``, and keep its response or its error."""
    started_at = time.time()
    outcome: http.Response | ProviderUnavailable
    try:
        outcome = send()
    except ProviderUnavailable as error:
        outcome = error
    return FetchResult(outcome, started_at, time.time())


def describe_error(error: OryLogoutError) -> str:
    """The code of ``error``, which ``--explain`` knows, and the type of the exception that caused it."""
    return f"{error.code} ({type(error.__cause__).__name__})" if error.__cause__ else error.code
