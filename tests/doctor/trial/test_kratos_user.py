"""``ory_doctor --try`` with Kratos."""

from collections.abc import Iterator
from typing import Any

import pytest

from django_ory_logout.doctor import Finding, Verdict
from django_ory_logout.doctor.trial.runner import run_trials
from django_ory_logout.exceptions import KratosError, ProviderUnavailable
from django_ory_logout.ory.kratos import KratosAdmin
from django_ory_logout.testing import Kratos, KratosNetwork, connect_kratos

PUBLIC_URL, ADMIN_URL = "https://login.example", "http://kratos:4434"
PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
AT_KRATOS = {"PUBLIC_URL": PUBLIC_URL, "ADMIN_URL": ADMIN_URL}


@pytest.fixture
def kratos() -> Kratos:
    return Kratos(PUBLIC_URL)


@pytest.fixture
def kratos_network(kratos: Kratos, settings: Any) -> Iterator[KratosNetwork]:
    configure(settings, KRATOS=AT_KRATOS)
    with connect_kratos(kratos, PUBLIC_URL, ADMIN_URL) as kratos_network:
        yield kratos_network


def configure(settings: Any, **entry: Any) -> None:
    settings.ORY_LOGOUT = {"SITE_URL": "https://rp.example", "PROVIDERS": {"people": entry}}


def found() -> list[tuple[str, str, Verdict]]:
    return [(finding.check, finding.about, finding.verdict) for finding in run_trials()]


def first() -> Finding:
    return next(iter(run_trials()))


def test_a_cookie_that_outlives_the_browser_is_green(kratos_network: KratosNetwork, kratos: Kratos) -> None:
    amber = kratos.identity("amber@example.org")

    assert found() == [("try.kratos", "people", PASS), ("try.cleanup", "people", PASS)]
    assert "browsers keep the session cookie when they are closed" in first().found
    assert (kratos.identities, kratos.sessions) == ({amber.id: amber}, {})


def test_a_cookie_that_ends_with_the_browser_is_green_without_hydra(
    kratos_network: KratosNetwork, kratos: Kratos
) -> None:
    kratos.persistent = False

    assert found() == [("try.kratos", "people", PASS), ("try.cleanup", "people", PASS)]
    assert "drop the session cookie when they are closed" in first().found


def test_a_cookie_that_ends_with_the_browser_means_a_login_that_hydra_does_not_remember(
    kratos_network: KratosNetwork, kratos: Kratos, settings: Any
) -> None:
    configure(settings, ISSUER=settings.ISSUER, CLIENT_ID="site", CLIENT_SECRET="secret", KRATOS=AT_KRATOS)
    kratos.persistent = False

    assert found() == [
        ("try.sign_in", "people", UNKNOWN),
        ("try.kratos", "people", FAIL),
        ("try.cleanup", "people", PASS),
    ]
    assert kratos.identities == {}


def test_without_admin_api_no_identity_is_created(kratos_network: KratosNetwork, settings: Any) -> None:
    configure(settings, KRATOS={"PUBLIC_URL": PUBLIC_URL})

    assert found() == [("try.kratos", "people", UNKNOWN)]
    assert kratos_network.calls == []


@pytest.mark.parametrize(
    ("path", "fault", "words"),
    [
        (
            "/admin/identities",
            {"body": b'{"error": {"code": 400, "message": "traits"}}', "status": 400},
            "kratos_refused",
        ),
        ("/self-service/login/browser", {"status": 404}, f"{PUBLIC_URL}/self-service/login/browser answers 404."),
        (
            "/self-service/login",
            {"status": 400},
            f"{PUBLIC_URL}/self-service/login answers 400. The test user should be",
        ),
        ("/self-service/login/browser", {"body": b"[]"}, "not_json"),
        ("/self-service/login/browser", {"body": b"{}"}, "/self-service/login answers 400."),
        ("/self-service/login/browser", {"body": b'{"ui": {"nodes": [{"attributes": []}]}}'}, "answers 400."),
        ("/self-service/login/browser", {"body": b'{"ui": {"nodes": [{"attributes": {}}]}}'}, "answers 400."),
    ],
)
def test_a_step_that_cannot_run_is_unknown(
    kratos_network: KratosNetwork, kratos: Kratos, path: str, fault: Any, words: str
) -> None:
    kratos_network.replace(path, **fault)

    said = {finding.check: finding for finding in run_trials()}

    assert said["try.kratos"].verdict == UNKNOWN
    assert words in f"{said['try.kratos'].found} {said['try.kratos'].todo}"
    if path != "/admin/identities":
        assert said["try.cleanup"].verdict == PASS
        assert kratos.identities == {}


def test_no_identity_means_no_cleanup(kratos_network: KratosNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example, the identity schema requires more than an e-mail address."""

    def refuse(*_args: Any) -> None:
        raise KratosError("kratos_refused", "POST /identities answers 400")

    monkeypatch.setattr(KratosAdmin, "create_identity", refuse)

    assert found() == [("try.kratos", "people", UNKNOWN), ("try.cleanup", "people", PASS)]
    assert [call.method for call in kratos_network.calls] == ["GET"]


def test_a_cookie_with_another_name_is_found(kratos_network: KratosNetwork, settings: Any) -> None:
    configure(settings, KRATOS={**AT_KRATOS, "COOKIE_NAME": "another"})

    assert first().verdict == FAIL
    assert "no cookie with the name another" in first().found


def test_an_unreachable_kratos_turns_red(kratos_network: KratosNetwork) -> None:
    kratos_network.down()

    [said, cleanup] = run_trials()

    assert (said.verdict, cleanup.verdict) == (UNKNOWN, UNKNOWN)
    assert "See kratos.admin and kratos.public." in said.todo


def test_an_identity_that_remains_is_reported(
    kratos_network: KratosNetwork, kratos: Kratos, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_admin: KratosAdmin, _identity_id: str) -> None:
        raise ProviderUnavailable("unreachable", "DELETE")

    monkeypatch.setattr(KratosAdmin, "delete_identity", fail)

    [_, cleanup] = run_trials()

    assert cleanup.verdict == FAIL
    [identity] = kratos.identities.values()
    assert f"{identity.traits['email']} is left at Kratos: unreachable" in cleanup.found


def test_an_interrupted_run_cleans_up(
    kratos_network: KratosNetwork, kratos: Kratos, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("django_ory_logout.doctor.trial.kratos_user._cookie", interrupt)

    with pytest.raises(KeyboardInterrupt):
        list(run_trials())

    assert kratos.identities == {}
