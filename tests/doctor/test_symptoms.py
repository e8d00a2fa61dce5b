"""Each line of ``docs/how-to/logout-does-nothing.md``: each test breaks the named cause, and the named row turns red.

No other row may turn, except rows that depend on the cause.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from email.utils import formatdate
from typing import Any, TypeVar

import pytest
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.utils import timezone

from django_ory_logout import http
from django_ory_logout.doctor import CHECKS, Verdict, run_checks
from django_ory_logout.models import LoginSession, LogoutEvent, LogoutReceipt
from django_ory_logout.testing import Client, Kratos, KratosNetwork, Provider, connect_kratos
from django_ory_logout.testing.http import Answer, Request
from django_ory_logout.testing.hydra.keys import signing_key as new_signing_key
from django_ory_logout.testing.network import FakeNetwork, Route, connected

from ..conftest import Clock, Configure, SiteBrowser
from ..test_docs import DOCS, names, rows
from .browser_users import Act, BrowserUser, Watch, register
from .conftest import DISCOVERY, Proxy
from .hydra_network import ADMIN_URL, SITE_URL, HydraNetwork, forget_documents

pytestmark = pytest.mark.django_db

PAGE = DOCS / "how-to" / "logout-does-nothing.md"
BACKCHANNEL, JWKS = "/auth/logout/backchannel/", "/.well-known/jwks.json"
KRATOS, KRATOS_FORM = "https://login.rp.example", "/self-service/login/browser"
INTERNAL, LOCAL = "http://site.internal", "http://localhost:8000"
LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "of this process"}
DOWN = {"BACKEND": "tests.caches.DownCache"}

Red = dict[str, list[str]]
FAIL, WARN, UNKNOWN = ["fail"], ["warn"], ["unknown"]
#: Hydra's login ended and the session here is active. These rows follow if a notice was lost.
LOST: Red = {"history.logout_request": FAIL, "history.known_at_hydra": FAIL}
#: Rows without an answer because of a middleware or a refused host.
RECEIVERS: Red = dict.fromkeys(
    ["receiver.inside", "receiver.backchannel", "receiver.slash", "receiver.logout", "receiver.frontchannel"], FAIL
)
UNREAD: Red = {
    f"provider.{name}": UNKNOWN for name in ("issuer", "endpoints", "algorithm", "keys", "clock", "logout")
} | {"history.logout_request": UNKNOWN}


def red() -> Red:
    """All rows that are not green."""
    found: Red = {}
    for finding in run_checks():
        found.setdefault(finding.check, []).append(str(finding.verdict))
    return {check: verdicts for check, verdicts in found.items() if set(verdicts) != {Verdict.PASS}}


@dataclass
class Deployment:
    """A site behind a proxy, and its Hydra. Amber is signed in."""

    hydra: HydraNetwork
    proxy: Proxy
    configure: Configure
    settings: Any
    patch: pytest.MonkeyPatch
    clock: Clock
    addresses: list[str]
    stack: ExitStack

    def __post_init__(self) -> None:
        self.amber = BrowserUser(self.hydra)

    @property
    def provider(self) -> Provider:
        return self.hydra.provider

    def change(self, **changes: Any) -> None:
        """Change settings of the provider."""
        self.configure(HYDRA={"ADMIN_URL": ADMIN_URL}, **changes)

    def register(self, **changes: Any) -> None:
        """Change the registration at Hydra."""
        register(self.hydra, **changes)

    def end_at_hydra_only(self) -> None:
        """Amber's login ends at Hydra, but not here."""
        self.amber.end_there()
        assert LoginSession.objects.filter(sid=self.amber.login.sid, ended_at=None).exists()

    def providers_clock(self, ahead: float) -> None:
        self.provider.clock = lambda: time.time() + ahead
        date = formatdate(self.provider.clock(), usegmt=True)
        self.hydra.replace(DISCOVERY, json.dumps(self.provider.discovery()).encode(), headers={"Date": date})

    def add_middleware(self, name: str) -> None:
        self.settings.MIDDLEWARE = [*self.settings.MIDDLEWARE, f"tests.doctor.{name}"]

    def notices_are_lost(self) -> None:
        """Notices are lost between Hydra and the site, where the doctor cannot see it."""
        self.patch.setattr(self.hydra.face.backchannel, "deliver_in_background", lambda _deliveries: None)

    def unanswered_logout(self) -> None:
        self.notices_are_lost()
        for act in self.amber.logout:
            act()
        later()


def later() -> None:
    """All events in the log happened two minutes earlier than now."""
    LogoutEvent.objects.update(at=F("at") - timedelta(minutes=2))


@pytest.fixture
def deployment(
    provider: Provider, configure: Configure, settings: Any, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> Iterator[Deployment]:
    addresses = ["203.0.114.5"]
    monkeypatch.setattr(http, "addresses", lambda _host: addresses)
    configure(HYDRA={"ADMIN_URL": ADMIN_URL})
    forget_documents()
    with ExitStack() as stack:
        hydra, proxy = (
            stack.enter_context(connected(HydraNetwork(provider))),
            stack.enter_context(connected(Proxy(SITE_URL))),
        )
        yield Deployment(hydra, proxy, configure, settings, monkeypatch, clock, addresses, stack)


# The proofs


@dataclass(frozen=True)
class Proof:
    """A symptom, the row that finds its cause, a function that causes it, and all rows that then turn red.

    If ``--follow`` finds the cause, the function returns the steps that a user then takes.
    """

    symptom: str
    row: str
    broken: Callable[[Deployment], list[Act] | None]
    red: Red


PROOFS: list[Proof] = []
Break = TypeVar("Break", bound=Callable[[Deployment], Any])


def proof(symptom: str, row: str, red: Red) -> Callable[[Break], Break]:
    """Register the function as the proof of this line of the page."""

    def register(broken: Break) -> Break:
        PROOFS.append(Proof(symptom, row, broken, red))
        return broken

    return register


NOT_INVALIDATED = "The session is not invalidated"


@proof(
    NOT_INVALIDATED,
    "registration.backchannel",
    red={"registration.backchannel": WARN, "registration.address": UNKNOWN, **LOST},
)
def no_back_channel_is_registered(deployment: Deployment) -> None:
    deployment.register(backchannel_logout_uri=None)
    deployment.end_at_hydra_only()


@proof(NOT_INVALIDATED, "receiver.backchannel", red={"receiver.backchannel": FAIL, **LOST})
def a_redirect_loses_the_notice(deployment: Deployment) -> None:
    deployment.proxy.replace(BACKCHANNEL, status=302, headers={"Location": f"{SITE_URL}/sso/"})
    deployment.end_at_hydra_only()


@proof(NOT_INVALIDATED, "receiver.slash", red={"receiver.slash": FAIL, **LOST})
def a_redirect_adds_a_slash(deployment: Deployment) -> None:
    bare = BACKCHANNEL.rstrip("/")
    deployment.register(backchannel_logout_uri=f"{SITE_URL}{bare}")
    deployment.proxy.replace(bare, status=301, headers={"Location": f"{SITE_URL}{BACKCHANNEL}"})
    deployment.end_at_hydra_only()


NOT_REMEMBERED: Red = {"history.logout_request": WARN}


@proof(NOT_INVALIDATED, "history.logout_request", red=NOT_REMEMBERED)
@proof("The other application stays signed in", "history.logout_request", red=NOT_REMEMBERED)
def a_login_is_not_remembered(deployment: Deployment) -> None:
    birch = BrowserUser(deployment.hydra, "birch", remember=False)
    birch.press()
    birch.go()
    assert birch.url.startswith(f"{SITE_URL}/auth/logout/callback/"), "straight back"
    BrowserUser(deployment.hydra, "birch", remember=False)


@proof(NOT_INVALIDATED, "history.known_at_hydra", red=LOST)
def a_subject_is_revoked(deployment: Deployment) -> None:
    deployment.provider.delete_login_sessions("amber")
    assert deployment.amber.site.user


@proof(NOT_INVALIDATED, "history.refused", red={"history.refused": FAIL, **LOST})
def a_notice_is_refused(deployment: Deployment) -> None:
    deployment.change(LOGOUT_TOKEN_EXP_REQUIRED=True)
    deployment.end_at_hydra_only()


UNANSWERED: Red = {"history.notices": WARN}


@proof(NOT_INVALIDATED, "registration.address", red={"registration.address": WARN, **UNANSWERED})
def hydra_does_not_call_private_addresses(deployment: Deployment) -> None:
    deployment.unanswered_logout()
    deployment.addresses[:] = ["10.0.0.7"]


@proof(NOT_INVALIDATED, "history.sid", red={"history.sid": WARN})
def a_session_has_no_sid(deployment: Deployment) -> None:
    LoginSession.objects.update(sid=None, sid_digest=None)


REFUSED = "401 or 400 at logout"


@proof(REFUSED, "receiver.backchannel", red={"receiver.backchannel": FAIL, **LOST})
def a_firewall_requires_authentication(deployment: Deployment) -> None:
    deployment.proxy.replace(BACKCHANNEL, status=401)
    deployment.end_at_hydra_only()


def unauthorized(_get_response: Any) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that requires authentication."""
    return lambda _request: HttpResponse(status=401)


@proof(REFUSED, "receiver.inside", red={**RECEIVERS, **LOST})
def a_middleware_requires_authentication(deployment: Deployment) -> None:
    deployment.add_middleware("test_symptoms.unauthorized")
    deployment.end_at_hydra_only()


@proof(REFUSED, "site.checks", red={"site.checks": FAIL, **RECEIVERS, **LOST})
def the_host_is_not_allowed(deployment: Deployment) -> None:
    deployment.settings.ALLOWED_HOSTS = ["other.example"]
    deployment.end_at_hydra_only()


def at_internal_name(request: Request) -> Answer:
    answer = SiteBrowser().generic(request.method, request.path, request.body, HTTP_HOST="site.internal")
    return Answer(answer.status_code, dict(answer.headers), answer.content)


@proof(REFUSED, "registration.backchannel", red={"registration.backchannel": FAIL, **LOST})
def an_internal_name_is_not_allowed(deployment: Deployment) -> None:
    deployment.register(backchannel_logout_uri=f"{INTERNAL}{BACKCHANNEL}")
    deployment.stack.enter_context(connected(FakeNetwork(Route(INTERNAL, at_internal_name))))
    deployment.end_at_hydra_only()


@proof(
    REFUSED,
    "provider.algorithm",
    red={"provider.algorithm": FAIL, "provider.keys": FAIL, "history.refused": WARN, **LOST},
)
def the_algorithm_differs(deployment: Deployment) -> None:
    deployment.change(ID_TOKEN_SIGNED_RESPONSE_ALG="ES256")
    deployment.end_at_hydra_only()


@proof(REFUSED, "provider.clock", red={"provider.clock": FAIL, "history.refused": FAIL, **LOST})
def the_clocks_differ(deployment: Deployment) -> None:
    deployment.providers_clock(3600)
    deployment.end_at_hydra_only()


CSRF, BALANCER = "CSRF failed", "Works on one server and not behind the balancer"


@proof(CSRF, "receiver.logout", red={"receiver.logout": FAIL})
@proof(BALANCER, "receiver.logout", red={"receiver.logout": FAIL})
def tls_ends_at_a_proxy_that_sends_no_header(deployment: Deployment) -> None:
    deployment.proxy.secure = False


@proof(CSRF, "receiver.inside", red={**RECEIVERS, **LOST})
def a_middleware_checks_the_notice(deployment: Deployment) -> None:
    deployment.add_middleware("checks.test_receiver.csrf_for_all")
    deployment.end_at_hydra_only()


@proof(CSRF, "site.cookies", red={"site.checks": FAIL, "site.cookies": FAIL})
def the_cookie_is_of_another_host(deployment: Deployment) -> None:
    deployment.settings.CSRF_COOKIE_DOMAIN = "www.rp.example"


ONE_TAB = "Logged out in one tab only"


@proof(ONE_TAB, "site.sessions", red={"site.sessions": WARN})
def each_process_keeps_copies(deployment: Deployment) -> None:
    deployment.settings.CACHES = {**deployment.settings.CACHES, "sessions": LOCMEM}
    deployment.settings.SESSION_CACHE_ALIAS = "sessions"
    deployment.settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"


@proof(ONE_TAB, "history.notices", red={"history.notices": WARN})
def the_provider_gives_a_new_sid(deployment: Deployment) -> None:
    """As with prompt=login: the session here has the old sid."""
    deployment.hydra.admin.deliver(deployment.provider.end(deployment.provider.sign_in("amber", "django-site").sid))
    assert deployment.amber.site.user


AGAIN = "Logged in again at once"


@proof(AGAIN, "provider.endpoints", red={"provider.endpoints": WARN, "history.logout_request": UNKNOWN})
def there_is_no_end_session_endpoint(deployment: Deployment) -> None:
    deployment.provider.metadata["end_session_endpoint"] = None


@proof(AGAIN, "provider.discovery", red={"provider.discovery": FAIL, **UNREAD})
def the_provider_is_unreachable(deployment: Deployment) -> None:
    deployment.hydra.down(DISCOVERY)
    forget_documents()
    deployment.amber.press()
    assert deployment.amber.url == "", "the browser is not redirected"
    deployment.hydra.mend()
    forget_documents()
    BrowserUser(deployment.hydra, "birch")
    deployment.hydra.down(DISCOVERY)


@proof(AGAIN, "follow.returned", red={})
def the_question_is_not_answered(deployment: Deployment) -> list[Act]:
    return [deployment.amber.press, deployment.amber.go]


def with_kratos(deployment: Deployment, cookie: str) -> KratosNetwork:
    """Kratos is Hydra's login page. It sets this cookie at the start of each sign-in."""
    deployment.change(KRATOS={"PUBLIC_URL": KRATOS})
    kratos = deployment.stack.enter_context(connect_kratos(Kratos(KRATOS, allowed_return_urls=[SITE_URL]), KRATOS))
    cookie = f"csrf_token_5f1c=value; Path=/; {cookie}"
    kratos.replace(KRATOS_FORM, b"{}", headers={"Content-Type": "application/json", "Set-Cookie": cookie})
    return kratos


@proof(AGAIN, "kratos.public", red={"kratos.public": FAIL, "kratos.return_to": UNKNOWN, "kratos.cookie": UNKNOWN})
def kratos_is_unreachable(deployment: Deployment) -> None:
    kratos = with_kratos(deployment, "Domain=rp.example")
    assert red() == {}
    kratos.mend()
    kratos.down()


@proof(AGAIN, "kratos.cookie", red={"kratos.cookie": FAIL})
def kratos_cookie_does_not_reach_the_site(deployment: Deployment) -> None:
    with_kratos(deployment, "SameSite=Lax")


INVALID_REQUEST = "`invalid_request` at the provider"


@proof(
    INVALID_REQUEST,
    "registration.post_logout_redirect_uri",
    red={"registration.post_logout_redirect_uri": FAIL, "history.logout_request": FAIL},
)
def the_post_logout_redirect_uri_is_not_registered(deployment: Deployment) -> None:
    deployment.register(post_logout_redirect_uris=[f"{SITE_URL}/auth/logout/callback"])
    birch = BrowserUser(deployment.hydra, "birch")
    birch.press()
    birch.go()
    assert "error=invalid_request" in birch.url


@proof(INVALID_REQUEST, "registration.redirect_uri", red={"registration.redirect_uri": FAIL})
def the_redirect_uri_is_not_registered(deployment: Deployment) -> None:
    deployment.register(redirect_uris=[f"{SITE_URL}/auth/callback"])


@proof(INVALID_REQUEST, "provider.clock", red={"provider.clock": FAIL, "history.logout_request": FAIL})
def the_providers_clock_is_behind(deployment: Deployment) -> None:
    deployment.providers_clock(-3600)


OTHER = "The other application stays signed in"


@proof(OTHER, "history.known_at_hydra", red={"history.known_at_hydra": WARN})
def consents_are_revoked_first(deployment: Deployment) -> None:
    deployment.provider.revoke_consents(lambda _consent: True)


@proof(OTHER, "provider.issuer", red={"provider.issuer": FAIL, "history.logout_request": UNKNOWN})
def the_issuer_has_a_slash(deployment: Deployment) -> None:
    birch = BrowserUser(deployment.hydra, "birch")
    deployment.provider.metadata["issuer"] = f"{deployment.provider.issuer}/"
    forget_documents()
    birch.press()
    assert birch.url == "", "the browser is not redirected"


SAFARI = "Works in Firefox and not in Safari"


@proof(SAFARI, "receiver.frontchannel", red={"receiver.frontchannel": ["pass", "warn"]})
def the_frame_depends_on_the_cookie(deployment: Deployment) -> None:
    deployment.change(FRONTCHANNEL_LOGOUT_SESSION_REQUIRED=False)


@proof(SAFARI, "registration.backchannel", red={"registration.backchannel": WARN, "registration.address": UNKNOWN})
def the_front_channel_alone_is_registered(deployment: Deployment) -> None:
    deployment.register(backchannel_logout_uri=None)


@proof(SAFARI, "site.cookies", red={"site.cookies": FAIL})
def a_cookie_for_all_sites_is_not_secure(deployment: Deployment) -> None:
    deployment.settings.SESSION_COOKIE_SAMESITE = "None"


@proof(SAFARI, "site.cookies", red={"site.cookies": WARN})
def a_secure_cookie_is_sent_over_http_on_this_machine(deployment: Deployment) -> None:
    deployment.settings.ORY_LOGOUT = {**deployment.settings.ORY_LOGOUT, "SITE_URL": LOCAL}
    deployment.provider.register(
        Client.of_site(f"{LOCAL}/auth", deployment.settings.CLIENT_ID, deployment.settings.CLIENT_SECRET)
    )
    deployment.stack.enter_context(connected(Proxy(LOCAL)))
    assert red() == {}
    deployment.settings.SESSION_COOKIE_SECURE = True


ROTATED = "Worked until keys were rotated"


@proof(ROTATED, "history.logout_request", red={"history.logout_request": FAIL})
@proof(INVALID_REQUEST, "history.logout_request", red={"history.logout_request": FAIL})
def the_hint_was_signed_with_a_deleted_key(deployment: Deployment) -> None:
    birch = BrowserUser(deployment.hydra, "birch")
    deployment.provider.keys = [new_signing_key()]
    birch.press()
    birch.go()
    assert "error=invalid_request" in birch.url


@proof(ROTATED, "provider.keys", red={"provider.keys": FAIL, "history.refused": [*WARN, *FAIL], **LOST})
def the_new_key_cannot_be_fetched(deployment: Deployment) -> None:
    deployment.provider.keys = [new_signing_key(), *deployment.provider.keys]
    deployment.hydra.down(JWKS)
    deployment.clock.advance(6)  # a JWK Set is not fetched again within six seconds
    deployment.end_at_hydra_only()


def with_another_key(answered: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        with override_settings(SECRET_KEY="another"):
            return answered(request)

    return answer


ANOTHER_KEY: Red = {"receiver.backchannel": FAIL, "receiver.slash": FAIL}


@proof(ROTATED, "receiver.backchannel", red=ANOTHER_KEY)
@proof(BALANCER, "receiver.backchannel", red=ANOTHER_KEY)
def a_process_has_another_secret_key(deployment: Deployment) -> None:
    deployment.patch.setattr(deployment.proxy, "_answered", with_another_key(deployment.proxy._answered))


#: The doctor cannot read sessions that another engine or another process stored.
UNREADABLE: Red = {"history.logout_request": UNKNOWN}


@proof(BALANCER, "site.sessions", red={"site.sessions": WARN, **UNREADABLE})
def each_server_keeps_files(deployment: Deployment) -> None:
    deployment.settings.SESSION_ENGINE = "django.contrib.sessions.backends.file"


@proof(BALANCER, "site.cache", red={"site.cache": WARN, "site.checks": WARN})
def each_process_has_its_own_cache(deployment: Deployment) -> None:
    deployment.settings.CACHES = {"default": LOCMEM}


CACHE = "Works with `db` and not with the cache"


def in_cache(deployment: Deployment) -> None:
    """A shared cache keeps the sessions, also Amber's."""
    deployment.settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    deployment.amber = BrowserUser(deployment.hydra)
    assert red() == {}


@proof(CACHE, "site.sessions", red={"site.sessions": FAIL, **UNREADABLE})
def the_session_cache_belongs_to_one_process(deployment: Deployment) -> None:
    in_cache(deployment)
    deployment.settings.CACHES = {**deployment.settings.CACHES, "sessions": LOCMEM}
    deployment.settings.SESSION_CACHE_ALIAS = "sessions"


@proof(CACHE, "site.cache", red={"site.cache": FAIL, "site.sessions": FAIL, **UNREADABLE})
def the_cache_does_not_answer(deployment: Deployment) -> None:
    in_cache(deployment)
    deployment.settings.CACHES = {"default": DOWN}


@proof(CACHE, "history.receipts", red={"history.receipts": FAIL, "history.refused": FAIL, **UNREADABLE})
def the_cache_did_not_answer(deployment: Deployment) -> None:
    in_cache(deployment)
    deployment.settings.CACHES = {**deployment.settings.CACHES, "sessions": DOWN}
    deployment.settings.SESSION_CACHE_ALIAS = "sessions"
    deployment.amber.end_there()
    deployment.settings.SESSION_CACHE_ALIAS = "default"
    LogoutReceipt.objects.update(received_at=timezone.now() - timedelta(minutes=6))


GREEN = "Everything looks green and nothing happens"


@proof(GREEN, "follow.nothing", red={})
def another_login_ends(deployment: Deployment) -> list[Act]:
    other = deployment.provider.sign_in("amber")
    return [lambda: deployment.hydra.admin.deliver(deployment.provider.end(other.sid))]


@proof(GREEN, "follow.ended", red={"history.notices": WARN})
def a_notice_names_no_session_here(deployment: Deployment) -> list[Act]:
    other = deployment.provider.sign_in("amber", "django-site")
    return [lambda: deployment.hydra.admin.deliver(deployment.provider.end(other.sid))]


@proof(GREEN, "follow.back_channel", red={})
def notices_do_not_arrive(deployment: Deployment) -> list[Act]:
    deployment.notices_are_lost()
    return deployment.amber.logout


@proof(GREEN, "history.notices", red=UNANSWERED)
def notices_did_not_arrive(deployment: Deployment) -> None:
    deployment.unanswered_logout()


# Each proof works, and no line lacks one


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: f"{proof.row}-{proof.broken.__name__}")
def test_the_row_and_only_its_followers_turn_red(deployment: Deployment, proof: Proof) -> None:
    assert red() == {}

    steps = proof.broken(deployment)
    step_that_did_not_come = {Watch(*steps).missing.id} if steps else set()
    turned = red()

    assert turned == proof.red
    assert proof.row in turned.keys() | step_that_did_not_come


def test_a_healthy_deployment_is_green(deployment: Deployment) -> None:
    """After a logout from here and one from there, each row is green, and ``--follow`` misses no step."""
    birch = BrowserUser(deployment.hydra, "birch")
    assert Watch(*birch.logout).outcome.missing is None
    assert Watch(deployment.amber.end_there).outcome.missing is None
    BrowserUser(deployment.hydra, "cedar")
    later()

    found = list(run_checks())

    assert {finding.check for finding in found if finding.verdict != Verdict.PASS} == set()
    assert {finding.check for finding in found} == {name for name in CHECKS if not name.startswith("kratos.")}


def test_each_line_of_the_page_has_its_proof() -> None:
    """Count the lines with the same symptom and row. Lines that no row can detect have no proof."""
    lines = rows(PAGE)
    named = [(symptom, *names(found)) for symptom, _why, found in lines if not found.startswith("No row")]

    assert {symptom for symptom, _why, _found in lines} == {proof.symptom for proof in PROOFS}
    assert Counter(named) == Counter((proof.symptom, proof.row) for proof in PROOFS)
