"""What we hold true of a Hydra whose login page is Kratos, a fact a test, against any two that run so.

Hydra's ``urls.login`` is Kratos' ``/self-service/login/browser``, its ``urls.identity_provider`` Kratos' admin API, and
Kratos' ``oauth2_provider`` Hydra's. The docstring is the fact. What needs more says so where it is skipped.
"""

from collections.abc import Callable

import pytest
import requests

from django_ory_logout.ory.hydra import HydraAdmin

from .both import BothBrowser
from .kratos import COOKIE_NAME, Kratos, Native, Person
from .parties import SILENCE_SECONDS, TIMEOUT, Browser, Hydra, NewRelyingParty, RelyingParty, Tokens, query_of

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def _combined(browser: Browser, rp: RelyingParty, kratos: Kratos) -> None:
    """Skips where the two do not know each other."""
    answer = browser.session.get(rp.authorization_url(), allow_redirects=False, timeout=TIMEOUT)
    if not answer.headers["Location"].startswith(f"{kratos.public_url}/self-service/login/browser?"):
        pytest.skip("this Hydra is configured with another login page than this Kratos")


@pytest.fixture
def new_both(hydra: Hydra, kratos: Kratos) -> Callable[[], BothBrowser]:
    return lambda: BothBrowser(hydra, kratos)


@pytest.fixture
def both(new_both: Callable[[], BothBrowser]) -> BothBrowser:
    return new_both()


@pytest.fixture
def remembered(kratos: Kratos, birch: Person) -> None:
    if not kratos.remembers(birch):
        pytest.skip("this Kratos is configured with session.cookie.persistent: false")


@pytest.fixture
def not_remembered(kratos: Kratos, birch: Person) -> None:
    if kratos.remembers(birch):
        pytest.skip("this Kratos is configured without session.cookie.persistent: false")


@pytest.fixture
def tokens(both: BothBrowser, rp: RelyingParty, amber: Person) -> Tokens:
    """Amber has signed in."""
    return both.enter(rp, amber)


@pytest.fixture
def kratos_session_id(both: BothBrowser, tokens: Tokens) -> str:
    return both.kratos_session_id


@pytest.mark.usefixtures("remembered")
class TestSignIn:
    def test_the_subject_is_the_identity_and_the_sid_is_hydras_own(
        self, tokens: Tokens, kratos_session_id: str, amber: Person
    ) -> None:
        assert (tokens.claims["sub"], tokens.claims["amr"]) == (amber.id, ["password"])
        assert tokens.sid != kratos_session_id

    def test_whoever_is_signed_in_at_kratos_alone_is_asked_again(
        self, both: BothBrowser, rp: RelyingParty, amber: Person
    ) -> None:
        """And stays in the same session of Kratos."""
        session_id = both.visitor.sign_in(amber).session_id

        both.enter(rp, amber)

        assert both.kratos_session_id == session_id

    @pytest.mark.usefixtures("tokens")
    def test_a_second_site_asks_nothing(self, both: BothBrowser, tokens: Tokens, new_rp: NewRelyingParty) -> None:
        """The ``sid`` is the same."""
        assert both.pass_through(new_rp()).sid == tokens.sid

    def test_again_with_prompt_it_is_a_new_sid_and_the_same_session_of_kratos(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, kratos_session_id: str, amber: Person
    ) -> None:
        again = both.enter(rp, amber, prompt="login")

        assert again.sid != tokens.sid
        assert both.kratos_session_id == kratos_session_id

    def test_a_page_that_asks_by_ajax_is_told_where_to_go_on(
        self, both: BothBrowser, rp: RelyingParty, amber: Person
    ) -> None:
        """422, with Hydra's URL."""
        page = query_of(both.ask(rp))
        flow = both.visitor.get("/self-service/login/flows", id=page["flow"]).json()

        answer = both.visitor.submit(flow, amber.proof)

        assert answer.status_code == 422
        assert both.agree(rp, both.leave(answer.json()["redirect_browser_to"])).claims["sub"] == amber.id

    def test_an_unknown_challenge_is_refused(self, kratos: Kratos) -> None:
        """400."""
        assert kratos.call("GET", "/self-service/login/browser?login_challenge=x").status_code == 400


@pytest.mark.usefixtures("remembered")
class TestHydrasLogout:
    """It ends the session of Kratos, in the background."""

    def test_by_a_site(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """Kratos' cookie stays in the browser, dead."""
        cookie = both.visitor.cookie

        both.log_out(rp.logout_url(tokens.id_token))

        assert kratos.wait_until_ended(kratos_session_id)
        assert (both.visitor.cookie, both.visitor.whoami().status_code) == (cookie, 401)
        assert [one.claims["sid"] for one in rp.listener.wait()] == [tokens.sid]

    def test_by_a_site_without_any_cookie(
        self,
        new_both: Callable[[], BothBrowser],
        rp: RelyingParty,
        tokens: Tokens,
        kratos: Kratos,
        kratos_session_id: str,
    ) -> None:
        new_both().log_out(rp.logout_url(tokens.id_token))

        assert kratos.wait_until_ended(kratos_session_id)

    def test_by_nobody_but_the_browser(
        self, both: BothBrowser, hydra: Hydra, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """Without a hint."""
        both.log_out(f"{hydra.public_url}/oauth2/sessions/logout")

        assert kratos.wait_until_ended(kratos_session_id)

    def test_by_sid(self, admin: HydraAdmin, tokens: Tokens, kratos: Kratos, kratos_session_id: str) -> None:
        """``DELETE /admin/oauth2/auth/sessions/login?sid=``"""
        admin.revoke_login_session(tokens.sid)

        assert kratos.wait_until_ended(kratos_session_id)

    def test_by_subject_it_does_not(
        self, admin: HydraAdmin, amber: Person, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """Nor does the end of a consent."""
        admin.revoke_login_sessions(amber.id)
        admin.revoke_all_consents(amber.id)

        assert not kratos.wait_until_ended(kratos_session_id, SILENCE_SECONDS)

    def test_of_one_of_two_sids_it_ends_the_session_that_both_have(
        self,
        both: BothBrowser,
        rp: RelyingParty,
        tokens: Tokens,
        amber: Person,
        kratos: Kratos,
        kratos_session_id: str,
        admin: HydraAdmin,
    ) -> None:
        """The other stays at Hydra."""
        again = both.enter(rp, amber, prompt="login")

        admin.revoke_login_session(tokens.sid)

        assert kratos.wait_until_ended(kratos_session_id)
        assert both.login_request(rp).session_id == again.sid

    @pytest.mark.parametrize("path", ["/sessions/{session}", "/identities/{identity}/sessions"])
    def test_works_where_the_session_of_kratos_has_ended_before(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, amber: Person, kratos: Kratos, path: str
    ) -> None:
        """Be it disabled or deleted."""
        kratos.manage("DELETE", path.format(session=both.kratos_session_id, identity=amber.id))

        left = both.log_out(rp.logout_url(tokens.id_token)).headers["Location"]

        assert left.startswith(rp.listener.url)
        assert [one.claims["sid"] for one in rp.listener.wait()] == [tokens.sid]

    def test_leaves_other_sessions_of_kratos_alone(
        self, admin: HydraAdmin, tokens: Tokens, amber: Person, kratos: Kratos, kratos_session_id: str
    ) -> None:
        other = Native(kratos, amber)

        admin.revoke_login_session(tokens.sid)

        assert kratos.wait_until_ended(kratos_session_id)
        assert other.whoami().status_code == 200


@pytest.mark.usefixtures("remembered")
class TestKratosLogout:
    """It tells Hydra nothing."""

    def test_hydra_still_knows_the_browser_and_kratos_asks_all_the_same(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens
    ) -> None:
        """``skip`` is true, and Kratos shows its login page."""
        both.visitor.get("/self-service/logout", token=both.visitor.logout_token())

        request = both.login_request(rp)
        assert (request.skip, request.session_id) == (True, tokens.sid)
        assert "flow" in query_of(both.ask(rp))
        assert rp.listener.silent()

    def test_after_it_a_new_session_of_kratos_outlives_hydras_logout(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, amber: Person, kratos: Kratos
    ) -> None:
        """Hydra's login session goes on under its ``sid``, and still has the session of Kratos that it began with."""
        both.visitor.get("/self-service/logout", token=both.visitor.logout_token())
        again = both.enter(rp, amber)
        later = both.kratos_session_id

        both.log_out(rp.logout_url(again.id_token))

        assert again.sid == tokens.sid
        assert not kratos.wait_until_ended(later, SILENCE_SECONDS)

    def test_after_it_somebody_else_is_asked_twice_and_gets_a_sid_of_their_own(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, birch: Person
    ) -> None:
        """Hydra starts over."""
        both.visitor.get("/self-service/logout", token=both.visitor.logout_token())
        answered = both.visitor.answer_login_page(both.ask(rp), birch)

        second = both.leave(answered.headers["Location"])
        answered = both.visitor.answer_login_page(second, birch)

        other = both.agree(rp, both.leave(answered.headers["Location"]))
        assert (other.claims["sub"], other.sid == tokens.sid) == (birch.id, False)

    def test_with_hydras_logout_as_return_to_both_end_in_one_click(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """Where Hydra's origin is one of Kratos' ``allowed_return_urls``. Both cookies are cleared."""
        flow = both.visitor.get("/self-service/logout/browser", return_to=rp.logout_url(tokens.id_token))
        if flow.status_code == requests.codes.bad_request:
            pytest.skip("this Kratos is configured without Hydra's origin in selfservice.allowed_return_urls")

        left = both.log_out(flow.json()["logout_url"]).headers["Location"]

        assert left.startswith(rp.listener.url)
        assert (kratos.is_active(kratos_session_id), both.login_request(rp).skip) == (False, False)
        assert COOKIE_NAME not in {one.name for one in both.session.cookies}


@pytest.mark.usefixtures("not_remembered")
class TestNotRemembered:
    """``session.cookie.persistent: false``: Hydra remembers no login, and its logout looks like success."""

    def test_a_logout_by_a_site_ends_nothing(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """It goes straight back, and tells nobody."""
        left = both.leave(rp.logout_url(tokens.id_token))

        assert left.startswith(rp.listener.url)
        assert rp.listener.silent()
        assert kratos.is_active(kratos_session_id)

    def test_nor_does_a_revocation_by_sid(
        self, admin: HydraAdmin, rp: RelyingParty, tokens: Tokens, kratos: Kratos, kratos_session_id: str
    ) -> None:
        admin.revoke_login_session(tokens.sid)

        assert rp.listener.silent()
        assert kratos.is_active(kratos_session_id)

    def test_the_next_site_asks_again(self, both: BothBrowser, tokens: Tokens, new_rp: NewRelyingParty) -> None:
        request = both.login_request(new_rp())

        assert (request.skip, request.session_id == tokens.sid) == (False, False)
