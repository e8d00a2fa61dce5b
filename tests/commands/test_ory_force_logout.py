"""``ory_force_logout``: who, what, and how it went."""

import json
import shlex
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command

from django_ory_logout.models import Subject

from ..conftest import Configure, SiteBrowser
from ..fake_hydra import SESSIONS, URL, FakeHydra, connect

pytestmark = pytest.mark.django_db


@pytest.fixture
def hydra(configure: Configure) -> Iterator[FakeHydra]:
    configure(HYDRA={"ADMIN_URL": URL})
    uri = {"backchannel_logout_uri": "https://rp.example/bye"}
    with connect(FakeHydra(clients={django_settings.CLIENT_ID: uri})) as hydra:
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


def test_user(amber: SiteBrowser, hydra: FakeHydra) -> None:
    output = run(Subject.objects.get().user.get_username())

    assert amber.user is None
    assert hydra.logins == {}
    assert output.startswith("done  sessions on this site")
    assert "Still alive:" not in output
    assert "Not known:" in output


@pytest.mark.parametrize("further", [[], ["--provider", "default"], ["--issuer", django_settings.ISSUER]])
def test_subject(amber: SiteBrowser, hydra: FakeHydra, further: list[str]) -> None:
    run("--subject", "amber", *further)

    assert amber.user is None
    assert hydra.logins == {}


def test_login_session(amber: SiteBrowser, hydra: FakeHydra) -> None:
    output = run("--sid", amber.user["sid"])

    assert amber.user is None
    assert hydra.logins == {}
    assert "Still alive:\n  Consents, access and refresh tokens of the login session" in output


def test_dry_run(amber: SiteBrowser, hydra: FakeHydra) -> None:
    output = run("--subject", "amber", "--dry-run")

    assert amber.user is not None
    assert "would be done  sessions on this site amber (1)\n" in output


def test_json(amber: SiteBrowser) -> None:
    document = json.loads(run("--subject", "amber", "--json"))

    assert document["ok"] is True
    assert document["steps"][0]["name"] == "local"


def test_failed_step_exits_with_1(amber: SiteBrowser, hydra: FakeHydra) -> None:
    hydra.broken = {f"DELETE {SESSIONS}/login?subject="}

    output = StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("ory_force_logout", "--subject", "amber", stdout=output)

    assert failed.value.returncode == 1
    assert "failed: unreachable  all login sessions at Hydra amber\n" in output.getvalue()
    assert "Still alive:\n  Login sessions of amber at Hydra may be alive.\n" in output.getvalue()

    assert str(failed.value) == "Not everything could be done. When the cause is mended, run it again."


def failed_run(*arguments: str) -> tuple[str, str]:
    """What it wrote, and its error."""
    output = StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("ory_force_logout", *arguments, stdout=output)
    return output.getvalue(), str(failed.value)


def test_what_is_left_is_said_as_commands(amber: SiteBrowser, hydra: FakeHydra) -> None:
    sid = amber.user["sid"]
    hydra.broken = {"DELETE"}

    output, error = failed_run("--subject", "amber")

    title = "Left to do, before this is run again:\n"
    assert output.endswith(f"{title}  python manage.py ory_force_logout --sid={sid} --provider=default\n")
    assert error == "Not everything could be done. When the cause is mended, first do what is left, above."

    hydra.broken = set()
    run(*shlex.split(output.rpartition("ory_force_logout ")[2]))
    assert hydra.told == [(django_settings.CLIENT_ID, sid)]


def test_what_is_left_is_in_the_json(amber: SiteBrowser, hydra: FakeHydra) -> None:
    sid = amber.user["sid"]
    hydra.broken = {f"DELETE {SESSIONS}/login?"}

    output, _ = failed_run("--subject", "amber", "--json")

    assert json.loads(output)["untold"] == [{"sid": sid, "provider": "default"}]


def test_sid_cannot_be_more_than_one_word_of_a_command(hydra: FakeHydra) -> None:
    hydra.broken = {"DELETE"}

    output, _ = failed_run("--sid=-x; ls")

    assert "  python manage.py ory_force_logout '--sid=-x; ls' --provider=default\n" in output


def test_consents_can_be_kept(amber: SiteBrowser, hydra: FakeHydra) -> None:
    run("--subject", "amber", "--keep-consents")

    assert len(hydra.consents) == 1


def test_consents_only(amber: SiteBrowser, hydra: FakeHydra) -> None:
    hydra.sign_in("amber", "elsewhere", "mail")

    run("--subject", "amber", "--consents-only", "--client", "mail")

    assert amber.user is not None
    assert [one.client_id for one in hydra.consents] == [django_settings.CLIENT_ID]


def test_tokens_only(hydra: FakeHydra) -> None:
    run("--tokens-only", "--client", "mail")

    assert hydra.calls == ["DELETE /admin/oauth2/tokens?client_id=mail"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Exactly one"),
        (["--subject", "amber", "--sid", "s"], "Exactly one"),
        (["nobody"], "no user 'nobody'"),
        (["--subject", "amber", "--provider", "none"], "no provider 'none'"),
        (["--subject", "amber", "--issuer", "https://none.example"], "no provider of 'https://none.example'"),
        (["--subject", "amber", "--client", "mail"], "--client goes with"),
        (["--tokens-only"], "needs --client"),
        (["--tokens-only", "--client", "mail", "--subject", "amber"], "needs --client and nobody else"),
        (["--consents-only", "--sid", "s"], "about a person"),
    ],
)
def test_unclear_arguments_exit_with_2(hydra: FakeHydra, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words) as refused:
        run(*arguments)

    assert refused.value.returncode == 2
    assert hydra.calls == []


def test_issuer_without_hydra_is_its_first_provider(browser: SiteBrowser, settings: Any) -> None:
    browser.sign_in("amber")

    output = run("--subject", "amber", "--issuer", django_settings.ISSUER)

    assert browser.user is None
    assert "No admin API is configured" in output
