"""Each line of ``docs/how-to/logout-does-nothing.md``, proved: what it names is broken, and the row it names turns red.

Of every other row nothing but what follows from that may turn.
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
from .conftest import DISCOVERY, Proxy
from .people import Act, Person, Watch, register
from .world import ADMIN_URL, SITE_URL, World, forget_documents

pytestmark = pytest.mark.django_db

PAGE = DOCS / "how-to" / "logout-does-nothing.md"
BACKCHANNEL, JWKS = "/auth/logout/backchannel/", "/.well-known/jwks.json"
KRATOS, KRATOS_FORM = "https://login.rp.example", "/self-service/login/browser"
INTERNAL, LOCAL = "http://site.internal", "http://localhost:8000"
LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "of this process"}
DOWN = {"BACKEND": "tests.caches.DownCache"}

Red = dict[str, list[str]]
FAIL, WARN, UNKNOWN = ["fail"], ["warn"], ["unknown"]
#: Hydra's login is gone, and the session here lives: what follows wherever a notice was lost.
LOST: Red = {"history.logout_request": FAIL, "history.known_at_hydra": FAIL}
#: What a middleware or a refused host keeps from being answered.
RECEIVERS: Red = dict.fromkeys(
    ["receiver.inside", "receiver.backchannel", "receiver.slash", "receiver.logout", "receiver.frontchannel"], FAIL
)
UNREAD: Red = {
    f"provider.{name}": UNKNOWN for name in ("issuer", "endpoints", "algorithm", "keys", "clock", "logout")
} | {"history.logout_request": UNKNOWN}


def red() -> Red:
    """All that is not green, of all there is."""
    found: Red = {}
    for one in run_checks():
        found.setdefault(one.check, []).append(str(one.verdict))
    return {check: verdicts for check, verdicts in found.items() if set(verdicts) != {Verdict.PASS}}


@dataclass
class Stage:
    """A site behind a proxy, at a Hydra; amber is signed in."""

    world: World
    proxy: Proxy
    configure: Configure
    settings: Any
    patch: pytest.MonkeyPatch
    clock: Clock
    addresses: list[str]
    stack: ExitStack

    def __post_init__(self) -> None:
        self.amber = Person(self.world)

    @property
    def provider(self) -> Provider:
        return self.world.provider

    def change(self, **changes: Any) -> None:
        """Settings of the provider."""
        self.configure(HYDRA={"ADMIN_URL": ADMIN_URL}, **changes)

    def register(self, **changes: Any) -> None:
        """At Hydra."""
        register(self.world, **changes)

    def survives(self) -> None:
        """Amber's login ends at Hydra, and not here."""
        self.amber.end_there()
        assert LoginSession.objects.filter(sid=self.amber.login.sid, ended_at=None).exists()

    def providers_clock(self, ahead: float) -> None:
        self.provider.clock = lambda: time.time() + ahead
        date = formatdate(self.provider.clock(), usegmt=True)
        self.world.replace(DISCOVERY, json.dumps(self.provider.discovery()).encode(), headers={"Date": date})

    def wrapped(self, name: str) -> None:
        self.settings.MIDDLEWARE = [*self.settings.MIDDLEWARE, f"tests.doctor.{name}"]

    def notices_are_lost(self) -> None:
        """Between Hydra and the site, where the doctor does not look."""
        self.patch.setattr(self.world.face.backchannel, "deliver_in_background", lambda _deliveries: None)

    def unanswered_logout(self) -> None:
        self.notices_are_lost()
        for act in self.amber.logout:
            act()
        later()


def later() -> None:
    """Two minutes pass since all that is in the log."""
    LogoutEvent.objects.update(at=F("at") - timedelta(minutes=2))


@pytest.fixture
def stage(
    provider: Provider, configure: Configure, settings: Any, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> Iterator[Stage]:
    addresses = ["203.0.114.5"]
    monkeypatch.setattr(http, "addresses", lambda _host: addresses)
    configure(HYDRA={"ADMIN_URL": ADMIN_URL})
    forget_documents()
    with ExitStack() as stack:
        world, proxy = stack.enter_context(connected(World(provider))), stack.enter_context(connected(Proxy(SITE_URL)))
        yield Stage(world, proxy, configure, settings, monkeypatch, clock, addresses, stack)


# The proofs


@dataclass(frozen=True)
class Proof:
    """A symptom, the row that finds it, how to break what it names, and all that turns red then.

    What breaks it gives the steps that somebody then takes, where it is ``--follow`` that finds it.
    """

    symptom: str
    row: str
    broken: Callable[[Stage], list[Act] | None]
    red: Red


PROOFS: list[Proof] = []
Break = TypeVar("Break", bound=Callable[[Stage], Any])


def proof(symptom: str, row: str, red: Red) -> Callable[[Break], Break]:
    """Make a function that breaks something a proof of this line of the page."""

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
def no_back_channel_is_registered(stage: Stage) -> None:
    stage.register(backchannel_logout_uri=None)
    stage.survives()


@proof(NOT_INVALIDATED, "receiver.backchannel", red={"receiver.backchannel": FAIL, **LOST})
def a_redirect_loses_the_notice(stage: Stage) -> None:
    stage.proxy.replace(BACKCHANNEL, status=302, headers={"Location": f"{SITE_URL}/sso/"})
    stage.survives()


@proof(NOT_INVALIDATED, "receiver.slash", red={"receiver.slash": FAIL, **LOST})
def a_redirect_adds_a_slash(stage: Stage) -> None:
    bare = BACKCHANNEL.rstrip("/")
    stage.register(backchannel_logout_uri=f"{SITE_URL}{bare}")
    stage.proxy.replace(bare, status=301, headers={"Location": f"{SITE_URL}{BACKCHANNEL}"})
    stage.survives()


NOT_REMEMBERED: Red = {"history.logout_request": WARN}


@proof(NOT_INVALIDATED, "history.logout_request", red=NOT_REMEMBERED)
@proof("The other application stays signed in", "history.logout_request", red=NOT_REMEMBERED)
def a_login_is_not_remembered(stage: Stage) -> None:
    birch = Person(stage.world, "birch", remember=False)
    birch.press()
    birch.go()
    assert birch.url.startswith(f"{SITE_URL}/auth/logout/callback/"), "straight back"
    Person(stage.world, "birch", remember=False)


@proof(NOT_INVALIDATED, "history.known_at_hydra", red=LOST)
def a_subject_is_revoked(stage: Stage) -> None:
    stage.provider.delete_login_sessions("amber")
    assert stage.amber.site.user


@proof(NOT_INVALIDATED, "history.refused", red={"history.refused": FAIL, **LOST})
def a_notice_is_refused(stage: Stage) -> None:
    stage.change(LOGOUT_TOKEN_EXP_REQUIRED=True)
    stage.survives()


UNANSWERED: Red = {"history.notices": WARN}


@proof(NOT_INVALIDATED, "registration.address", red={"registration.address": WARN, **UNANSWERED})
def hydra_calls_no_private_address(stage: Stage) -> None:
    stage.unanswered_logout()
    stage.addresses[:] = ["10.0.0.7"]


@proof(NOT_INVALIDATED, "history.sid", red={"history.sid": WARN})
def a_session_has_no_sid(stage: Stage) -> None:
    LoginSession.objects.update(sid=None, sid_digest=None)


REFUSED = "401 or 400 at logout"


@proof(REFUSED, "receiver.backchannel", red={"receiver.backchannel": FAIL, **LOST})
def a_firewall_asks_who_it_is(stage: Stage) -> None:
    stage.proxy.replace(BACKCHANNEL, status=401)
    stage.survives()


def unauthorized(_get_response: Any) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that wants to know who it is."""
    return lambda _request: HttpResponse(status=401)


@proof(REFUSED, "receiver.inside", red={**RECEIVERS, **LOST})
def a_middleware_asks_who_it_is(stage: Stage) -> None:
    stage.wrapped("test_symptoms.unauthorized")
    stage.survives()


@proof(REFUSED, "site.checks", red={"site.checks": FAIL, **RECEIVERS, **LOST})
def the_host_is_not_allowed(stage: Stage) -> None:
    stage.settings.ALLOWED_HOSTS = ["other.example"]
    stage.survives()


def at_internal_name(request: Request) -> Answer:
    answer = SiteBrowser().generic(request.method, request.path, request.body, HTTP_HOST="site.internal")
    return Answer(answer.status_code, dict(answer.headers), answer.content)


@proof(REFUSED, "registration.backchannel", red={"registration.backchannel": FAIL, **LOST})
def an_internal_name_is_not_allowed(stage: Stage) -> None:
    stage.register(backchannel_logout_uri=f"{INTERNAL}{BACKCHANNEL}")
    stage.stack.enter_context(connected(FakeNetwork(Route(INTERNAL, at_internal_name))))
    stage.survives()


@proof(
    REFUSED,
    "provider.algorithm",
    red={"provider.algorithm": FAIL, "provider.keys": FAIL, "history.refused": WARN, **LOST},
)
def the_algorithm_differs(stage: Stage) -> None:
    stage.change(ID_TOKEN_SIGNED_RESPONSE_ALG="ES256")
    stage.survives()


@proof(REFUSED, "provider.clock", red={"provider.clock": FAIL, "history.refused": FAIL, **LOST})
def the_clocks_differ(stage: Stage) -> None:
    stage.providers_clock(3600)
    stage.survives()


CSRF, BALANCER = "CSRF failed", "Works on one server and not behind the balancer"


@proof(CSRF, "receiver.logout", red={"receiver.logout": FAIL})
@proof(BALANCER, "receiver.logout", red={"receiver.logout": FAIL})
def tls_ends_at_a_proxy_that_does_not_say_so(stage: Stage) -> None:
    stage.proxy.secure = False


@proof(CSRF, "receiver.inside", red={**RECEIVERS, **LOST})
def a_middleware_checks_the_notice(stage: Stage) -> None:
    stage.wrapped("checks.test_receiver.csrf_for_all")
    stage.survives()


@proof(CSRF, "site.cookies", red={"site.cookies": FAIL})
def the_cookie_is_of_another_host(stage: Stage) -> None:
    stage.settings.CSRF_COOKIE_DOMAIN = "www.rp.example"


ONE_TAB = "Logged out in one tab only"


@proof(ONE_TAB, "site.sessions", red={"site.sessions": WARN})
def each_process_keeps_copies(stage: Stage) -> None:
    stage.settings.CACHES = {**stage.settings.CACHES, "sessions": LOCMEM}
    stage.settings.SESSION_CACHE_ALIAS = "sessions"
    stage.settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"


@proof(ONE_TAB, "history.notices", red={"history.notices": WARN})
def the_provider_gives_a_new_sid(stage: Stage) -> None:
    """As with prompt=login: here lives what was opened with the old one."""
    stage.world.admin.deliver(stage.provider.end(stage.provider.sign_in("amber", "django-site").sid))
    assert stage.amber.site.user


AGAIN = "Logged in again at once"


@proof(AGAIN, "provider.endpoints", red={"provider.endpoints": WARN, "history.logout_request": UNKNOWN})
def there_is_no_end_session_endpoint(stage: Stage) -> None:
    stage.provider.metadata["end_session_endpoint"] = None


@proof(AGAIN, "provider.discovery", red={"provider.discovery": FAIL, **UNREAD})
def the_provider_is_out_of_reach(stage: Stage) -> None:
    stage.world.down(DISCOVERY)
    forget_documents()
    stage.amber.press()
    assert stage.amber.url == "", "it is sent nowhere"
    stage.world.mend()
    forget_documents()
    Person(stage.world, "birch")
    stage.world.down(DISCOVERY)


@proof(AGAIN, "follow.returned", red={})
def the_question_is_not_answered(stage: Stage) -> list[Act]:
    return [stage.amber.press, stage.amber.go]


def with_kratos(stage: Stage, cookie: str) -> KratosNetwork:
    """Kratos is Hydra's login page, and begins each sign-in with that cookie."""
    stage.change(KRATOS={"PUBLIC_URL": KRATOS})
    kratos = stage.stack.enter_context(connect_kratos(Kratos(KRATOS, allowed_return_urls=[SITE_URL]), KRATOS))
    cookie = f"csrf_token_5f1c=value; Path=/; {cookie}"
    kratos.replace(KRATOS_FORM, b"{}", headers={"Content-Type": "application/json", "Set-Cookie": cookie})
    return kratos


@proof(AGAIN, "kratos.public", red={"kratos.public": FAIL, "kratos.return_to": UNKNOWN, "kratos.cookie": UNKNOWN})
def kratos_is_out_of_reach(stage: Stage) -> None:
    kratos = with_kratos(stage, "Domain=rp.example")
    assert red() == {}
    kratos.mend()
    kratos.down()


@proof(AGAIN, "kratos.cookie", red={"kratos.cookie": FAIL})
def kratos_cookie_does_not_reach_the_site(stage: Stage) -> None:
    with_kratos(stage, "SameSite=Lax")


INVALID_REQUEST = "`invalid_request` at the provider"


@proof(
    INVALID_REQUEST,
    "registration.post_logout_redirect_uri",
    red={"registration.post_logout_redirect_uri": FAIL, "history.logout_request": FAIL},
)
def the_way_back_from_a_logout_is_not_registered(stage: Stage) -> None:
    stage.register(post_logout_redirect_uris=[f"{SITE_URL}/auth/logout/callback"])
    birch = Person(stage.world, "birch")
    birch.press()
    birch.go()
    assert "error=invalid_request" in birch.url


@proof(INVALID_REQUEST, "registration.redirect_uri", red={"registration.redirect_uri": FAIL})
def the_way_back_from_a_sign_in_is_not_registered(stage: Stage) -> None:
    stage.register(redirect_uris=[f"{SITE_URL}/auth/callback"])


@proof(INVALID_REQUEST, "provider.clock", red={"provider.clock": FAIL, "history.logout_request": FAIL})
def the_providers_clock_is_behind(stage: Stage) -> None:
    stage.providers_clock(-3600)


OTHER = "The other application stays signed in"


@proof(OTHER, "history.known_at_hydra", red={"history.known_at_hydra": WARN})
def consents_are_revoked_first(stage: Stage) -> None:
    stage.provider.revoke_consents(lambda _consent: True)


@proof(OTHER, "provider.issuer", red={"provider.issuer": FAIL, "history.logout_request": UNKNOWN})
def the_issuer_has_a_slash(stage: Stage) -> None:
    birch = Person(stage.world, "birch")
    stage.provider.metadata["issuer"] = f"{stage.provider.issuer}/"
    forget_documents()
    birch.press()
    assert birch.url == "", "it is sent nowhere"


SAFARI = "Works in Firefox and not in Safari"


@proof(SAFARI, "receiver.frontchannel", red={"receiver.frontchannel": ["pass", "warn"]})
def the_frame_goes_by_the_cookie(stage: Stage) -> None:
    stage.change(FRONTCHANNEL_LOGOUT_SESSION_REQUIRED=False)


@proof(SAFARI, "registration.backchannel", red={"registration.backchannel": WARN, "registration.address": UNKNOWN})
def the_front_channel_alone_is_registered(stage: Stage) -> None:
    stage.register(backchannel_logout_uri=None)


@proof(SAFARI, "site.cookies", red={"site.cookies": FAIL})
def a_cookie_for_all_sites_is_not_secure(stage: Stage) -> None:
    stage.settings.SESSION_COOKIE_SAMESITE = "None"


@proof(SAFARI, "site.cookies", red={"site.cookies": WARN})
def a_secure_cookie_is_sent_over_http_on_this_machine(stage: Stage) -> None:
    stage.settings.ORY_LOGOUT = {**stage.settings.ORY_LOGOUT, "SITE_URL": LOCAL}
    stage.provider.register(Client.of_site(f"{LOCAL}/auth", stage.settings.CLIENT_ID, stage.settings.CLIENT_SECRET))
    stage.stack.enter_context(connected(Proxy(LOCAL)))
    assert red() == {}
    stage.settings.SESSION_COOKIE_SECURE = True


ROTATED = "Worked until keys were rotated"


@proof(ROTATED, "history.logout_request", red={"history.logout_request": FAIL})
@proof(INVALID_REQUEST, "history.logout_request", red={"history.logout_request": FAIL})
def the_hint_was_signed_with_a_key_that_is_gone(stage: Stage) -> None:
    birch = Person(stage.world, "birch")
    stage.provider.keys = [new_signing_key()]
    birch.press()
    birch.go()
    assert "error=invalid_request" in birch.url


@proof(ROTATED, "provider.keys", red={"provider.keys": FAIL, "history.refused": [*WARN, *FAIL], **LOST})
def the_new_key_cannot_be_fetched(stage: Stage) -> None:
    stage.provider.keys = [new_signing_key(), *stage.provider.keys]
    stage.world.down(JWKS)
    stage.clock.advance(6)  # for so long, a JWK Set just fetched is not fetched again
    stage.survives()


def with_another_key(answered: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        with override_settings(SECRET_KEY="another"):
            return answered(request)

    return answer


ANOTHER_KEY: Red = {"receiver.backchannel": FAIL, "receiver.slash": FAIL}


@proof(ROTATED, "receiver.backchannel", red=ANOTHER_KEY)
@proof(BALANCER, "receiver.backchannel", red=ANOTHER_KEY)
def a_process_has_another_secret_key(stage: Stage) -> None:
    stage.patch.setattr(stage.proxy, "_answered", with_another_key(stage.proxy._answered))


#: The doctor cannot read what another engine, or another process, has stored.
UNREADABLE: Red = {"history.logout_request": UNKNOWN}


@proof(BALANCER, "site.sessions", red={"site.sessions": WARN, **UNREADABLE})
def each_server_keeps_files(stage: Stage) -> None:
    stage.settings.SESSION_ENGINE = "django.contrib.sessions.backends.file"


@proof(BALANCER, "site.cache", red={"site.cache": WARN, "site.checks": WARN})
def each_process_has_a_cache(stage: Stage) -> None:
    stage.settings.CACHES = {"default": LOCMEM}


CACHE = "Works with `db` and not with the cache"


def in_cache(stage: Stage) -> None:
    """Sessions live in a cache that all share, and amber's with them."""
    stage.settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    stage.amber = Person(stage.world)
    assert red() == {}


@proof(CACHE, "site.sessions", red={"site.sessions": FAIL, **UNREADABLE})
def the_cache_of_sessions_is_of_one_process(stage: Stage) -> None:
    in_cache(stage)
    stage.settings.CACHES = {**stage.settings.CACHES, "sessions": LOCMEM}
    stage.settings.SESSION_CACHE_ALIAS = "sessions"


@proof(CACHE, "site.cache", red={"site.cache": FAIL, "site.sessions": FAIL, **UNREADABLE})
def the_cache_does_not_answer(stage: Stage) -> None:
    in_cache(stage)
    stage.settings.CACHES = {"default": DOWN}


@proof(CACHE, "history.receipts", red={"history.receipts": FAIL, "history.refused": FAIL, **UNREADABLE})
def the_cache_did_not_answer(stage: Stage) -> None:
    in_cache(stage)
    stage.settings.CACHES = {**stage.settings.CACHES, "sessions": DOWN}
    stage.settings.SESSION_CACHE_ALIAS = "sessions"
    stage.amber.end_there()
    stage.settings.SESSION_CACHE_ALIAS = "default"
    LogoutReceipt.objects.update(received_at=timezone.now() - timedelta(minutes=6))


GREEN = "Everything looks green and nothing happens"


@proof(GREEN, "follow.nothing", red={})
def another_login_ends(stage: Stage) -> list[Act]:
    other = stage.provider.sign_in("amber")
    return [lambda: stage.world.admin.deliver(stage.provider.end(other.sid))]


@proof(GREEN, "follow.ended", red={"history.notices": WARN})
def a_notice_names_no_session_here(stage: Stage) -> list[Act]:
    other = stage.provider.sign_in("amber", "django-site")
    return [lambda: stage.world.admin.deliver(stage.provider.end(other.sid))]


@proof(GREEN, "follow.back_channel", red={})
def notices_do_not_arrive(stage: Stage) -> list[Act]:
    stage.notices_are_lost()
    return stage.amber.logout


@proof(GREEN, "history.notices", red=UNANSWERED)
def notices_did_not_arrive(stage: Stage) -> None:
    stage.unanswered_logout()


# They are true, and whole


@pytest.mark.parametrize("one", PROOFS, ids=lambda one: f"{one.row}-{one.broken.__name__}")
def test_the_row_turns_and_only_what_follows(stage: Stage, one: Proof) -> None:
    assert red() == {}

    steps = one.broken(stage)
    step_that_did_not_come = {Watch(*steps).missing.id} if steps else set()
    turned = red()

    assert turned == one.red
    assert one.row in turned.keys() | step_that_did_not_come


def test_healthy(stage: Stage) -> None:
    """After a logout from here and one from there: each row is there and green, and ``--follow`` misses nothing."""
    birch = Person(stage.world, "birch")
    assert Watch(*birch.logout).outcome.missing is None
    assert Watch(stage.amber.end_there).outcome.missing is None
    Person(stage.world, "cedar")
    later()

    found = list(run_checks())

    assert {one.check for one in found if one.verdict != Verdict.PASS} == set()
    assert {one.check for one in found} == {one for one in CHECKS if not one.startswith("kratos.")}


def test_each_line_of_the_page_has_its_proof() -> None:
    """As many as it has of the same symptom and row; what no row can see has none."""
    lines = rows(PAGE)
    named = [(symptom, *names(found)) for symptom, _why, found in lines if not found.startswith("No row")]

    assert {symptom for symptom, _why, _found in lines} == {one.symptom for one in PROOFS}
    assert Counter(named) == Counter((one.symptom, one.row) for one in PROOFS)
