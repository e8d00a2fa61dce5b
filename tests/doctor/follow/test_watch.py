"""``ory_doctor --follow``: it shows each step of a logout as it happens, and names the first step that did not come."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_ory_logout.doctor import CHECKS, explain, run_checks
from django_ory_logout.doctor.follow import watch as follow
from django_ory_logout.doctor.follow.expected_steps import MissingStep
from django_ory_logout.doctor.follow.messages import MESSAGES
from django_ory_logout.doctor.follow.watch import LEASE_SECONDS, Outcome, Step
from django_ory_logout.management.commands import ory_doctor
from django_ory_logout.models import EventKind, LogoutEvent
from django_ory_logout.sessions import events
from django_ory_logout.testing import Kratos, Provider, connect_kratos
from django_ory_logout.testing.network import connected

from ...conftest import Configure, SiteBrowser
from ..browser_users import Act, BrowserUser, Watch, register
from ..hydra_network import ADMIN_URL, HydraNetwork, forget_documents

pytestmark = pytest.mark.django_db

PATCH = pytest.MonkeyPatch
KRATOS_URL, KRATOS_ADMIN_URL = "https://login.example", "http://kratos:4434"
SIGNED_IN, ENDED, TO_PROVIDER, RETURNED = "signed-in", "ended", "to-provider", "returned"
BACK_CHANNEL, FRONT_CHANNEL, TOLD_KRATOS, REFUSED = "back-channel", "front-channel", "told-kratos", "refused"


AWAITED = set(EventKind) - {EventKind.SIGNED_IN, EventKind.REFUSED, EventKind.FOLLOWED}


@pytest.fixture
def hydra(provider: Provider, configure: Configure) -> Iterator[HydraNetwork]:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL})
    forget_documents()
    with connected(HydraNetwork(provider)) as hydra:
        yield hydra


@pytest.fixture
def without_admin(hydra: HydraNetwork, settings: Any) -> None:
    """Hydra's admin API is not configured."""
    entry = {name: value for name, value in settings.ORY_LOGOUT["PROVIDERS"]["default"].items() if name != "HYDRA"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": entry}}


# Complete


def test_a_logout_from_here_shows_all_steps(hydra: HydraNetwork) -> None:
    watch = Watch(*BrowserUser(hydra).logout)

    assert watch.outcome == Outcome(None)
    assert watch.kinds == [ENDED, TO_PROVIDER, BACK_CHANNEL, FRONT_CHANNEL, RETURNED]
    assert [step.text for step in watch.steps] == [
        "session ended here: logged out here and at the provider",
        "browser sent to the provider",
        "back-channel notice accepted: 0 sessions ended",
        "front-channel request, which ended nothing",
        "browser back from the provider",
    ]
    assert [round(step.seconds, 3) for step in watch.steps] == sorted(round(step.seconds, 3) for step in watch.steps)
    assert watch.steps[0].seconds == 0
    assert 0 < watch.steps[-1].seconds < 60


def test_watching_stops_soon_after_the_last_step(hydra: HydraNetwork) -> None:
    watch = Watch(*BrowserUser(hydra).logout, seconds=600)

    assert watch.now == pytest.approx(5 * follow.POLL_SECONDS + follow.GRACE_SECONDS, abs=0.3)


def test_a_logout_from_here_is_complete_with_the_front_channel_only(hydra: HydraNetwork) -> None:
    register(hydra, backchannel_logout_uri=None)
    user = BrowserUser(hydra)

    assert Watch(*user.logout).outcome.missing is None


def test_a_logout_from_here_is_complete_without_a_registered_notice(hydra: HydraNetwork) -> None:
    register(hydra, backchannel_logout_uri=None, frontchannel_logout_uri=None)

    watch = Watch(*BrowserUser(hydra).logout)

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED, TO_PROVIDER, RETURNED]


def test_no_return_is_expected_if_the_browser_ends_elsewhere(hydra: HydraNetwork, configure: Configure) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, POST_LOGOUT_REDIRECT_URI="https://www.example/bye")
    register(hydra, post_logout_redirect_uris=["https://www.example/bye"])
    user = BrowserUser(hydra)

    watch = Watch(user.press, user.go, user.agree)

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED, TO_PROVIDER, BACK_CHANNEL]


def test_a_logout_by_a_link_shows_no_departure(hydra: HydraNetwork) -> None:
    """The session here ends only when the browser comes back."""
    register(hydra, backchannel_logout_uri=None, frontchannel_logout_uri=None)
    user = BrowserUser(hydra)
    text = user.site.get("/tags/").content.decode()
    user.url = text.partition('href="')[2].partition('"')[0].replace("&amp;", "&")

    watch = Watch(user.go, user.agree, user.come_back)

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED, RETURNED]


def test_a_logout_elsewhere_is_shown_by_back_channel(hydra: HydraNetwork) -> None:
    watch = Watch(BrowserUser(hydra).end_there)

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED, BACK_CHANNEL]
    assert watch.steps[1].text == "back-channel notice accepted: 1 session ended"


@pytest.mark.parametrize("named", [True, False])
def test_a_logout_elsewhere_is_shown_by_front_channel(hydra: HydraNetwork, configure: Configure, named: bool) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, FRONTCHANNEL_LOGOUT_SESSION_REQUIRED=named)
    user = BrowserUser(hydra)
    [frame] = hydra.provider.frontchannel_uris(user.login.sid)

    watch = Watch(lambda: user.site.visit(frame if named else frame.partition("?")[0]))

    assert watch.outcome.missing is None
    assert watch.kinds == ([ENDED, FRONT_CHANNEL] if named else [ENDED])


def test_other_events_do_not_start_a_logout(hydra: HydraNetwork) -> None:
    """A sign-in, a second sign-in that replaces it, and a refused sign-in."""
    user = BrowserUser(hydra)

    def fail_to_sign_in() -> None:
        user.site.get("/auth/callback/", {"state": "x", "code": "y"})

    watch = Watch(partial(user.site.sign_in, "amber"), fail_to_sign_in)

    assert watch.kinds == [ENDED, SIGNED_IN, REFUSED]
    assert [step.text for step in watch.steps[::2]] == [
        "session ended here: signed in anew",
        "notice refused (sign-in): state_unknown",
    ]
    assert watch.missing.id == "follow.nothing"


def test_the_first_logout_is_followed(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    """Steps of another user's logout are shown, but they do not complete the first one."""
    amber, birch = BrowserUser(hydra, "amber"), BrowserUser(hydra, "birch")

    def lose() -> None:
        monkeypatch.setattr(hydra.face.backchannel, "deliver_in_background", lambda _deliveries: None)

    watch = Watch(amber.press, amber.go, birch.end_there, lose, amber.agree, amber.come_back)

    assert watch.kinds == [ENDED, TO_PROVIDER, ENDED, BACK_CHANNEL, RETURNED]
    assert watch.missing.id == "follow.back_channel"


def test_the_return_of_another_user_does_not_complete_the_logout(hydra: HydraNetwork) -> None:
    """A return names no user."""
    amber, birch = BrowserUser(hydra, "amber"), BrowserUser(hydra, "birch")
    for act in birch.logout[:-1]:
        act()

    watch = Watch(amber.press, birch.come_back)

    assert watch.kinds == [ENDED, TO_PROVIDER, RETURNED]
    assert watch.missing.id == "follow.returned"
    assert [step.code for step in watch.steps] == ["rp-initiated", "", ""], "codes that --explain knows"


def test_steps_are_shown_in_order_when_the_clocks_of_processes_differ(hydra: HydraNetwork) -> None:
    """The order of commits does not matter either."""
    now = timezone.now()

    def write(*seconds: float) -> None:
        for second in seconds:
            at = now + timedelta(seconds=second)
            LogoutEvent.objects.create(at=at, kind=ENDED, issuer="i", sid="s", code="back-channel")

    watch = Watch(partial(write, 3, 2), partial(write, 1))

    assert [step.seconds for step in watch.steps] == [0, 1, 0]


# Without the admin API


@pytest.mark.parametrize("announced", [True, False])
def test_without_admin_api_discovery_decides_whether_a_notice_is_expected(
    hydra: HydraNetwork, without_admin: None, announced: bool
) -> None:
    hydra.provider.metadata["backchannel_logout_supported"] = announced
    user = BrowserUser(hydra)
    register(hydra, backchannel_logout_uri=None, frontchannel_logout_uri=None)

    watch = Watch(*user.logout)

    assert (watch.outcome.missing is None) is not announced


def test_no_notice_is_expected_if_nothing_announces_one(hydra: HydraNetwork, without_admin: None) -> None:
    user = BrowserUser(hydra)
    register(hydra, backchannel_logout_uri=None, frontchannel_logout_uri=None)
    hydra.down("/.well-known/openid-configuration")

    assert Watch(*user.logout).outcome.missing is None


def test_no_notice_is_expected_from_a_provider_that_is_no_longer_configured(
    hydra: HydraNetwork, configure: Configure
) -> None:
    user = BrowserUser(hydra)
    configure(ISSUER="https://another.example")

    watch = Watch(user.press)

    assert watch.missing.id == "follow.to_provider"


# Broken


def test_no_event_is_reported(hydra: HydraNetwork) -> None:
    watch = Watch()

    assert watch.steps == []
    assert watch.missing == MissingStep(
        "follow.nothing",
        "any step",
        str(MESSAGES["nothing"][0]),
        ("receiver.backchannel", "registration.backchannel", "history.logout_request", "history.known_at_hydra"),
    )
    assert watch.now == pytest.approx(5, abs=0.3)


def test_no_event_without_hydra_is_reported(without_admin: None) -> None:
    assert Watch().missing.rows == ("receiver.backchannel",)


@pytest.mark.parametrize(
    "changes", [{"backchannel_logout_uri": None}, {"backchannel_logout_uri": "https://rp.example/x"}]
)
def test_a_notice_without_a_receiver_is_explained(hydra: HydraNetwork, changes: dict[str, Any]) -> None:
    register(hydra, **changes)

    assert Watch(BrowserUser(hydra).end_there).missing.id == "follow.nothing"


def test_an_unreachable_receiver_is_explained(hydra: HydraNetwork) -> None:
    user = BrowserUser(hydra)
    hydra.down("/auth/logout/backchannel/")

    assert Watch(user.end_there).missing.id == "follow.nothing"


def test_a_refused_notice_is_explained(hydra: HydraNetwork, configure: Configure) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, LOGOUT_TOKEN_EXP_REQUIRED=True)

    watch = Watch(BrowserUser(hydra).end_there)

    assert watch.kinds == [REFUSED]
    assert watch.missing.id == "follow.ended"
    assert (
        "This site refused a notice: exp_missing. manage.py ory_doctor --explain exp_missing"
        in watch.missing.explanation
    )
    assert explain(watch.steps[0].code)
    assert watch.missing.rows[0] == "history.refused"


def test_a_notice_with_rotated_keys_is_explained(hydra: HydraNetwork) -> None:
    user = BrowserUser(hydra)
    hydra.replace("/.well-known/jwks.json", b'{"keys": []}')
    forget_documents()

    watch = Watch(user.end_there)

    assert set(watch.kinds) == {REFUSED}
    assert watch.missing.id == "follow.ended"


@pytest.mark.parametrize("body", [{"logout_token": "x"}, {}])
def test_a_post_that_anyone_can_send_explains_nothing(hydra: HydraNetwork, body: dict[str, str]) -> None:
    user = BrowserUser(hydra, remember=False)

    def post() -> None:
        user.site.post("/auth/logout/backchannel/", urlencode(body), "application/x-www-form-urlencoded")

    assert Watch(post).missing.id == "follow.nothing"
    watch = Watch(user.press, post, user.go, user.come_back)

    assert REFUSED in watch.kinds
    assert watch.missing.explanation == str(MESSAGES["back_channel"][0])


def test_a_refusal_that_anyone_can_cause_is_marked_as_such(hydra: HydraNetwork, configure: Configure) -> None:
    """It does not hide the true cause."""
    user = BrowserUser(hydra)

    def load() -> None:
        user.site.get("/auth/logout/frontchannel/", {"iss": "https://another.example", "sid": "x"})

    watch = Watch(load)
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, LOGOUT_TOKEN_EXP_REQUIRED=True)

    assert watch.missing.id == "follow.ended"
    assert "Anyone can send such a notice" in watch.missing.explanation
    assert "refused a notice: exp_missing. manage.py" in Watch(load, user.end_there, load).missing.explanation


def test_a_front_channel_request_without_a_session_hides_no_logout(hydra: HydraNetwork) -> None:
    """Anyone can send such a request."""
    user = BrowserUser(hydra)

    def load() -> None:
        user.site.get("/auth/logout/frontchannel/", {"iss": hydra.provider.issuer, "sid": "another"})

    watch = Watch(load)

    assert [step.text for step in watch.steps] == ["front-channel request, which ended nothing"]
    assert (watch.missing.id, watch.missing.explanation) == ("follow.ended", str(MESSAGES["ended after request"][0]))
    user.login = hydra.provider.sign_in("amber", "django-site")
    assert Watch(load, user.end_there).missing.explanation == str(MESSAGES["ended after notice"][0])


def test_a_notice_that_names_another_sid_is_explained(hydra: HydraNetwork) -> None:
    """This happens after prompt=login: the provider sends a notice for the new sid only."""
    user = BrowserUser(hydra)
    user.login = hydra.provider.sign_in("amber", "django-site")

    watch = Watch(user.end_there)

    assert watch.kinds == [BACK_CHANNEL]
    assert (watch.missing.id, watch.missing.explanation) == ("follow.ended", str(MESSAGES["ended after notice"][0]))
    assert "history.known_at_hydra" in watch.missing.rows


def test_a_return_from_an_earlier_logout_is_not_counted(hydra: HydraNetwork) -> None:
    user = BrowserUser(hydra)
    for act in user.logout[:-1]:
        act()

    watch = Watch(user.come_back)

    assert watch.kinds == [RETURNED]
    assert (watch.missing.id, watch.missing.explanation) == ("follow.ended", str(MESSAGES["ended"][0]))


def test_an_unreachable_provider_is_explained(hydra: HydraNetwork) -> None:
    user = BrowserUser(hydra)
    hydra.down("/.well-known/openid-configuration")
    forget_documents()

    watch = Watch(user.press)

    assert watch.kinds == [ENDED]
    assert (watch.missing.id, watch.missing.step) == ("follow.to_provider", "browser sent to the provider")
    assert "provider.discovery" in watch.missing.rows


@pytest.mark.parametrize("goes", [True, False])
def test_a_browser_that_stays_at_the_provider_is_explained(hydra: HydraNetwork, goes: bool) -> None:
    """The browser stays at the error page, or at a question that nobody answered."""
    user = BrowserUser(hydra)
    if goes:
        register(hydra, post_logout_redirect_uris=[])

    watch = Watch(user.press, *([user.go] if goes else []))

    assert watch.kinds == [ENDED, TO_PROVIDER]
    assert (watch.missing.id, watch.missing.explanation) == ("follow.returned", str(MESSAGES["returned"][0]))
    assert "registration.post_logout_redirect_uri" in watch.missing.rows


def test_a_browser_that_stays_at_the_page_of_frames_is_explained(hydra: HydraNetwork) -> None:
    watch = Watch(*BrowserUser(hydra).logout[:-1])

    assert (watch.missing.id, watch.missing.explanation) == (
        "follow.returned",
        str(MESSAGES["returned after notice"][0]),
    )


def test_a_login_that_was_not_remembered_is_explained(hydra: HydraNetwork) -> None:
    user = BrowserUser(hydra, remember=False)

    watch = Watch(user.press, user.go, user.come_back)

    assert watch.kinds == [ENDED, TO_PROVIDER, RETURNED]
    assert watch.missing.id == "follow.back_channel"
    assert "it was not remembered" in watch.missing.explanation
    assert watch.missing.rows[0] == "history.logout_request"


def test_a_login_that_was_not_remembered_is_explained_with_the_front_channel_only(hydra: HydraNetwork) -> None:
    register(hydra, backchannel_logout_uri=None)
    user = BrowserUser(hydra, remember=False)

    watch = Watch(user.press, user.go, user.come_back)

    assert watch.missing.id == "follow.front_channel"


def test_a_revoked_subject_is_explained(hydra: HydraNetwork) -> None:
    """Hydra sends no notice, neither now nor later."""
    user = BrowserUser(hydra)
    hydra.provider.delete_login_sessions("amber")

    assert Watch(user.press, user.go, user.come_back).missing.id == "follow.back_channel"


def test_a_refused_notice_of_a_logout_from_here_is_explained(hydra: HydraNetwork, configure: Configure) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, LOGOUT_TOKEN_EXP_REQUIRED=True)

    watch = Watch(*BrowserUser(hydra).logout)

    assert REFUSED in watch.kinds
    assert watch.missing.id == "follow.back_channel"
    assert "refused a notice: exp_missing." in watch.missing.explanation


def test_a_notice_of_a_logout_from_here_to_another_address_is_explained(hydra: HydraNetwork) -> None:
    """The frame shows that the login was remembered."""
    register(hydra, backchannel_logout_uri="https://rp.example/elsewhere/")

    watch = Watch(*BrowserUser(hydra).logout)

    assert watch.kinds == [ENDED, TO_PROVIDER, FRONT_CHANNEL, RETURNED]
    assert (watch.missing.id, watch.missing.explanation) == (
        "follow.back_channel",
        str(MESSAGES["back_channel after notice"][0]),
    )
    assert watch.missing.rows[0] == "registration.backchannel"


# Kratos


@pytest.fixture
def kratos(settings: Any) -> Iterator[Any]:
    place = settings.MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1
    middleware = "django_ory_logout.middleware.KratosMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], middleware, *settings.MIDDLEWARE[place:]]
    at_kratos = {"PUBLIC_URL": KRATOS_URL, "WHOAMI_SECONDS": 0}
    settings.ORY_LOGOUT = {"SITE_URL": "https://rp.example", "PROVIDERS": {"default": {"KRATOS": at_kratos}}}
    with connect_kratos(Kratos(KRATOS_URL), KRATOS_URL, KRATOS_ADMIN_URL) as kratos_network:
        yield kratos_network


def of_kratos(kratos_network: Any) -> SiteBrowser:
    session = kratos_network.kratos.sign_in(kratos_network.kratos.identity("amber@example.org"))
    browser = SiteBrowser()
    browser.cookies["ory_kratos_session"] = session.cookie
    assert browser.user
    return browser


def test_a_session_from_kratos_shows_all_steps(kratos: Any) -> None:
    browser = of_kratos(kratos)

    watch = Watch(lambda: browser.post_form("/auth/logout/", {}))

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED, TOLD_KRATOS]


def test_an_unreachable_kratos_is_explained(kratos: Any) -> None:
    browser = of_kratos(kratos)
    kratos.down("/self-service/logout/browser")

    watch = Watch(lambda: browser.post_form("/auth/logout/", {}))

    assert watch.steps[1].text == "the session at Kratos could not be ended: unreachable"
    assert watch.missing.id == "follow.told_kratos"
    assert watch.missing.rows == ("kratos.public", "kratos.cookie")


def test_a_session_that_ended_at_kratos_first_is_complete(kratos: Any) -> None:
    browser = of_kratos(kratos)
    [session] = kratos.kratos.sessions

    watch = Watch(lambda: kratos.kratos.end(session), lambda: browser.get("/private/"))

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED]


def test_an_unreachable_kratos_behind_hydra_is_explained(hydra: HydraNetwork, configure: Configure) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, KRATOS={"PUBLIC_URL": KRATOS_URL})
    user = BrowserUser(hydra)
    user.site.cookies["ory_kratos_session"] = "a-session"
    with connect_kratos(Kratos(KRATOS_URL), KRATOS_URL) as kratos_network:
        kratos_network.down()

        watch = Watch(*user.logout)

    assert watch.missing.id == "follow.told_kratos"


# How it watches


def test_steps_are_stored_only_while_the_doctor_watches(hydra: HydraNetwork) -> None:
    until: list[Any] = []

    def look() -> None:
        until.append(events.rows().get(kind=EventKind.FOLLOWED).at)

    Watch(*[look] * 100, seconds=LEASE_SECONDS)

    assert len(set(until)) == 2, "prolonged once in half of the lease"
    assert until[0] > timezone.now()
    assert not events.rows().filter(kind=EventKind.FOLLOWED).exists()


def test_earlier_events_are_not_shown(hydra: HydraNetwork) -> None:
    BrowserUser(hydra).end_there()

    assert Watch().steps == []


def test_the_doctor_reports_ready_before_it_reads(hydra: HydraNetwork) -> None:
    ready: list[bool] = []

    next(follow.follow(0, when_ready=lambda: ready.append(events.rows().exists())))

    assert ready == [True]


def test_probes_of_the_doctor_are_not_steps(hydra: HydraNetwork) -> None:
    watch = Watch(lambda: list(run_checks(only=["receiver"])))

    assert watch.steps == []


def test_ctrl_c_ends_the_run_and_keeps_the_steps(hydra: HydraNetwork) -> None:
    user = BrowserUser(hydra)

    def interrupt() -> None:
        raise KeyboardInterrupt

    watch = Watch(user.press, interrupt)

    assert watch.kinds == [ENDED, TO_PROVIDER]
    assert watch.missing.id == "follow.returned"
    assert not events.rows().filter(kind=EventKind.FOLLOWED).exists()


def test_each_named_row_is_a_check() -> None:
    assert {row for _, rows in MESSAGES.values() for row in rows} <= CHECKS.keys()


def test_each_step_is_explained() -> None:
    names = {f"follow.{name.partition(' ')[0]}" for name in MESSAGES if not name.startswith("refused")}

    assert [name for name in names if not explain(name)] == []
    assert {f"follow.{kind.name.lower()}" for kind in AWAITED} <= names


# The command


@pytest.fixture
def command(monkeypatch: PATCH) -> Callable[..., tuple[str, int]]:
    """Run the command while a user acts. Return its output and exit status."""

    def command(*options: str, acts: list[Act] | None = None) -> tuple[str, int]:
        now, acts = [0.0], list(acts or [])

        def sleep(seconds: float) -> None:
            now[0] += seconds
            if acts:
                acts.pop(0)()

        monkeypatch.setattr(ory_doctor, "follow", partial(follow.follow, sleep=sleep, clock=lambda: now[0]))
        out = StringIO()
        try:
            call_command("ory_doctor", "--follow", *options, stdout=out)
        except CommandError as error:
            return f"{out.getvalue()}{error}", error.returncode
        return out.getvalue(), 0

    return command


def test_the_command_prints_each_step_with_its_time(hydra: HydraNetwork, command: Any) -> None:
    text, status = command(acts=BrowserUser(hydra).logout)
    lines = text.splitlines()

    assert lines[0] == "Now log out. The doctor shows the steps for 60 s."
    assert lines[-1] == "All expected steps happened."
    clock = f"{timezone.localtime():%H:}"
    assert lines[1].startswith(f"+0.00 s  {clock}")
    assert lines[1].endswith("  session ended here: logged out here and at the provider")
    assert status == 0


def test_the_command_names_the_missing_step(hydra: HydraNetwork, command: Any) -> None:
    user = BrowserUser(hydra, remember=False)

    text, status = command("--seconds", "3", acts=[user.press, user.go, user.come_back])

    assert "The first missing step: back-channel notice accepted." in text
    assert "follow.back_channel: The browser came straight back" in text
    assert "See: history.logout_request, registration.backchannel" in " ".join(text.split())
    assert status == 2


def test_the_command_prints_one_json_object_per_line(hydra: HydraNetwork, command: Any) -> None:
    user = BrowserUser(hydra)

    text, status = command("--json", acts=[user.press])

    ready, *steps = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert ready == {"following": 60}
    assert [step.get("step") for step in steps] == [ENDED, TO_PROVIDER, None]
    assert steps[0].keys() == {"step", "at", "seconds", "code", "ended", "words"}
    assert (steps[0]["code"], steps[0]["seconds"]) == ("rp-initiated", 0)
    assert steps[-1]["complete"] is False
    assert steps[-1]["missing"] == "follow.returned"
    assert status == 2


def test_the_command_prints_in_json_that_all_steps_came(hydra: HydraNetwork, command: Any) -> None:
    text, status = command("--json", acts=[BrowserUser(hydra).end_there])

    assert json.loads(text.splitlines()[-1]) == {"complete": True}
    assert status == 0


def test_the_command_prints_lines_as_wide_as_the_terminal(
    hydra: HydraNetwork, command: Any, monkeypatch: PATCH
) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    lines = command(acts=BrowserUser(hydra).logout)[0].splitlines()

    assert max(map(len, [line for line in lines if not line.startswith("Now")])) <= 40


@pytest.mark.parametrize("seconds", ["inf", "nan", "0", "-1", "86401", "x"])
def test_the_command_refuses_other_durations(command: Any, seconds: str) -> None:
    with pytest.raises(CommandError, match="--seconds"):
        call_command("ory_doctor", "--follow", "--seconds", seconds)


def test_ctrl_c_stops_the_command_at_any_point(hydra: HydraNetwork, monkeypatch: PATCH) -> None:
    def interrupted(*_args: Any, **_kwargs: Any) -> Iterator[Step]:
        raise KeyboardInterrupt

    monkeypatch.setattr(ory_doctor, "follow", interrupted)

    with pytest.raises(CommandError) as caught:
        call_command("ory_doctor", "--follow", stdout=StringIO())

    assert caught.value.returncode == 2


def test_the_command_reports_settings_that_cannot_be_read(hydra: HydraNetwork, command: Any, settings: Any) -> None:
    settings.ORY_LOGOUT = {}

    assert command()[1] == 3


def test_the_output_contains_no_secret_and_no_name(hydra: HydraNetwork, command: Any) -> None:
    user = BrowserUser(hydra)
    key = user.site.key

    text = command("--json", acts=user.logout)[0]

    assert [secret for secret in (key, user.login.sid, "amber", "eyJ") if secret in text] == []
