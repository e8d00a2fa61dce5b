"""The site uses Hydra with Kratos as its login page. One click ends all three sessions, even if one service fails."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import signing
from django.core.cache import cache

from django_ory_logout.flows.logout import SALT
from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.sessions import receipts
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.testing import Client, Kratos, KratosNetwork, Network, Provider, connect
from django_ory_logout.testing.kratos import Identity, Session, login_session, sign_in_by

from ..conftest import SITE, Clock, Logged, SiteBrowser, query_of
from ..views.pages import assert_page
from .conftest import ADMIN_URL, COOKIE, MIDDLEWARE, PUBLIC_URL
from .test_logout import FLOW, LOGOUT, asked

pytestmark = pytest.mark.django_db

HYDRA = "https://op.example"
END_SESSION = f"{HYDRA}/oauth2/sessions/logout"
BACK = "https://rp.example/auth/logout/callback/"


@pytest.fixture
def hydra(kratos: Kratos, signing_key: Any) -> Provider:
    provider = Provider(HYDRA, clock=lambda: time.time())
    provider.keys = [signing_key]
    provider.register(Client.of_site(SITE, "django-site", "a secret"))
    sign_in_by(provider, kratos)
    return provider


@pytest.fixture
def network(hydra: Provider, kratos_network: KratosNetwork) -> Iterator[Network]:
    """Routes requests to ``hydra``. ``kratos_network`` routes those to Kratos."""
    with connect(hydra) as network:
        yield network


@pytest.fixture(autouse=True)
def _settings(settings: Any, _settings: None) -> None:
    """One entry for both. Users sign in at Hydra; Kratos' cookie alone signs nobody in."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != MIDDLEWARE]
    entry = {
        "ISSUER": HYDRA,
        "CLIENT_ID": "django-site",
        "CLIENT_SECRET": "a secret",
        "KRATOS": {"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": ADMIN_URL},
    }
    settings.ORY_LOGOUT = {"SITE_URL": "https://rp.example", "PROVIDERS": {"default": entry}}


@pytest.fixture
def by_cookie(settings: Any) -> None:
    """Kratos' cookie signs in too."""
    place = settings.MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], MIDDLEWARE, *settings.MIDDLEWARE[place:]]


@pytest.fixture
def browser(network: Network, hydra: Provider, kratos: Kratos, session: Session) -> SiteBrowser:
    """A browser that signed in with Hydra, and so also with Kratos. It has Kratos' cookie."""
    browser = SiteBrowser(network)
    browser.sign_in(login_session=login_session(hydra, kratos, session))
    browser.cookies[COOKIE] = session.cookie
    assert browser.user["issuer"] == HYDRA
    return browser


def test_the_login_page_leads_to_hydra(network: Network) -> None:
    assert SiteBrowser(network).start().startswith(f"{HYDRA}/oauth2/auth?")


def test_one_click_ends_all_three_sessions(
    browser: SiteBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    id_token = browser.session[LOGIN_KEY]["id_token"]

    answer = browser.post("/auth/logout/", {"next": "/bye/"})

    assert not LoginSession.objects.exists()
    assert asked(kratos_network) == [("GET", FLOW), ("GET", LOGOUT)]
    assert {call.headers["Cookie"] for call in kratos_network.calls} == {f"{COOKIE}={session.cookie}"}
    assert not session.active
    assert answer.cookies[COOKIE]["max-age"] == "0", "the redirect to Hydra deletes the cookie"
    location = answer["Location"]
    assert location.startswith(f"{END_SESSION}?")
    assert query_of(location)["id_token_hint"] == id_token
    assert query_of(location)["post_logout_redirect_uri"] == BACK
    back = browser.get("/auth/logout/callback/", {"state": query_of(location)["state"]})
    assert back["Location"] == "/bye/"


def test_the_session_here_ends_before_kratos_and_kratos_before_hydra(
    browser: SiteBrowser, kratos_network: KratosNetwork, network: Network, clock: Clock, session: Session
) -> None:
    clock.advance(10 * 24 * 60 * 60)
    session.expires_at += 20 * 24 * 60 * 60
    seen: list[tuple[str, bool, bool]] = []

    def look(document: dict[str, Any], who: str) -> dict[str, Any]:
        seen.append((who, LoginSession.objects.exists(), session.active))
        return document

    kratos_network.change(FLOW, lambda document: look(document, "kratos"))
    network.change("/.well-known/openid-configuration", lambda document: look(document, "hydra"))

    browser.post("/auth/logout/")

    assert seen == [("kratos", False, True), ("hydra", False, False)]


def test_logout_of_an_openid_session_leaves_no_receipt(browser: SiteBrowser) -> None:
    """The provider sends notices. A user who signs in there again may get the same sid."""
    browser.post("/auth/logout/")

    assert not LogoutReceipt.objects.exists()


def test_hydra_ends_its_session_if_kratos_does_not_answer(
    browser: SiteBrowser, kratos_network: KratosNetwork, session: Session, logged: Logged
) -> None:
    kratos_network.down()

    answer = browser.post("/auth/logout/", {"next": "/bye/"})

    assert answer["Location"].startswith(f"{END_SESSION}?id_token_hint=")
    assert COOKIE not in answer.cookies
    assert [line.partition(":")[0] for line in logged()] == ["logout at Kratos failed"]
    back = browser.get("/auth/logout/callback/", {"state": query_of(answer["Location"])["state"]})
    assert_page(back, 200, "You are logged out here")
    assert "could not notify" in back.text
    assert '<a class="button" href="/bye/">' in back.text


def test_a_session_that_did_not_end_at_kratos_signs_nobody_in_here(
    browser: SiteBrowser, by_cookie: None, kratos_network: KratosNetwork, session: Session, clock: Clock
) -> None:
    kratos_network.down()
    browser.post("/auth/logout/")
    kratos_network.mend()
    clock.advance(11)

    assert browser.user is None
    assert session.active


def test_a_state_of_a_version_without_kratos_is_accepted(browser: SiteBrowser) -> None:
    state = signing.dumps({"next": "/bye/", "id": "x"}, salt=SALT)

    assert browser.get("/auth/logout/callback/", {"state": state})["Location"] == "/bye/"


def test_kratos_ends_its_session_if_hydra_does_not_answer(
    browser: SiteBrowser, network: Network, session: Session, clock: Clock, logged: Logged
) -> None:
    cache.clear()
    network.down()

    answer = browser.post("/auth/logout/", {"next": "/bye/"})

    assert_page(answer, 200, "You are logged out here")
    assert "could not notify" in answer.text
    assert not session.active
    assert answer.cookies[COOKIE]["max-age"] == "0"
    assert not LoginSession.objects.exists()
    assert [line.partition(":")[0] for line in logged()] == ["logout at the provider left out"]


def test_a_kratos_cookie_of_another_host_is_not_needed(
    browser: SiteBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    """The site does not receive the cookie. Hydra then ends the session at Kratos together with its own."""
    del browser.cookies[COOKIE]

    answer = browser.post("/auth/logout/", {"next": "/bye/"})

    assert answer["Location"].startswith(f"{END_SESSION}?id_token_hint=")
    assert kratos_network.calls == []
    assert not answer.cookies.get(COOKIE)
    state = query_of(answer["Location"])["state"]
    assert browser.get("/auth/logout/callback/", {"state": state})["Location"] == "/bye/"


def test_the_logout_link_leads_to_hydra_without_a_call(browser: SiteBrowser, kratos_network: KratosNetwork) -> None:
    assert browser.get("/tags/").text.split("|")[2].startswith(f"{END_SESSION}?id_token_hint=")
    assert kratos_network.calls == []


@pytest.mark.parametrize("token", ["kratos' own", "ory_lo_made_up"])
def test_a_session_that_hydra_opened_has_no_logout_link_of_kratos(
    browser: SiteBrowser, kratos_network: KratosNetwork, session: Session, token: str
) -> None:
    token = session.logout_token if token == "kratos' own" else token

    for path in (f"/auth/kratos/logout/?token={token}", "/auth/kratos/logout/browser/"):
        answer = browser.get(path, headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()) == (401, {"error": "session_inactive"})

    assert kratos_network.calls == []
    assert browser.user
    assert session.active


def test_the_session_page_does_not_ask_kratos_about_users_of_hydra(
    browser: SiteBrowser, kratos_network: KratosNetwork
) -> None:
    assert "Other sessions" not in browser.get("/auth/sessions/").text
    assert kratos_network.calls == []


# Sessions that Kratos opened in such an entry


@pytest.fixture
def by_kratos(by_cookie: None, network: Network, session: Session) -> SiteBrowser:
    browser = SiteBrowser(network)
    browser.cookies[COOKIE] = session.cookie
    assert browser.user["issuer"] == PUBLIC_URL
    return browser


def test_the_logout_of_a_session_that_kratos_opened_continues_at_hydra(
    by_kratos: SiteBrowser, session: Session, amber: Identity
) -> None:
    """The user may be signed in at Hydra too. Without a hint, Hydra accepts no parameters and shows its own page."""
    answer = by_kratos.post("/auth/logout/", {"next": "/bye/"})

    assert (answer.status_code, answer["Location"]) == (302, END_SESSION)
    assert answer.cookies[COOKIE]["max-age"] == "0"
    assert not session.active
    assert receipts.is_logged_out(PUBLIC_URL, session.id)


@pytest.mark.parametrize("what", ["hydra", "kratos"])
def test_a_session_that_kratos_opened_ends_if_one_of_both_fails(
    by_kratos: SiteBrowser,
    kratos_network: KratosNetwork,
    network: Network,
    hydra: Provider,
    session: Session,
    what: str,
) -> None:
    broken: Callable[[], None] = {"hydra": network.down, "kratos": kratos_network.down}[what]
    broken()

    answer = by_kratos.post("/auth/logout/")

    assert not LoginSession.objects.exists()
    assert session.active is (what == "kratos")
    if what == "hydra":
        assert_page(answer, 200, "You are logged out here")
        assert "could not notify" in answer.text
    else:
        assert answer["Location"] == END_SESSION


def test_the_logout_skips_a_hydra_without_an_end_session_endpoint(by_kratos: SiteBrowser, hydra: Provider) -> None:
    hydra.metadata["end_session_endpoint"] = None

    assert "could not notify" in by_kratos.post("/auth/logout/").text


def test_the_logout_does_not_call_kratos_of_another_entry(
    browser: SiteBrowser, settings: Any, kratos_network: KratosNetwork, session: Session
) -> None:
    """It is not the login page of the provider that opened the session."""
    both = {**settings.ORY_LOGOUT["PROVIDERS"]["default"]}
    kratos = both.pop("KRATOS")
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"hydra": both, "kratos": {"KRATOS": kratos}}}

    assert browser.post("/auth/logout/")["Location"].startswith(f"{END_SESSION}?id_token_hint=")

    assert kratos_network.calls == []
    assert session.active


def test_a_session_that_kratos_opened_ends_only_at_kratos(
    by_kratos: SiteBrowser, settings: Any, network: Network, session: Session
) -> None:
    """Kratos is alone in its entry, and another entry has a provider."""
    entries = settings.ORY_LOGOUT["PROVIDERS"]
    both = {**entries["default"]}
    kratos = both.pop("KRATOS")
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"hydra": both, "kratos": {"KRATOS": kratos}}}

    answer = by_kratos.post("/auth/logout/")

    assert_page(answer, 200, "You are logged out")
    assert not session.active
