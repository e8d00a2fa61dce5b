"""Facts about a Hydra with Kratos as its login page, one fact for each test. They run against any such pair.

Hydra's ``urls.login`` is Kratos' ``/self-service/login/browser``, its ``urls.identity_provider`` is Kratos' admin API,
and Kratos' ``oauth2_provider`` is Hydra. The docstring is the fact. A test that needs more skips with a reason.
"""

from collections.abc import Callable

import pytest
import requests

from django_ory_logout.ory.hydra import HydraAdmin

from .both import BothBrowser
from .kratos import COOKIE_NAME, Kratos, Native, User
from .parties import SILENCE_SECONDS, TIMEOUT, Browser, Hydra, NewRelyingParty, RelyingParty, Tokens, query_of

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def _combined(browser: Browser, rp: RelyingParty, kratos: Kratos) -> None:
    """Skip if the two are not configured for each other."""
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
def remembered(kratos: Kratos, birch: User) -> None:
    if not kratos.remembers(birch):
        pytest.skip("this Kratos is configured with session.cookie.persistent: false")


@pytest.fixture
def not_remembered(kratos: Kratos, birch: User) -> None:
    if kratos.remembers(birch):
        pytest.skip("this Kratos is configured without session.cookie.persistent: false")


@pytest.fixture
def tokens(both: BothBrowser, rp: RelyingParty, amber: User) -> Tokens:
    """Amber has signed in."""
    return both.enter(rp, amber)


@pytest.fixture
def kratos_session_id(both: BothBrowser, tokens: Tokens) -> str:
    return both.kratos_session_id


@pytest.mark.usefixtures("remembered")
class TestSignIn:
    def test_the_subject_is_the_identity_and_hydra_chooses_the_sid(
        self, tokens: Tokens, kratos_session_id: str, amber: User
    ) -> None:
        assert (tokens.claims["sub"], tokens.claims["amr"]) == (amber.id, ["password"])
        assert tokens.sid != kratos_session_id

    def test_a_user_signed_in_only_at_kratos_must_sign_in_again(
        self, both: BothBrowser, rp: RelyingParty, amber: User
    ) -> None:
        """The session at Kratos stays the same."""
        session_id = both.kratos_browser.sign_in(amber).session_id

        both.enter(rp, amber)

        assert both.kratos_session_id == session_id

    @pytest.mark.usefixtures("tokens")
    def test_a_second_site_shows_no_form(self, both: BothBrowser, tokens: Tokens, new_rp: NewRelyingParty) -> None:
        """The ``sid`` is the same."""
        assert both.pass_through(new_rp()).sid == tokens.sid

    def test_a_new_prompt_gives_a_new_sid_and_the_same_session_at_kratos(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, kratos_session_id: str, amber: User
    ) -> None:
        again = both.enter(rp, amber, prompt="login")

        assert again.sid != tokens.sid
        assert both.kratos_session_id == kratos_session_id

    def test_an_ajax_page_gets_the_next_url(self, both: BothBrowser, rp: RelyingParty, amber: User) -> None:
        """422, with Hydra's URL."""
        page = query_of(both.ask(rp))
        flow = both.kratos_browser.get("/self-service/login/flows", id=page["flow"]).json()

        answer = both.kratos_browser.submit(flow, amber.proof)

        assert answer.status_code == 422
        assert both.agree(rp, both.leave(answer.json()["redirect_browser_to"])).claims["sub"] == amber.id

    def test_an_unknown_challenge_is_refused(self, kratos: Kratos) -> None:
        """400."""
        assert kratos.call("GET", "/self-service/login/browser?login_challenge=x").status_code == 400


@pytest.mark.usefixtures("remembered")
class TestHydrasLogout:
    """Hydra ends the session of Kratos, in the background."""

    def test_a_logout_by_a_site_ends_it(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """Kratos' cookie stays in the browser, but its session has ended."""
        cookie = both.kratos_browser.cookie

        both.log_out(rp.logout_url(tokens.id_token))

        assert kratos.wait_until_ended(kratos_session_id)
        assert (both.kratos_browser.cookie, both.kratos_browser.whoami().status_code) == (cookie, 401)
        assert [call.claims["sid"] for call in rp.listener.wait()] == [tokens.sid]

    def test_a_logout_by_a_site_without_any_cookie_ends_it(
        self,
        new_both: Callable[[], BothBrowser],
        rp: RelyingParty,
        tokens: Tokens,
        kratos: Kratos,
        kratos_session_id: str,
    ) -> None:
        new_both().log_out(rp.logout_url(tokens.id_token))

        assert kratos.wait_until_ended(kratos_session_id)

    def test_a_logout_by_the_browser_alone_ends_it(
        self, both: BothBrowser, hydra: Hydra, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """Without a hint."""
        both.log_out(f"{hydra.public_url}/oauth2/sessions/logout")

        assert kratos.wait_until_ended(kratos_session_id)

    def test_an_end_by_sid_ends_it(
        self, admin: HydraAdmin, tokens: Tokens, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """``DELETE /admin/oauth2/auth/sessions/login?sid=``"""
        admin.revoke_login_session(tokens.sid)

        assert kratos.wait_until_ended(kratos_session_id)

    def test_an_end_by_subject_does_not_end_it(
        self, admin: HydraAdmin, amber: User, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """The end of a consent does not end it either."""
        admin.revoke_login_sessions(amber.id)
        admin.revoke_all_consents(amber.id)

        assert not kratos.wait_until_ended(kratos_session_id, SILENCE_SECONDS)

    def test_the_end_of_one_of_two_sids_ends_their_common_session(
        self,
        both: BothBrowser,
        rp: RelyingParty,
        tokens: Tokens,
        amber: User,
        kratos: Kratos,
        kratos_session_id: str,
        admin: HydraAdmin,
    ) -> None:
        """The other login session stays at Hydra."""
        again = both.enter(rp, amber, prompt="login")

        admin.revoke_login_session(tokens.sid)

        assert kratos.wait_until_ended(kratos_session_id)
        assert both.login_request(rp).session_id == again.sid

    @pytest.mark.parametrize("path", ["/sessions/{session}", "/identities/{identity}/sessions"])
    def test_a_logout_works_if_the_session_of_kratos_has_ended_already(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, amber: User, kratos: Kratos, path: str
    ) -> None:
        """It may be disabled or deleted."""
        kratos.manage("DELETE", path.format(session=both.kratos_session_id, identity=amber.id))

        left = both.log_out(rp.logout_url(tokens.id_token)).headers["Location"]

        assert left.startswith(rp.listener.url)
        assert [call.claims["sid"] for call in rp.listener.wait()] == [tokens.sid]

    def test_a_logout_keeps_other_sessions_of_kratos(
        self, admin: HydraAdmin, tokens: Tokens, amber: User, kratos: Kratos, kratos_session_id: str
    ) -> None:
        other = Native(kratos, amber)

        admin.revoke_login_session(tokens.sid)

        assert kratos.wait_until_ended(kratos_session_id)
        assert other.whoami().status_code == 200


@pytest.mark.usefixtures("remembered")
class TestKratosLogout:
    """Kratos does not call Hydra."""

    def test_hydra_still_remembers_the_browser_and_kratos_shows_its_form(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens
    ) -> None:
        """``skip`` is true, and Kratos shows its login page."""
        both.kratos_browser.get("/self-service/logout", token=both.kratos_browser.logout_token())

        request = both.login_request(rp)
        assert (request.skip, request.session_id) == (True, tokens.sid)
        assert "flow" in query_of(both.ask(rp))
        assert rp.listener.silent()

    def test_a_later_session_of_kratos_survives_hydras_logout(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, amber: User, kratos: Kratos
    ) -> None:
        """Hydra's login session keeps its ``sid``, and still has the session of Kratos with which it started."""
        both.kratos_browser.get("/self-service/logout", token=both.kratos_browser.logout_token())
        again = both.enter(rp, amber)
        later = both.kratos_session_id

        both.log_out(rp.logout_url(again.id_token))

        assert again.sid == tokens.sid
        assert not kratos.wait_until_ended(later, SILENCE_SECONDS)

    def test_another_user_must_sign_in_twice_and_gets_a_new_sid(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, birch: User
    ) -> None:
        """Hydra starts again."""
        both.kratos_browser.get("/self-service/logout", token=both.kratos_browser.logout_token())
        answered = both.kratos_browser.answer_login_page(both.ask(rp), birch)

        second = both.leave(answered.headers["Location"])
        answered = both.kratos_browser.answer_login_page(second, birch)

        other = both.agree(rp, both.leave(answered.headers["Location"]))
        assert (other.claims["sub"], other.sid == tokens.sid) == (birch.id, False)

    def test_kratos_logout_that_returns_to_hydras_logout_ends_both_in_one_click(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """It works if Hydra's origin is one of Kratos' ``allowed_return_urls``. Both cookies are deleted."""
        flow = both.kratos_browser.get("/self-service/logout/browser", return_to=rp.logout_url(tokens.id_token))
        if flow.status_code == requests.codes.bad_request:
            pytest.skip("this Kratos is configured without Hydra's origin in selfservice.allowed_return_urls")

        left = both.log_out(flow.json()["logout_url"]).headers["Location"]

        assert left.startswith(rp.listener.url)
        assert (kratos.is_active(kratos_session_id), both.login_request(rp).skip) == (False, False)
        assert COOKIE_NAME not in {cookie.name for cookie in both.session.cookies}


@pytest.mark.usefixtures("not_remembered")
class TestNotRemembered:
    """``session.cookie.persistent: false``: Hydra remembers no login, and its logout looks like a success."""

    def test_a_logout_by_a_site_ends_nothing(
        self, both: BothBrowser, rp: RelyingParty, tokens: Tokens, kratos: Kratos, kratos_session_id: str
    ) -> None:
        """Hydra redirects to the site at once and sends no notice."""
        left = both.leave(rp.logout_url(tokens.id_token))

        assert left.startswith(rp.listener.url)
        assert rp.listener.silent()
        assert kratos.is_active(kratos_session_id)

    def test_an_end_by_sid_ends_nothing(
        self, admin: HydraAdmin, rp: RelyingParty, tokens: Tokens, kratos: Kratos, kratos_session_id: str
    ) -> None:
        admin.revoke_login_session(tokens.sid)

        assert rp.listener.silent()
        assert kratos.is_active(kratos_session_id)

    def test_the_next_site_shows_the_form_again(
        self, both: BothBrowser, tokens: Tokens, new_rp: NewRelyingParty
    ) -> None:
        request = both.login_request(new_rp())

        assert (request.skip, request.session_id == tokens.sid) == (False, False)
