"""``ory_doctor``: its output, its audience and its exit status."""

import json
import os
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.core.management.base import BaseCommand, OutputWrapper
from django.utils import translation

from django_ory_logout.doctor import CHECKS
from django_ory_logout.management.commands import ory_doctor
from django_ory_logout.testing import Network

from .conftest import OURS, Proxy

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("healthy")]

ESCAPE = "\x1b"


@pytest.fixture(autouse=True)
def _width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are as wide as without a terminal, so that tests do not depend on the terminal that runs them."""
    monkeypatch.setenv("COLUMNS", "100")


class Terminal(StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def run(*arguments: str, stream: StringIO | None = None) -> tuple[str, int]:
    """Return the output of the command and its exit status."""
    stream, status = stream or StringIO(), 0
    try:
        call_command("ory_doctor", *arguments, stdout=stream)
    except CommandError as error:
        status = error.returncode
        stream.write(f"{error}\n")
    return stream.getvalue(), status


def test_a_healthy_site_exits_with_0() -> None:
    printed, status = run("--only", *OURS)

    assert status == 0
    assert {line.split("  ")[0] for line in printed.splitlines() if line[0] != " "} == {
        "pass",
        "17 rows, and nothing to do.",
    }


def test_rows_show_the_finding_and_what_to_do(network: Network) -> None:
    network.down()

    printed, status = run("--only", "provider.discovery", "provider.issuer")

    assert status == 2
    assert printed.splitlines()[:2] == [
        "FAIL  provider.discovery (default): Discovery document",
        "    https://op.example/.well-known/openid-configuration does not answer: unreachable",
    ]
    assert "    To do: Check that the provider runs" in printed
    assert printed.splitlines()[-3:] == [
        "not known  provider.issuer (default): Issuer, byte for byte",
        "    See provider.discovery.",
        "1 of 2 rows has a problem. 1 is not known.",
    ]


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 0), ({"X-Frame-Options": "DENY"}, 1), ({"Content-Security-Policy": "frame-ancestors"}, 2)],
)
def test_the_exit_status_depends_on_the_worst_row(proxy: Proxy, headers: dict[str, str | None], status: int) -> None:
    proxy.headers = headers

    assert run("--only", *OURS)[1] == status


def test_unknown_rows_with_something_to_do_need_attention(proxy: Proxy) -> None:
    proxy.down()

    printed, status = run("--only", "receiver")

    assert status == 1
    assert printed.endswith("\n1 of 5 rows has a problem. 4 are not known.\n")


def test_unknown_rows_without_anything_to_do_do_not_fail(settings: Any) -> None:
    settings.CSRF_USE_SESSIONS = True

    printed, status = run("--only", "receiver.logout", "receiver.slash")

    assert status == 0
    assert printed.endswith("\n2 rows. 1 is not known.\n")


def test_settings_that_cannot_be_read_give_rows(settings: Any) -> None:
    settings.ORY_LOGOUT = None

    printed, status = run("--only", *OURS)

    assert status == 2
    assert "FAIL  site.checks: System checks" in printed
    assert "ory_logout.E001: ORY_LOGOUT is missing." in printed


# JSON


def test_json_contains_all_rows_and_the_exit_status_is_the_same(proxy: Proxy) -> None:
    proxy.headers = {"X-Frame-Options": "DENY"}
    stream = StringIO()

    with pytest.raises(CommandError) as stopped:
        call_command("ory_doctor", "--json", "--only", "receiver", stdout=stream)

    rows = json.loads(stream.getvalue())
    assert stopped.value.returncode == 1
    assert [(row["check"], row["about"], row["verdict"]) for row in rows] == [
        ("receiver.inside", "", "pass"),
        ("receiver.backchannel", "", "pass"),
        ("receiver.slash", "", "pass"),
        ("receiver.logout", "", "pass"),
        ("receiver.frontchannel", "default", "warn"),
    ]
    assert set(rows[0]) == {"check", "title", "about", "verdict", "found", "todo"}


def test_json_output_contains_only_json() -> None:
    assert json.loads(run("--json", "--only", "site.cache")[0])[0]["verdict"] == "pass"


# Usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "no.such"], "There is no check 'no.such'."),
        (["--provider", "nobody"], "There is no provider 'nobody' in the settings."),
        (["--explain", "nothing"], "There is no explanation of 'nothing'. --list lists the checks."),
    ],
)
def test_unknown_names_are_usage_errors(arguments: list[str], words: str) -> None:
    assert run(*arguments) == (f"{words}\n", 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--try", "--only", "site"], "--only has no effect with --try."),
        (["--follow", "--only", "site"], "--only has no effect with --follow."),
        (["--follow", "--provider", "default"], "--provider has no effect with --follow."),
        (["--list", "--provider", "default"], "--provider has no effect with --list."),
        (["--explain", "E062", "--seconds", "3"], "--seconds has no effect with --explain."),
        (["--seconds", "3"], "--seconds needs --follow."),
    ],
)
def test_options_without_effect_are_usage_errors(arguments: list[str], words: str) -> None:
    assert run(*arguments) == (f"{words}\n", 3)


def test_ctrl_c_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ory_doctor, "run_checks", interrupt)

    assert run() == ("Stopped.\n", 2)


@pytest.mark.parametrize("arguments", [["--list"], ["--explain", "nothing"]])
def test_a_closed_pipe_stops_the_command(arguments: list[str]) -> None:
    """``head`` closes its pipe early. No buffered output remains to fail at the end of the process."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        stream.write("earlier output")
        with pytest.raises(CommandError) as stopped:
            call_command("ory_doctor", *arguments, stdout=stream)

    assert (str(stopped.value), stopped.value.returncode) == ("Stopped: the output was closed.", 2)


def command() -> BaseCommand:
    return load_command_class(get_commands()["ory_doctor"], "ory_doctor")


@pytest.mark.parametrize("arguments", [["--no-such"], ["--only"], ["--list", "--explain", "x"], ["x"]])
def test_wrong_arguments_exit_with_3(arguments: list[str]) -> None:
    asked, stream = command(), StringIO()
    asked.stderr = OutputWrapper(stream)

    with pytest.raises(SystemExit) as stopped:
        asked.run_from_argv(["manage.py", "ory_doctor", *arguments])

    assert stopped.value.code == 3
    assert "Error: " in stream.getvalue()


def test_the_command_runs_from_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.db.connections.close_all", lambda: None)

    command().run_from_argv(["manage.py", "ory_doctor", "--only", "site.cache"])

    assert "1 row, and nothing to do." in capsys.readouterr().out


# Lists and explanations


def test_the_list_contains_every_check() -> None:
    printed, status = run("--list")

    assert [line.partition(":")[0] for line in printed.splitlines()] == [row["check"] for row in listed()]
    assert ({row["check"] for row in listed()}, status) == (set(CHECKS), 0)


def listed() -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(run("--list", "--json")[0])
    return found


def test_explain_prints_an_explanation() -> None:
    assert run("--explain", "E062") == (
        "ory_logout.E062 (checks.md, Other settings of the site)\n"
        "    Reported when: PREPEND_WWW is on, and the host of SITE_URL has no www.\n"
        "    What to do: Begin this host with www.: the provider's POST would be redirected and lost\n",
        0,
    )
    assert json.loads(run("--explain", "E062", "--json")[0])[0]["name"] == "ory_logout.E062"


def test_lists_and_explanations_work_without_readable_settings(settings: Any) -> None:
    settings.ORY_LOGOUT = None

    assert run("--list")[1] == run("--explain", "E001")[1] == 0


# Output for people


@pytest.mark.parametrize("columns", [20, 40, 60, 120])
def test_lines_are_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, proxy: Proxy, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    proxy.headers = {"X-Frame-Options": "DENY"}

    lines = run("--only", *OURS)[0].splitlines()[:-1]

    # A longer word, such as a URL, stays whole, so that people can copy it.
    assert [line for line in lines if len(line) > columns and len(line.split()) > 1] == []
    assert any("https://rp.example/auth/logout/backchannel/" in line for line in lines)
    assert max(map(len, lines)) > columns // 2


@pytest.fixture
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard output of the process is a terminal."""
    monkeypatch.delenv("DJANGO_COLORS", raising=False)
    monkeypatch.setattr("django.core.management.color.supports_color", lambda: True)


@pytest.mark.usefixtures("_colours")
@pytest.mark.parametrize(
    ("stream", "arguments", "coloured"),
    [
        (Terminal, [], True),
        (Terminal, ["--no-color"], False),
        (StringIO, [], False),
        (StringIO, ["--force-color"], True),
    ],
)
def test_only_terminals_get_colour(stream: type[StringIO], arguments: list[str], coloured: bool) -> None:
    printed, _status = run("--only", "site.cache", *arguments, stream=stream())

    assert (ESCAPE in printed) == coloured
    plain = printed.replace(f"{ESCAPE}[32;1m", "").replace(f"{ESCAPE}[0m", "")
    assert plain.startswith("pass  site.cache: Cache\n")


def test_no_information_is_in_colour_or_drawing_only(proxy: Proxy) -> None:
    proxy.headers = {"X-Frame-Options": "DENY", "Content-Security-Policy": None}

    printed, _status = run("--only", *OURS)

    assert printed.isascii()
    assert all(line.split("  ")[0] in {"pass", "FAIL", ""} for line in printed.splitlines()[:-1])


def test_the_doctor_prints_in_the_active_language(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"pass": "gut", "Cache": "Zwischenspeicher"}
    monkeypatch.setattr("django.utils.translation._trans.gettext", lambda text: said.get(text, text))

    with translation.override("de"):
        assert run("--only", "site.cache")[0].startswith("gut  site.cache: Zwischenspeicher\n")


def test_failing_checks_of_the_site_do_not_stop_the_doctor() -> None:
    assert command().requires_system_checks == []
