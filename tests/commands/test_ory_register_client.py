"""``ory_register_client``: it shows differences, and writes them unless ``--check`` is given."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command

from ..conftest import Configure
from ..fake_hydra import URL, FakeHydra, connect

US = django_settings.CLIENT_ID
SITE = "https://rp.example/auth"
REGISTERED: dict[str, Any] = {
    "redirect_uris": [f"{SITE}/callback/"],
    "post_logout_redirect_uris": [f"{SITE}/logout/callback/"],
    "backchannel_logout_uri": f"{SITE}/logout/backchannel/",
    "backchannel_logout_session_required": True,
    "frontchannel_logout_uri": f"{SITE}/logout/frontchannel/",
    "frontchannel_logout_session_required": True,
}


@pytest.fixture
def hydra(configure: Configure) -> Iterator[FakeHydra]:
    configure(HYDRA={"ADMIN_URL": URL})
    with connect(FakeHydra(clients={US: {**REGISTERED, "client_name": "Site"}})) as hydra:
        yield hydra


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("ory_register_client", *arguments, stdout=output)
    return output.getvalue()


def methods(hydra: FakeHydra) -> list[str]:
    return [call.split()[0] for call in hydra.calls]


def test_a_correct_client_is_not_changed(hydra: FakeHydra) -> None:
    assert run() == "The client 'django-site' is registered with this site's URLs.\n"
    assert run("--check") == "The client 'django-site' is registered with this site's URLs.\n"
    assert methods(hydra) == ["GET", "GET"]


def test_a_difference_is_shown_and_written_and_nothing_else_changes(hydra: FakeHydra) -> None:
    hydra.clients[US]["backchannel_logout_uri"] = "https://old.example/bye"
    del hydra.clients[US]["backchannel_logout_session_required"]

    output = run()

    assert output == (
        "backchannel_logout_uri\n"
        '  - "https://old.example/bye"\n'
        f'  + "{SITE}/logout/backchannel/"\n'
        "backchannel_logout_session_required\n"
        "  - false\n"
        "  + true\n"
        "Updated.\n"
    )
    assert hydra.clients[US] == {**REGISTERED, "client_name": "Site"}


def test_each_of_several_providers_has_its_own_redirect_uri(hydra: FakeHydra, settings: Any) -> None:
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    other = {"ISSUER": "https://other.example", "CLIENT_ID": US, "CLIENT_SECRET": "secret"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": default, "other": other}}

    run("--provider", "default")
    assert hydra.clients[US]["redirect_uris"] == [f"{SITE}/callback/", f"{SITE}/callback/default/"]

    run("--provider", "default", "--exact")
    assert hydra.clients[US]["redirect_uris"] == [f"{SITE}/callback/default/"]


def test_check_writes_nothing_and_exits_with_1(hydra: FakeHydra) -> None:
    del hydra.clients[US]["backchannel_logout_uri"]

    with pytest.raises(CommandError, match="registered client differs from this site") as different:
        run("--check")

    assert different.value.returncode == 1
    assert methods(hydra) == ["GET"]


def test_an_unknown_client_is_created_from_the_settings(hydra: FakeHydra) -> None:
    del hydra.clients[US]

    output = run()

    assert output.startswith("Hydra has no client 'django-site'.\nredirect_uris\n  + [")
    assert output.endswith("Created.\n")
    assert hydra.clients[US] == {
        **REGISTERED,
        "client_id": US,
        "client_secret": django_settings.CLIENT_SECRET,
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "scope": "openid profile email",
    }


def test_a_new_client_may_refresh_if_the_scope_asks_for_it(hydra: FakeHydra, configure: Configure) -> None:
    del hydra.clients[US]
    configure(SCOPE="openid offline_access", TOKEN_ENDPOINT_AUTH_METHOD="none", CLIENT_SECRET="")

    run()

    assert hydra.clients[US]["grant_types"] == ["authorization_code", "refresh_token"]
    assert "client_secret" not in hydra.clients[US]


def test_check_of_an_unknown_client_exits_with_1(hydra: FakeHydra) -> None:
    del hydra.clients[US]

    with pytest.raises(CommandError) as unknown:
        run("--check")

    assert unknown.value.returncode == 1
    assert hydra.clients == {}


def test_an_id_that_hydra_chooses_must_go_into_the_settings(hydra: FakeHydra) -> None:
    del hydra.clients[US]
    hydra.chooses_id = "f2a9"

    with pytest.raises(CommandError, match="Set CLIENT_ID to 'f2a9'"):
        run()


def test_other_redirect_uris_stay(hydra: FakeHydra) -> None:
    hydra.clients[US]["redirect_uris"] = ["https://staging.example/auth/callback/"]

    run()

    assert hydra.clients[US]["redirect_uris"] == ["https://staging.example/auth/callback/", f"{SITE}/callback/"]


def test_exact_removes_other_redirect_uris(hydra: FakeHydra) -> None:
    hydra.clients[US]["redirect_uris"] = ["https://staging.example/auth/callback/", f"{SITE}/callback/"]

    run("--exact")

    assert hydra.clients[US]["redirect_uris"] == [f"{SITE}/callback/"]


def test_the_front_channel_is_optional(hydra: FakeHydra) -> None:
    run("--no-frontchannel")

    assert not {"frontchannel_logout_uri", "frontchannel_logout_session_required"} & set(hydra.clients[US])
    with pytest.raises(CommandError):
        run("--check")


def test_skip_logout_consent_is_optional(hydra: FakeHydra) -> None:
    run("--skip-logout-consent")
    assert hydra.clients[US]["skip_logout_consent"] is True

    run()
    assert hydra.clients[US]["skip_logout_consent"] is True

    run("--no-skip-logout-consent")
    assert "skip_logout_consent" not in hydra.clients[US]


def test_settings_choose_the_post_logout_redirect_uri(hydra: FakeHydra, configure: Configure) -> None:
    configure(POST_LOGOUT_REDIRECT_URI="https://rp.example/bye/", FRONTCHANNEL_LOGOUT_SESSION_REQUIRED=False)

    run("--exact")

    assert hydra.clients[US]["post_logout_redirect_uris"] == ["https://rp.example/bye/"]
    assert "frontchannel_logout_session_required" not in hydra.clients[US]


def test_the_output_can_be_json(hydra: FakeHydra) -> None:
    hydra.clients[US]["frontchannel_logout_uri"] = ""

    assert json.loads(run("--json")) == {
        "client_id": US,
        "exists": True,
        "written": True,
        "differences": {"frontchannel_logout_uri": {"registered": "", "wanted": f"{SITE}/logout/frontchannel/"}},
    }
    assert json.loads(run("--json"))["written"] is False


@pytest.mark.parametrize("arguments", [["--provider", "none"], ["--check", "--provider", "none"]])
def test_an_unknown_provider_exits_with_2(hydra: FakeHydra, arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="no provider 'none'") as refused:
        run(*arguments)

    assert refused.value.returncode == 2


def test_a_provider_without_hydra_exits_with_2() -> None:
    with pytest.raises(CommandError, match="has no HYDRA") as refused:
        run()

    assert refused.value.returncode == 2


@pytest.mark.parametrize("broken", ["GET", "PATCH"])
def test_an_unreachable_hydra_exits_with_2(hydra: FakeHydra, broken: str) -> None:
    hydra.clients[US]["backchannel_logout_uri"] = ""
    hydra.broken = {broken}

    with pytest.raises(CommandError, match="Hydra does not answer as expected: unreachable") as failed:
        run()

    assert failed.value.returncode == 2


def test_a_refusal_of_hydra_exits_with_2(hydra: FakeHydra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hydra, "_client", lambda *_: (401, {"error": "unauthorized"}))

    with pytest.raises(CommandError, match="hydra_unauthorized") as failed:
        run("--check")

    assert failed.value.returncode == 2
