"""``ory_doctor --follow``: each step of a logout as it happens, and the first that did not come, broken in each way."""

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
from ..people import Act, Person, Watch, register
from ..world import ADMIN_URL, World, forget_documents

pytestmark = pytest.mark.django_db

PATCH = pytest.MonkeyPatch
KRATOS_URL, KRATOS_ADMIN_URL = "https://login.example", "http://kratos:4434"
SIGNED_IN, ENDED, TO_PROVIDER, RETURNED = "signed-in", "ended", "to-provider", "returned"
BACK_CHANNEL, FRONT_CHANNEL, TOLD_KRATOS, REFUSED = "back-channel", "front-channel", "told-kratos", "refused"


AWAITED = set(EventKind) - {EventKind.SIGNED_IN, EventKind.REFUSED, EventKind.FOLLOWED}


@pytest.fixture
def world(provider: Provider, configure: Configure) -> Iterator[World]:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL})
    forget_documents()
    with connected(World(provider)) as world:
        yield world


@pytest.fixture
def without_admin(world: World, settings: Any) -> None:
    """Hydra's admin API is not configured."""
    entry = {name: value for name, value in settings.ORY_LOGOUT["PROVIDERS"]["default"].items() if name != "HYDRA"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": entry}}


# Complete


def test_a_logout_that_began_here(world: World) -> None:
    watch = Watch(*Person(world).logout)

    assert watch.outcome == Outcome(None)
    assert watch.kinds == [ENDED, TO_PROVIDER, BACK_CHANNEL, FRONT_CHANNEL, RETURNED]
    assert [one.text for one in watch.steps] == [
        "session ended here: logged out here and at the provider",
        "browser sent to the provider",
        "back-channel notice accepted: 0 sessions ended",
        "front-channel request, which ended nothing",
        "browser back from the provider",
    ]
    assert [round(one.seconds, 3) for one in watch.steps] == sorted(round(one.seconds, 3) for one in watch.steps)
    assert watch.steps[0].seconds == 0
    assert 0 < watch.steps[-1].seconds < 60


def test_it_stops_soon_after_all_came(world: World) -> None:
    watch = Watch(*Person(world).logout, seconds=600)

    assert watch.now == pytest.approx(5 * follow.POLL_SECONDS + follow.GRACE_SECONDS, abs=0.3)


def test_a_logout_that_began_here_where_the_front_channel_alone_is_registered(world: World) -> None:
    register(world, backchannel_logout_uri=None)
    person = Person(world)

    assert Watch(*person.logout).outcome.missing is None


def test_a_logout_that_began_here_where_no_notice_is_registered(world: World) -> None:
    register(world, backchannel_logout_uri=None, frontchannel_logout_uri=None)

    watch = Watch(*Person(world).logout)

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED, TO_PROVIDER, RETURNED]


def test_a_browser_that_ends_elsewhere_is_not_awaited(world: World, configure: Configure) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, POST_LOGOUT_REDIRECT_URI="https://www.example/bye")
    register(world, post_logout_redirect_uris=["https://www.example/bye"])
    person = Person(world)

    watch = Watch(person.press, person.go, person.agree)

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED, TO_PROVIDER, BACK_CHANNEL]


def test_a_logout_by_a_link_does_not_tell_that_it_leaves(world: World) -> None:
    """The session here ends only when the browser comes back."""
    register(world, backchannel_logout_uri=None, frontchannel_logout_uri=None)
    person = Person(world)
    text = person.site.get("/tags/").content.decode()
    person.url = text.partition('href="')[2].partition('"')[0].replace("&amp;", "&")

    watch = Watch(person.go, person.agree, person.come_back)

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED, RETURNED]


def test_a_logout_elsewhere_by_back_channel(world: World) -> None:
    watch = Watch(Person(world).end_there)

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED, BACK_CHANNEL]
    assert watch.steps[1].text == "back-channel notice accepted: 1 session ended"


@pytest.mark.parametrize("named", [True, False])
def test_a_logout_elsewhere_by_front_channel(world: World, configure: Configure, named: bool) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, FRONTCHANNEL_LOGOUT_SESSION_REQUIRED=named)
    person = Person(world)
    [frame] = world.provider.frontchannel_uris(person.login.sid)

    watch = Watch(lambda: person.site.visit(frame if named else frame.partition("?")[0]))

    assert watch.outcome.missing is None
    assert watch.kinds == ([ENDED, FRONT_CHANNEL] if named else [ENDED])


def test_what_is_no_logout_begins_none(world: World) -> None:
    """A sign-in, another in its place, and one that is refused."""
    person = Person(world)

    def fail_to_sign_in() -> None:
        person.site.get("/auth/callback/", {"state": "x", "code": "y"})

    watch = Watch(partial(person.site.sign_in, "amber"), fail_to_sign_in)

    assert watch.kinds == [ENDED, SIGNED_IN, REFUSED]
    assert [one.text for one in watch.steps[::2]] == [
        "session ended here: signed in anew",
        "notice refused (sign-in): state_unknown",
    ]
    assert watch.missing.id == "follow.nothing"


def test_the_first_logout_counts(world: World, monkeypatch: PATCH) -> None:
    """What comes of somebody else's is shown, and is not taken for its own."""
    amber, birch = Person(world, "amber"), Person(world, "birch")

    def lose() -> None:
        monkeypatch.setattr(world.face.backchannel, "deliver_in_background", lambda _deliveries: None)

    watch = Watch(amber.press, amber.go, birch.end_there, lose, amber.agree, amber.come_back)

    assert watch.kinds == [ENDED, TO_PROVIDER, ENDED, BACK_CHANNEL, RETURNED]
    assert watch.missing.id == "follow.back_channel"


def test_somebody_elses_return_is_not_taken_for_its_own(world: World) -> None:
    """It bears no name."""
    amber, birch = Person(world, "amber"), Person(world, "birch")
    for act in birch.logout[:-1]:
        act()

    watch = Watch(amber.press, birch.come_back)

    assert watch.kinds == [ENDED, TO_PROVIDER, RETURNED]
    assert watch.missing.id == "follow.returned"
    assert [step.code for step in watch.steps] == ["rp-initiated", "", ""], "what --explain knows"


def test_steps_are_in_order_whatever_the_clocks_of_processes_say(world: World) -> None:
    """And in whatever order they are committed."""
    now = timezone.now()

    def write(*seconds: float) -> None:
        for one in seconds:
            at = now + timedelta(seconds=one)
            LogoutEvent.objects.create(at=at, kind=ENDED, issuer="i", sid="s", code="back-channel")

    watch = Watch(partial(write, 3, 2), partial(write, 1))

    assert [one.seconds for one in watch.steps] == [0, 1, 0]


# Without the admin API


@pytest.mark.parametrize("announced", [True, False])
def test_without_admin_api_discovery_says_whether_a_notice_comes(
    world: World, without_admin: None, announced: bool
) -> None:
    world.provider.metadata["backchannel_logout_supported"] = announced
    person = Person(world)
    register(world, backchannel_logout_uri=None, frontchannel_logout_uri=None)

    watch = Watch(*person.logout)

    assert (watch.outcome.missing is None) is not announced


def test_where_nobody_says_whether_a_notice_comes_none_is_awaited(world: World, without_admin: None) -> None:
    person = Person(world)
    register(world, backchannel_logout_uri=None, frontchannel_logout_uri=None)
    world.down("/.well-known/openid-configuration")

    assert Watch(*person.logout).outcome.missing is None


def test_a_provider_that_is_no_longer_configured_sends_none(world: World, configure: Configure) -> None:
    person = Person(world)
    configure(ISSUER="https://another.example")

    watch = Watch(person.press)

    assert watch.missing.id == "follow.to_provider"


# Broken


def test_nothing_came(world: World) -> None:
    watch = Watch()

    assert watch.steps == []
    assert watch.missing == MissingStep(
        "follow.nothing",
        "any step",
        str(MESSAGES["nothing"][0]),
        ("receiver.backchannel", "registration.backchannel", "history.logout_request", "history.known_at_hydra"),
    )
    assert watch.now == pytest.approx(5, abs=0.3)


def test_nothing_came_where_hydra_is_not_asked(without_admin: None) -> None:
    assert Watch().missing.rows == ("receiver.backchannel",)


@pytest.mark.parametrize(
    "changes", [{"backchannel_logout_uri": None}, {"backchannel_logout_uri": "https://rp.example/x"}]
)
def test_a_notice_that_is_sent_nowhere(world: World, changes: dict[str, Any]) -> None:
    register(world, **changes)

    assert Watch(Person(world).end_there).missing.id == "follow.nothing"


def test_a_receiver_that_cannot_be_reached(world: World) -> None:
    person = Person(world)
    world.down("/auth/logout/backchannel/")

    assert Watch(person.end_there).missing.id == "follow.nothing"


def test_a_notice_that_is_refused(world: World, configure: Configure) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, LOGOUT_TOKEN_EXP_REQUIRED=True)

    watch = Watch(Person(world).end_there)

    assert watch.kinds == [REFUSED]
    assert watch.missing.id == "follow.ended"
    assert (
        "This site refused a notice: exp_missing. manage.py ory_doctor --explain exp_missing"
        in watch.missing.explanation
    )
    assert explain(watch.steps[0].code)
    assert watch.missing.rows[0] == "history.refused"


def test_a_notice_with_keys_that_were_rotated(world: World) -> None:
    person = Person(world)
    world.replace("/.well-known/jwks.json", b'{"keys": []}')
    forget_documents()

    watch = Watch(person.end_there)

    assert set(watch.kinds) == {REFUSED}
    assert watch.missing.id == "follow.ended"


@pytest.mark.parametrize("body", [{"logout_token": "x"}, {}])
def test_what_a_stranger_posts_explains_nothing(world: World, body: dict[str, str]) -> None:
    person = Person(world, remember=False)

    def post() -> None:
        person.site.post("/auth/logout/backchannel/", urlencode(body), "application/x-www-form-urlencoded")

    assert Watch(post).missing.id == "follow.nothing"
    watch = Watch(person.press, post, person.go, person.come_back)

    assert REFUSED in watch.kinds
    assert watch.missing.explanation == str(MESSAGES["back_channel"][0])


def test_what_a_stranger_can_post_as_well_is_said_to_be_that(world: World, configure: Configure) -> None:
    """A true explanation hides behind none of it."""
    person = Person(world)

    def load() -> None:
        person.site.get("/auth/logout/frontchannel/", {"iss": "https://another.example", "sid": "x"})

    watch = Watch(load)
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, LOGOUT_TOKEN_EXP_REQUIRED=True)

    assert watch.missing.id == "follow.ended"
    assert "Anyone can send such a notice" in watch.missing.explanation
    assert "refused a notice: exp_missing. manage.py" in Watch(load, person.end_there, load).missing.explanation


def test_a_request_to_the_front_channel_that_names_no_session(world: World) -> None:
    """Anybody can make it, and it hides no logout."""
    person = Person(world)

    def load() -> None:
        person.site.get("/auth/logout/frontchannel/", {"iss": world.provider.issuer, "sid": "another"})

    watch = Watch(load)

    assert [one.text for one in watch.steps] == ["front-channel request, which ended nothing"]
    assert (watch.missing.id, watch.missing.explanation) == ("follow.ended", str(MESSAGES["ended after request"][0]))
    person.login = world.provider.sign_in("amber", "django-site")
    assert Watch(load, person.end_there).missing.explanation == str(MESSAGES["ended after notice"][0])


def test_a_notice_that_names_another_sid(world: World) -> None:
    """As after prompt=login: the provider tells of the new one alone."""
    person = Person(world)
    person.login = world.provider.sign_in("amber", "django-site")

    watch = Watch(person.end_there)

    assert watch.kinds == [BACK_CHANNEL]
    assert (watch.missing.id, watch.missing.explanation) == ("follow.ended", str(MESSAGES["ended after notice"][0]))
    assert "history.known_at_hydra" in watch.missing.rows


def test_a_browser_that_comes_back_from_a_logout_before(world: World) -> None:
    person = Person(world)
    for act in person.logout[:-1]:
        act()

    watch = Watch(person.come_back)

    assert watch.kinds == [RETURNED]
    assert (watch.missing.id, watch.missing.explanation) == ("follow.ended", str(MESSAGES["ended"][0]))


def test_a_provider_that_is_out_of_reach(world: World) -> None:
    person = Person(world)
    world.down("/.well-known/openid-configuration")
    forget_documents()

    watch = Watch(person.press)

    assert watch.kinds == [ENDED]
    assert (watch.missing.id, watch.missing.step) == ("follow.to_provider", "browser sent to the provider")
    assert "provider.discovery" in watch.missing.rows


@pytest.mark.parametrize("goes", [True, False])
def test_a_browser_that_stays_at_the_provider(world: World, goes: bool) -> None:
    """At its error page, or at a question that is not answered."""
    person = Person(world)
    if goes:
        register(world, post_logout_redirect_uris=[])

    watch = Watch(person.press, *([person.go] if goes else []))

    assert watch.kinds == [ENDED, TO_PROVIDER]
    assert (watch.missing.id, watch.missing.explanation) == ("follow.returned", str(MESSAGES["returned"][0]))
    assert "registration.post_logout_redirect_uri" in watch.missing.rows


def test_a_browser_that_stays_at_the_page_of_frames(world: World) -> None:
    watch = Watch(*Person(world).logout[:-1])

    assert (watch.missing.id, watch.missing.explanation) == (
        "follow.returned",
        str(MESSAGES["returned after notice"][0]),
    )


def test_a_login_that_was_not_remembered(world: World) -> None:
    person = Person(world, remember=False)

    watch = Watch(person.press, person.go, person.come_back)

    assert watch.kinds == [ENDED, TO_PROVIDER, RETURNED]
    assert watch.missing.id == "follow.back_channel"
    assert "it was not remembered" in watch.missing.explanation
    assert watch.missing.rows[0] == "history.logout_request"


def test_a_login_that_was_not_remembered_with_the_front_channel_alone(world: World) -> None:
    register(world, backchannel_logout_uri=None)
    person = Person(world, remember=False)

    watch = Watch(person.press, person.go, person.come_back)

    assert watch.missing.id == "follow.front_channel"


def test_a_subject_that_was_revoked(world: World) -> None:
    """Nobody is told, then or later."""
    person = Person(world)
    world.provider.delete_login_sessions("amber")

    assert Watch(person.press, person.go, person.come_back).missing.id == "follow.back_channel"


def test_a_notice_of_a_logout_from_here_that_is_refused(world: World, configure: Configure) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, LOGOUT_TOKEN_EXP_REQUIRED=True)

    watch = Watch(*Person(world).logout)

    assert REFUSED in watch.kinds
    assert watch.missing.id == "follow.back_channel"
    assert "refused a notice: exp_missing." in watch.missing.explanation


def test_a_logout_from_here_whose_notice_is_sent_elsewhere(world: World) -> None:
    """The frame tells that the login was remembered."""
    register(world, backchannel_logout_uri="https://rp.example/elsewhere/")

    watch = Watch(*Person(world).logout)

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
    with connect_kratos(Kratos(KRATOS_URL), KRATOS_URL, KRATOS_ADMIN_URL) as wire:
        yield wire


def of_kratos(wire: Any) -> SiteBrowser:
    session = wire.kratos.sign_in(wire.kratos.identity("amber@example.org"))
    browser = SiteBrowser()
    browser.cookies["ory_kratos_session"] = session.cookie
    assert browser.user
    return browser


def test_a_session_that_kratos_opened(kratos: Any) -> None:
    browser = of_kratos(kratos)

    watch = Watch(lambda: browser.post_form("/auth/logout/", {}))

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED, TOLD_KRATOS]


def test_kratos_out_of_reach(kratos: Any) -> None:
    browser = of_kratos(kratos)
    kratos.down("/self-service/logout/browser")

    watch = Watch(lambda: browser.post_form("/auth/logout/", {}))

    assert watch.steps[1].text == "the session at Kratos could not be ended: unreachable"
    assert watch.missing.id == "follow.told_kratos"
    assert watch.missing.rows == ("kratos.public", "kratos.cookie")


def test_a_session_that_ended_at_kratos_first(kratos: Any) -> None:
    browser = of_kratos(kratos)
    [session] = kratos.kratos.sessions

    watch = Watch(lambda: kratos.kratos.end(session), lambda: browser.get("/private/"))

    assert watch.outcome.missing is None
    assert watch.kinds == [ENDED]


def test_kratos_out_of_reach_behind_hydra(world: World, configure: Configure) -> None:
    configure(HYDRA={"ADMIN_URL": ADMIN_URL}, KRATOS={"PUBLIC_URL": KRATOS_URL})
    person = Person(world)
    person.site.cookies["ory_kratos_session"] = "a-session"
    with connect_kratos(Kratos(KRATOS_URL), KRATOS_URL) as wire:
        wire.down()

        watch = Watch(*person.logout)

    assert watch.missing.id == "follow.told_kratos"


# How it watches


def test_steps_are_kept_while_it_watches_and_not_longer(world: World) -> None:
    until: list[Any] = []

    def look() -> None:
        until.append(events.rows().get(kind=EventKind.FOLLOWED).at)

    Watch(*[look] * 100, seconds=LEASE_SECONDS)

    assert len(set(until)) == 2, "prolonged once in half of the lease"
    assert until[0] > timezone.now()
    assert not events.rows().filter(kind=EventKind.FOLLOWED).exists()


def test_what_happened_before_is_not_shown(world: World) -> None:
    Person(world).end_there()

    assert Watch().steps == []


def test_it_is_ready_before_it_looks(world: World) -> None:
    ready: list[bool] = []

    next(follow.follow(0, when_ready=lambda: ready.append(events.rows().exists())))

    assert ready == [True]


def test_a_doctor_that_looks_meanwhile_is_no_step(world: World) -> None:
    watch = Watch(lambda: list(run_checks(only=["receiver"])))

    assert watch.steps == []


def test_ctrl_c_ends_it_with_what_came(world: World) -> None:
    person = Person(world)

    def interrupt() -> None:
        raise KeyboardInterrupt

    watch = Watch(person.press, interrupt)

    assert watch.kinds == [ENDED, TO_PROVIDER]
    assert watch.missing.id == "follow.returned"
    assert not events.rows().filter(kind=EventKind.FOLLOWED).exists()


def test_each_row_that_it_names_is_a_check() -> None:
    assert {row for _, rows in MESSAGES.values() for row in rows} <= CHECKS.keys()


def test_each_step_is_explained() -> None:
    names = {f"follow.{name.partition(' ')[0]}" for name in MESSAGES if not name.startswith("refused")}

    assert [name for name in names if not explain(name)] == []
    assert {f"follow.{kind.name.lower()}" for kind in AWAITED} <= names


# The command


@pytest.fixture
def command(monkeypatch: PATCH) -> Callable[..., tuple[str, int]]:
    """What it says while somebody acts, and its exit status."""

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


def test_the_command_says_each_step_with_its_times(world: World, command: Any) -> None:
    text, status = command(acts=Person(world).logout)
    lines = text.splitlines()

    assert lines[0] == "Now log out. The doctor shows the steps for 60 s."
    assert lines[-1] == "All expected steps happened."
    clock = f"{timezone.localtime():%H:}"
    assert lines[1].startswith(f"+0.00 s  {clock}")
    assert lines[1].endswith("  session ended here: logged out here and at the provider")
    assert status == 0


def test_the_command_names_what_did_not_come(world: World, command: Any) -> None:
    person = Person(world, remember=False)

    text, status = command("--seconds", "3", acts=[person.press, person.go, person.come_back])

    assert "The first missing step: back-channel notice accepted." in text
    assert "follow.back_channel: The browser came straight back" in text
    assert "See: history.logout_request, registration.backchannel" in " ".join(text.split())
    assert status == 2


def test_the_command_says_an_object_a_line(world: World, command: Any) -> None:
    person = Person(world)

    text, status = command("--json", acts=[person.press])

    ready, *steps = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert ready == {"following": 60}
    assert [step.get("step") for step in steps] == [ENDED, TO_PROVIDER, None]
    assert steps[0].keys() == {"step", "at", "seconds", "code", "ended", "words"}
    assert (steps[0]["code"], steps[0]["seconds"]) == ("rp-initiated", 0)
    assert steps[-1]["complete"] is False
    assert steps[-1]["missing"] == "follow.returned"
    assert status == 2


def test_the_command_says_in_json_that_all_came(world: World, command: Any) -> None:
    text, status = command("--json", acts=[Person(world).end_there])

    assert json.loads(text.splitlines()[-1]) == {"complete": True}
    assert status == 0


def test_lines_of_the_command_are_as_wide_as_the_terminal(world: World, command: Any, monkeypatch: PATCH) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    lines = command(acts=Person(world).logout)[0].splitlines()

    assert max(map(len, [line for line in lines if not line.startswith("Now")])) <= 40


@pytest.mark.parametrize("seconds", ["inf", "nan", "0", "-1", "86401", "x"])
def test_so_long_nobody_follows(command: Any, seconds: str) -> None:
    with pytest.raises(CommandError, match="--seconds"):
        call_command("ory_doctor", "--follow", "--seconds", seconds)


def test_the_command_stops_at_ctrl_c_wherever_it_is(world: World, monkeypatch: PATCH) -> None:
    def interrupted(*_args: Any, **_kwargs: Any) -> Iterator[Step]:
        raise KeyboardInterrupt

    monkeypatch.setattr(ory_doctor, "follow", interrupted)

    with pytest.raises(CommandError) as caught:
        call_command("ory_doctor", "--follow", stdout=StringIO())

    assert caught.value.returncode == 2


def test_the_command_says_that_settings_cannot_be_read(world: World, command: Any, settings: Any) -> None:
    settings.ORY_LOGOUT = {}

    assert command()[1] == 3


def test_nothing_that_it_says_holds_a_secret_or_a_name(world: World, command: Any) -> None:
    person = Person(world)
    key = person.site.key

    text = command("--json", acts=person.logout)[0]

    assert [one for one in (key, person.login.sid, "amber", "eyJ") if one in text] == []
