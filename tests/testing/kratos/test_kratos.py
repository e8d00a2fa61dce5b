"""How tests use the Kratos in this process, and its answers beyond the contract."""

import pytest
import requests

from django_ory_logout.testing import Kratos, KratosNetwork, connect_kratos
from django_ory_logout.testing.kratos import Identity, Session, totp

from .conftest import ADMIN_URL, PUBLIC_URL

WHOAMI = f"{PUBLIC_URL}/sessions/whoami"


@pytest.fixture
def amber(embedded: Kratos) -> Identity:
    return embedded.identity("amber@example.org", password="a password", name="Amber")


@pytest.fixture
def session(embedded: Kratos, amber: Identity) -> Session:
    return embedded.sign_in(amber)


def whoami(session: Session) -> requests.Response:
    return requests.get(WHOAMI, headers={"X-Session-Token": session.token}, timeout=5)


@pytest.mark.usefixtures("network")
class TestSession:
    def test_its_cookie_and_its_token_identify_it(self, session: Session) -> None:
        by_cookie = requests.get(WHOAMI, cookies={"ory_kratos_session": session.cookie}, timeout=5)

        assert by_cookie.json() == whoami(session).json()
        assert by_cookie.json()["identity"]["traits"] == {"email": "amber@example.org", "name": "Amber"}
        assert by_cookie.json()["identity"]["verifiable_addresses"][0]["status"] == "pending"

    def test_an_address_can_be_verified(self, embedded: Kratos) -> None:
        session = embedded.sign_in(embedded.identity("birch@example.org", verified=True))

        (address,) = whoami(session).json()["identity"]["verifiable_addresses"]

        assert address == {"value": "birch@example.org", "verified": True, "via": "email", "status": "completed"}

    def test_an_ended_session_is_refused_and_still_known(self, embedded: Kratos, session: Session) -> None:
        assert embedded.end(session.id)

        assert whoami(session).status_code == 401
        assert embedded.sessions[session.id] is session
        assert not embedded.end("another")

    def test_a_session_expires(self, network: KratosNetwork) -> None:
        now = [1_800_000_000.0]
        network.kratos.clock = lambda: now[0]
        session = network.kratos.sign_in(network.kratos.identity("birch@example.org"))

        now[0] += network.kratos.lifespan

        assert whoami(session).status_code == 401

    def test_the_cookie_has_the_configured_name(self, embedded: Kratos, session: Session) -> None:
        embedded.cookie_name = "other"

        statuses = [
            requests.get(WHOAMI, cookies={name: session.cookie}, timeout=5).status_code
            for name in ("ory_kratos_session", "other")
        ]

        assert statuses == [401, 200]

    @pytest.mark.parametrize(("aal", "status"), [("aal1", 403), ("aal2", 200)])
    def test_a_second_factor_is_required_if_there_is_one(self, embedded: Kratos, aal: str, status: int) -> None:
        embedded.required_aal = "highest_available"
        birch = embedded.identity("birch@example.org", totp_secret=totp.new_secret())

        assert whoami(embedded.sign_in(birch, aal=aal)).status_code == status


class TestTotp:
    def test_the_codes_are_those_of_the_specification(self) -> None:
        """RFC 6238, appendix B, without the first two digits."""
        secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

        assert [totp.code(secret, now) for now in (59, 1111111109, 20000000000)] == ["287082", "081804", "353130"]

    @pytest.mark.parametrize(("seconds", "good"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
    def test_the_codes_of_one_period_before_and_after_are_accepted(self, seconds: int, good: bool) -> None:
        secret = totp.new_secret()

        assert totp.is_valid(secret, totp.code(secret, 1_800_000_000 + seconds), 1_800_000_000) is good


class TestNetwork:
    def test_it_records_calls_with_their_headers(self, network: KratosNetwork, session: Session) -> None:
        whoami(session)

        (call,) = network.calls
        assert (call.method, call.url, call.headers["x-session-token"]) == ("GET", WHOAMI, session.token)

    def test_it_has_an_internal_address_and_announces_its_public_one(self, embedded: Kratos, amber: Identity) -> None:
        session = embedded.sign_in(amber)
        with connect_kratos(embedded, public_url="http://internal.test/"):
            answer = requests.get(
                "http://internal.test/self-service/logout/browser",
                headers={"X-Session-Token": session.token},
                timeout=5,
            )

        assert answer.json()["logout_url"].startswith(f"{PUBLIC_URL}/self-service/logout?token=ory_lo_")

    def test_it_can_fail_like_a_network(self, network: KratosNetwork, session: Session) -> None:
        network.down("/sessions/whoami")
        with pytest.raises(requests.ConnectionError):
            whoami(session)
        network.slow()
        with pytest.raises(requests.ConnectionError):
            whoami(session)
        with pytest.raises(requests.Timeout):
            requests.get(f"{ADMIN_URL}/health/ready", timeout=5)
        network.mend()
        assert whoami(session).ok

    def test_its_answers_can_be_replaced(self, network: KratosNetwork, session: Session) -> None:
        network.replace("/sessions/whoami", status=502)
        assert whoami(session).status_code == 502
        network.change("/sessions/whoami", lambda document: {**document, "id": "another"})
        assert whoami(session).json()["id"] == "another"

    def test_sessions_of_requests_keep_its_cookies(self, network: KratosNetwork) -> None:
        browser = requests.Session()

        browser.get(f"{PUBLIC_URL}/self-service/login/browser", headers={"Accept": "application/json"}, timeout=5)

        assert browser.cookies.keys() == ["csrf_token_of_kratos"]


@pytest.mark.usefixtures("network")
class TestAnswers:
    def test_an_unknown_path_is_not_found(self) -> None:
        for url in (PUBLIC_URL, ADMIN_URL):
            answer = requests.get(f"{url}/nowhere", timeout=5)
            assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")

    def test_all_identities_are_listed(self, amber: Identity, session: Session) -> None:
        listed = requests.get(f"{ADMIN_URL}/admin/identities", timeout=5).json()

        assert [identity["id"] for identity in listed] == [amber.id]

    def test_an_identity_without_a_password_cannot_sign_in_with_one(self, embedded: Kratos) -> None:
        made = requests.post(f"{ADMIN_URL}/admin/identities", json={"traits": {"email": "x@example.org"}}, timeout=5)
        flow = requests.get(f"{PUBLIC_URL}/self-service/login/api", timeout=5).json()
        proof = {"method": "password", "identifier": "x@example.org"}

        answers = [
            requests.post(flow["ui"]["action"], json={**proof, **more}, timeout=5)
            for more in ({}, {"password": ""}, {"password": None})
        ]

        assert (made.status_code, [answer.status_code for answer in answers]) == (201, [400, 400, 400])

    def test_only_the_state_of_an_identity_can_be_replaced(self, amber: Identity) -> None:
        patch = [{"op": "replace", "path": "/traits/name", "value": "Birch"}]

        answer = requests.patch(f"{ADMIN_URL}/admin/identities/{amber.id}", json=patch, timeout=5)

        assert (answer.status_code, amber.traits["name"]) == (400, "Amber")

    @pytest.mark.parametrize("body", ["{", "[1]"])
    def test_an_answer_to_a_flow_must_be_a_document(self, body: str) -> None:
        flow = requests.get(f"{PUBLIC_URL}/self-service/login/api", timeout=5).json()

        answer = requests.post(flow["ui"]["action"], body, headers={"Content-Type": "application/json"}, timeout=5)

        assert answer.status_code == 400

    def test_a_flow_is_answered_at_its_own_url(self) -> None:
        flow = requests.get(f"{PUBLIC_URL}/self-service/login/api", timeout=5).json()

        assert (
            requests.post(f"{PUBLIC_URL}/self-service/settings?flow={flow['id']}", json={}, timeout=5).status_code
            == 404
        )

    def test_without_a_hydra_every_challenge_is_unknown(self) -> None:
        answer = requests.get(
            f"{PUBLIC_URL}/self-service/login/browser?login_challenge=x",
            headers={"Accept": "application/json"},
            timeout=5,
        )

        assert answer.status_code == 400
