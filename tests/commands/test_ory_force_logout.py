"""``ory_force_logout``: its arguments, its actions, and its result."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from django_ory_logout.force import force_logout
from django_ory_logout.models import Subject
from django_ory_logout.oidc import documents
from django_ory_logout.testing import Kratos, KratosNetwork, Network, connect_kratos
from django_ory_logout.testing.kratos import Session

from ..conftest import Configure, NewBrowser, SiteBrowser
from ..fake_hydra import SESSIONS, URL, FakeHydra, connect

pytestmark = pytest.mark.django_db


@pytest.fixture
def hydra(configure: Configure, network: Network) -> Iterator[FakeHydra]:
    configure(HYDRA={"ADMIN_URL": URL})
    uri = {"backchannel_logout_uri": "https://rp.example/bye"}
    kids = [key["kid"] for key in network.provider.jwks()["keys"]]
    clients = {django_settings.CLIENT_ID: uri, "mail": uri}
    with connect(FakeHydra(clients=clients, key_ids=kids)) as hydra:
        yield hydra


@pytest.fixture
def amber(browser: SiteBrowser, hydra: FakeHydra) -> SiteBrowser:
    browser.sign_in("amber")
    hydra.sign_in("amber", browser.user["sid"], django_settings.CLIENT_ID)
    return browser


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("ory_force_logout", *arguments, stdout=output)
    return output.getvalue()


def test_a_user_is_logged_out(amber: SiteBrowser, hydra: FakeHydra) -> None:
    output = run(Subject.objects.get().user.get_username())

    assert amber.user is None
    assert hydra.logins == {}
    assert output.startswith("done  sessions on this site")
    assert "Still active:" not in output
    assert "Not known:" in output


@pytest.mark.parametrize("further", [[], ["--provider", "default"], ["--issuer", django_settings.ISSUER]])
def test_a_subject_is_logged_out(amber: SiteBrowser, hydra: FakeHydra, further: list[str]) -> None:
    run("--subject", "amber", *further)

    assert amber.user is None
    assert hydra.logins == {}


def test_a_login_session_is_ended(amber: SiteBrowser, hydra: FakeHydra) -> None:
    output = run("--sid", amber.user["sid"])

    assert amber.user is None
    assert hydra.logins == {}
    assert "Still active:\n  Consents, access and refresh tokens of the login session" in output


def test_dry_run_ends_nothing(amber: SiteBrowser, hydra: FakeHydra) -> None:
    output = run("--subject", "amber", "--dry-run")

    assert amber.user is not None
    assert "would be done  sessions on this site amber (1)\n" in output


def test_the_output_can_be_json(amber: SiteBrowser) -> None:
    document = json.loads(run("--subject", "amber", "--json"))

    assert document["ok"] is True
    assert document["steps"][0]["name"] == "local"


def test_a_failed_step_exits_with_1(amber: SiteBrowser, hydra: FakeHydra) -> None:
    hydra.broken = {f"DELETE {SESSIONS}/login?subject="}

    output = StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("ory_force_logout", "--subject", "amber", stdout=output)

    assert failed.value.returncode == 1
    assert "failed: unreachable  all login sessions at Hydra amber\n" in output.getvalue()
    assert "Still active:\n  Login sessions of amber at Hydra may be alive.\n" in output.getvalue()

    assert str(failed.value) == "Not everything could be done. Fix the cause, then run the command again."


def failed_run(*arguments: str) -> tuple[str, str]:
    """Return the output and the error."""
    output = StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("ory_force_logout", *arguments, stdout=output)
    return output.getvalue(), str(failed.value)


def test_remaining_steps_are_printed_as_commands(amber: SiteBrowser, hydra: FakeHydra) -> None:
    sid = amber.user["sid"]
    hydra.broken = {"DELETE"}

    output, error = failed_run("--subject", "amber")

    title = "Left to do, before this is run again:\n"
    assert output.endswith(f"{title}  python manage.py ory_force_logout --sid={sid} --provider=default\n")
    assert error == 'Not everything could be done. Fix the cause, then run the commands under "Left to do".'

    hydra.broken = set()
    run(*shlex.split(output.rpartition("ory_force_logout ")[2]))
    assert hydra.told == [(django_settings.CLIENT_ID, sid)]


def test_remaining_steps_are_in_the_json(amber: SiteBrowser, hydra: FakeHydra) -> None:
    sid = amber.user["sid"]
    hydra.broken = {f"DELETE {SESSIONS}/login?"}

    output, _ = failed_run("--subject", "amber", "--json")

    assert json.loads(output)["untold"] == [{"sid": sid, "provider": "default"}]


def test_a_sid_is_quoted_as_one_word_of_a_command(hydra: FakeHydra) -> None:
    hydra.broken = {"DELETE"}

    output, _ = failed_run("--sid=-x; ls")

    assert "  python manage.py ory_force_logout '--sid=-x; ls' --provider=default\n" in output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sid", "0a7801c9-mistyped"],
        ["--sid", "0a7801c9-mistyped", "--dry-run"],
        ["--subject", "ambre"],
        ["--subject", "ambre", "--consents-only"],
        ["--subject", "amber", "--consents-only", "--client", "mial"],
        ["--tokens-only", "--client", "mial"],
    ],
)
def test_an_unknown_target_exits_with_3(amber: SiteBrowser, hydra: FakeHydra, arguments: list[str]) -> None:
    """Hydra answers 204 for unknown targets too."""
    output = StringIO()
    with pytest.raises(CommandError, match="this id is unknown") as failed:
        call_command("ory_force_logout", *arguments, stdout=output)

    assert failed.value.returncode == 3
    assert "not known there" in output.getvalue()
    assert amber.user is not None


def test_a_target_that_only_hydra_lists_is_known(hydra: FakeHydra) -> None:
    hydra.sign_in("birch", "elsewhere", "mail")

    assert "not known" not in run("--subject", "birch")
    assert hydra.told == [("mail", "elsewhere")]


@pytest.mark.parametrize("arguments", [["--sid", "SID"], ["--subject", "amber"], ["--tokens-only", "--client", "mail"]])
def test_another_hydra_is_not_called(
    amber: SiteBrowser, hydra: FakeHydra, network: Network, arguments: list[str]
) -> None:
    """ADMIN_URL belongs to another Hydra. It would answer 204 and log out another user."""
    sid = amber.user["sid"]
    hydra.key_ids = ["of another Hydra"]

    output, _error = failed_run(*[sid if argument == "SID" else argument for argument in arguments])

    assert "failed: hydra_of_another_issuer" in output
    assert "is the admin API of another Hydra" in output
    assert not any(call.startswith("DELETE") for call in hydra.calls)
    if "--client" not in arguments:
        assert amber.user is None
        assert f"ory_force_logout --sid={sid} --provider=default" in output
        hydra.key_ids = [key["kid"] for key in network.provider.jwks()["keys"]]
        run("--sid", sid)
        assert hydra.told == [(django_settings.CLIENT_ID, sid)]


def test_keys_that_cannot_be_compared_are_no_failure(amber: SiteBrowser, hydra: FakeHydra) -> None:
    hydra.key_ids = []

    assert "Whether ADMIN_URL is the admin API of" in run("--subject", "amber")


@pytest.mark.parametrize("broken", [{"GET /admin/clients/mail"}, set()])
def test_a_client_that_cannot_be_read_may_be_known(hydra: FakeHydra, broken: set[str]) -> None:
    hydra.broken = broken
    hydra.refused = set() if broken else {"GET /admin/clients/mail"}

    run("--tokens-only", "--client", "mail")

    assert hydra.calls[-1] == "DELETE /admin/oauth2/tokens?client_id=mail"


def test_an_issuer_that_does_not_answer_is_not_confirmed(amber: SiteBrowser, hydra: FakeHydra) -> None:
    """The sessions may have ended at another Hydra."""
    assert amber.network
    amber.network.down()
    documents._parsed.clear()
    cache.clear()

    output, _error = failed_run("--subject", "amber")

    assert (
        f"failed: unreachable  keys of this admin API compared with those of the issuer {django_settings.ISSUER}"
        in output
    )
    assert hydra.logins == {}


# The database is down


@contextmanager
def no_database() -> Iterator[None]:
    def fail(*_args: object) -> None:
        raise OperationalError("the database has gone away")

    with connection.execute_wrapper(fail):
        yield


def test_hydra_is_called_although_the_database_is_down(
    amber: SiteBrowser, hydra: FakeHydra, caplog: pytest.LogCaptureFixture
) -> None:
    with no_database():
        output, error = failed_run("--subject", "amber")

    assert "failed: database_fault  index of this site read amber\n" in output
    assert "failed: database_fault  sessions on this site amber\n" in output
    assert not any(record.exc_info for record in caplog.records)
    assert hydra.logins == {}
    assert len(hydra.told) == 1
    assert hydra.consents == []
    assert error.startswith("Not everything could be done.")


def test_a_login_session_ends_at_hydra_although_the_database_is_down(amber: SiteBrowser, hydra: FakeHydra) -> None:
    sid = amber.user["sid"]

    with no_database():
        failed_run("--sid", sid)

    assert len(hydra.told) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("named", ["subject", "sid"])
@pytest.mark.parametrize("and_all_after", [False, True])
def test_a_fault_at_each_statement_does_not_stop_the_other_steps(
    new_browser: NewBrowser, hydra: FakeHydra, named: str, and_all_after: bool
) -> None:
    failing, has_failed = 0, True
    while has_failed:
        subject = f"subject-{failing}"
        browser = new_browser()
        browser.sign_in(subject)
        sid = browser.user["sid"]
        hydra.sign_in(subject, sid, django_settings.CLIENT_ID)
        count = 0

        def execute(call: Any, *args: Any, failing: int = failing) -> Any:
            nonlocal count
            number, count = count, count + 1
            if number == failing or (and_all_after and number > failing):
                raise OperationalError("the database has gone away")
            return call(*args)

        with connection.execute_wrapper(execute):
            result = force_logout(subject=subject) if named == "subject" else force_logout(sid=sid)

        has_failed = count > failing
        assert (django_settings.CLIENT_ID, sid) in hydra.told
        assert sid not in hydra.logins
        assert browser.user is None or not result.ok
        failing += 1
    assert failing > 5


def test_a_user_needs_the_database(amber: SiteBrowser, hydra: FakeHydra) -> None:
    with no_database(), pytest.raises(CommandError, match="Use --subject") as failed:
        run("somebody")

    assert failed.value.returncode == 1


def test_consents_can_be_kept(amber: SiteBrowser, hydra: FakeHydra) -> None:
    run("--subject", "amber", "--keep-consents")

    assert len(hydra.consents) == 1


def test_consents_only_revokes_consents(amber: SiteBrowser, hydra: FakeHydra) -> None:
    hydra.sign_in("amber", "elsewhere", "mail")

    run("--subject", "amber", "--consents-only", "--client", "mail")

    assert amber.user is not None
    assert [consent.client_id for consent in hydra.consents] == [django_settings.CLIENT_ID]


def test_tokens_only_deletes_tokens(hydra: FakeHydra) -> None:
    run("--tokens-only", "--client", "mail")

    assert hydra.calls[-1] == "DELETE /admin/oauth2/tokens?client_id=mail"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Exactly one"),
        (["--subject", "amber", "--sid", "s"], "Exactly one"),
        (["nobody"], "no user 'nobody'"),
        (["--subject", "amber", "--provider", "none"], "no provider 'none'"),
        (["--subject", "amber", "--issuer", "https://none.example"], "has the issuer 'https://none.example'"),
        (["--subject", "amber", "--client", "mail"], "--client needs"),
        (["--tokens-only"], "needs --client"),
        (["--tokens-only", "--client", "mail", "--subject", "amber"], "needs --client and no user"),
        (["--consents-only", "--sid", "s"], "--consents-only needs"),
    ],
)
def test_unclear_arguments_exit_with_2(hydra: FakeHydra, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words) as refused:
        run(*arguments)

    assert refused.value.returncode == 2
    assert hydra.calls == []


def test_an_issuer_uses_its_first_provider_with_hydra(browser: SiteBrowser, settings: Any) -> None:
    browser.sign_in("amber")

    output = run("--subject", "amber", "--issuer", django_settings.ISSUER)

    assert browser.user is None
    assert "no admin API is configured" in output


# Kratos


KRATOS_URL, KRATOS_ADMIN_URL = "https://login.example", "http://kratos:4434"


@pytest.fixture
def kratos(settings: Any) -> Iterator[KratosNetwork]:
    """Users sign in with Kratos only. There are two entries, and one of them has an admin API."""
    entries = {
        "here": {"KRATOS": {"PUBLIC_URL": KRATOS_URL}},
        "there": {"KRATOS": {"PUBLIC_URL": KRATOS_URL, "ADMIN_URL": KRATOS_ADMIN_URL}},
    }
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": entries}
    with connect_kratos(Kratos(KRATOS_URL), admin_url=KRATOS_ADMIN_URL) as network:
        yield network


@pytest.fixture
def session(kratos: KratosNetwork) -> Session:
    return kratos.kratos.sign_in(kratos.kratos.identity("amber@example.org"))


@pytest.mark.parametrize("further", [[], ["--provider", "there"], ["--issuer", KRATOS_URL]])
def test_an_identity_is_logged_out(kratos: KratosNetwork, session: Session, further: list[str]) -> None:
    output = run("--subject", session.identity.id, *further)

    assert kratos.kratos.sessions_of(session.identity.id) == []
    assert [line.split("  ")[1] for line in output.splitlines() if line.startswith("done")] == [
        f"sessions on this site {session.identity.id} (0)",
        f"sessions at Kratos listed {session.identity.id} (1)",
        f"sessions at Kratos refused on this site {session.identity.id} (1)",
        f"all sessions at Kratos {session.identity.id}",
    ]


def test_an_entry_without_admin_api_is_reported(kratos: KratosNetwork, session: Session) -> None:
    output, error = failed_run("--subject", session.identity.id, "--provider", "here")

    assert f"Still active:\n  Sessions at {KRATOS_URL}: no admin API is configured" in output
    assert "this id is unknown" in error


def test_a_failed_end_at_kratos_is_retried_by_a_second_run(kratos: KratosNetwork, session: Session) -> None:
    kratos.down()

    output, error = failed_run("--sid", session.id)

    assert f"failed: unreachable  session at Kratos {session.id}\n" in output
    assert f"  The session {session.id} at Kratos may be alive. This site refuses it.\n" in output
    assert error.endswith("run the command again.")

    kratos.mend()
    run("--sid", session.id)
    assert not kratos.kratos.is_active(session)


def test_json_contains_the_result_at_kratos(kratos: KratosNetwork, session: Session) -> None:
    document = json.loads(run("--subject", session.identity.id, "--json"))

    assert [step["name"] for step in document["steps"]] == [
        "local",
        "kratos_list",
        "kratos_refused",
        "kratos_sessions",
    ]
    assert [remark["code"] for remark in document["unknown"]] == ["kratos_tells_nobody"]


def test_tokens_do_not_exist_at_kratos(kratos: KratosNetwork) -> None:
    with pytest.raises(CommandError, match="no OpenID provider") as refused:
        run("--tokens-only", "--client", "mail")

    assert refused.value.returncode == 2
